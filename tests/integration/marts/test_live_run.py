"""A live run follows the stream: one run, a warm dbt, one build per load."""

import threading
import time

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from music_platform.definitions import build_defs
from music_platform.environment import settings_environment
from music_platform.orchestration.freshness import LIVE
from music_platform.orchestration.inputs import built_inputs
from music_platform.orchestration.keys import GOLD, RAW_EVENTS
from tests.integration.conftest import latest_statements
from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED, cut
from tests.support import slowdown
from tests.support.lake import Lake, records_of, rows_of
from tests.support.truth import assert_truth
from tests.support.warehouse import TestWarehouse

SUMMARY = dg.AssetKey([GOLD, "daily_summary"])


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_live_run_builds_what_is_loaded_while_it_runs_and_yields_to_another(
    warehouse: TestWarehouse, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = warehouse.settings.model_copy(
        update={"live_linger_seconds": slowdown.seconds(120), "max_drain_seconds": slowdown.seconds(240)}
    )
    for name, value in settings_environment(settings, secrets=True).items():
        monkeypatch.setenv(name, value)
    lake = Lake(warehouse.scratch / "lake")
    first, second, third = cut(records_of(simulation.folder, PRODUCED), 3, seed=2)
    warehouse.load_reference(simulation.folder / "reference")
    store = warehouse.scratch / "dagster"
    store.mkdir()
    with dg.DagsterInstance.local_temp(str(store)) as instance:

        def load(batch: list, version: int) -> None:  # type: ignore[type-arg]
            lake.append(rows_of(batch))
            warehouse.load(lake.root)
            raw = dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": version})
            instance.report_runless_asset_event(raw)

        def built(version: int) -> None:
            while (inputs := built_inputs(instance, LIVE)) is None or inputs.raw < version:
                time.sleep(0.1)

        def stream() -> None:
            built(1)
            load(third, 2)
            built(2)
            create_run_for_test(instance, "policy", status=dg.DagsterRunStatus.QUEUED)

        load(first, 0)
        warehouse.build()
        load(second, 1)
        thread = threading.Thread(target=stream, daemon=True)
        thread.start()
        done = build_defs(settings).resolve_job_def(LIVE).execute_in_process(instance=instance)
        assert done.success
        assert not thread.is_alive()
        builds = instance.fetch_materializations(SUMMARY, limit=10).records
        assert [record.run_id for record in builds] == [done.run_id] * 2
        rows = [record.asset_materialization.metadata["dagster/row_count"].value for record in builds]  # type: ignore[union-attr]
    sent = [statement["text"] for statement in latest_statements(warehouse.settings)]
    assert [text for text in sent if '"node_id": "unit_test.' in text] == []
    warehouse.build()
    assert_truth(warehouse, simulation.truth)
    assert rows[0] == warehouse.value("select count(*) from GOLD.DAILY_SUMMARY")
