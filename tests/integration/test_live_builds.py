"""A live build follows the stream: one run, dbt kept warm, a build for each load."""

import threading
import time

import dagster as dg

from music_platform.assets.keys import GOLD
from music_platform.contracts import events
from music_platform.definitions import build_defs
from music_platform.freshness import LIVE
from music_platform.inputs import built_inputs, loaded_version
from tests.integration.conftest import Platform
from tests.integration.test_chain import GOOD

SUMMARY = dg.AssetKey([GOLD, "daily_summary"])


def test_a_live_run_builds_again_what_is_loaded_while_it_runs(platform: Platform) -> None:
    platform.produce([(events.LISTEN, GOOD)] * 2)
    platform.run("everything")
    platform.produce([(events.LISTEN, GOOD)] * 3)
    platform.run("ingest")
    settings = platform.settings.model_copy(update={"live_linger_seconds": 60.0, "max_drain_seconds": 60.0})
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        begun = loaded_version(instance)

        def load_more() -> None:
            while (built := built_inputs(instance, LIVE)) is None or built.raw < begun:
                time.sleep(0.2)
            platform.produce([(events.LISTEN, GOOD)] * 4)
            platform.materialize("--select", 'key:"lake/events" or key:"raw/events"')
            deadline = time.monotonic() + 60
            while built_inputs(instance, LIVE).raw == begun and time.monotonic() < deadline:  # type: ignore[union-attr]
                time.sleep(0.2)
            # Another build waits for its turn: the live one ends.
            instance.create_run_for_job(
                build_defs(settings).resolve_job_def("policy"), status=dg.DagsterRunStatus.QUEUED
            )

        thread = threading.Thread(target=load_more)
        thread.start()
        done = build_defs(settings).resolve_job_def(LIVE).execute_in_process(instance=instance)
        thread.join()
        assert done.success
        builds = instance.fetch_materializations(SUMMARY, limit=10).records
        assert [record.run_id for record in builds].count(done.run_id) == 2
    assert platform.rows("select sum(plays), max(plays) from GOLD.DAILY_SUMMARY") == [(9, 9)]
