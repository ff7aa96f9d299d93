"""Builds as Dagster runs them: what a run notes as built, and what fails it."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from music_platform.definitions import build_defs
from music_platform.environment import settings_environment
from music_platform.orchestration.freshness import LIVE
from music_platform.orchestration.inputs import built_inputs, current_inputs
from music_platform.orchestration.keys import GOLD, RAW_EVENTS, SILVER, STAGING
from music_platform.orchestration.quality import failed_checks
from tests.integration.marts.test_pitfalls import Feeder
from tests.support.event import listen
from tests.support.warehouse import TestWarehouse

ARTISTS_OF_THE_DAY = dg.AssetKey([GOLD, "top_artists_daily"])
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance(warehouse: TestWarehouse) -> Iterator[dg.DagsterInstance]:
    folder = warehouse.scratch / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as own:
        yield own


@pytest.fixture
def run(warehouse: TestWarehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the job `live`, or a selection of it, once, on the lake's version that the argument names."""
    settings = warehouse.settings.model_copy(update={"live_linger_seconds": 0})
    for name, value in settings_environment(settings, secrets=True).items():
        monkeypatch.setenv(name, value)
    job = build_defs(settings).resolve_job_def(LIVE)

    def run_live(version: int, *assets: dg.AssetKey) -> dg.ExecuteInProcessResult:
        raw = dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": version})
        instance.report_runless_asset_event(raw)
        return job.execute_in_process(instance=instance, asset_selection=list(assets) or None, raise_on_error=False)

    return run_live


def materialized(instance: dg.DagsterInstance, run: dg.ExecuteInProcessResult) -> set[dg.AssetKey]:
    """Assets that the run reported as materialized."""
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {key for event in events if (key := event.get_dagster_event().asset_key)}


def test_what_a_live_run_notes_as_built_and_what_it_builds_besides(
    warehouse: TestWarehouse, instance: dg.DagsterInstance, run: Run
) -> None:
    feed = Feeder(warehouse)
    feed(listen("2026-06-01T10:00:00", eventId="a", songId="S1"))
    feed.load(listen("2026-06-01T11:00:00", eventId="b", songId="S1"))

    # A part of the tier, as the UI offers it, is built, and nothing is noted: the others lack the load.
    part = run(1, dg.AssetKey([GOLD, "daily_summary"]))
    assert part.success
    assert materialized(instance, part) == {dg.AssetKey([GOLD, "daily_summary"])}
    assert built_inputs(instance, LIVE) is None

    # The first run of a project also creates its views and loads its seeds.
    seed, view = dg.AssetKey([SILVER, "device_patterns"]), dg.AssetKey([STAGING, "stg_events"])
    warehouse.session.cursor().execute("delete from SILVER.DEVICE_PATTERNS")
    whole = run(1)
    assert whole.success
    assert materialized(instance, whole) >= {seed, view}
    assert warehouse.value("select count(*) from SILVER.DEVICE_PATTERNS") > 0
    assert built_inputs(instance, LIVE) == current_inputs(instance)

    # A failed test is an alert: an artist twice counts twice. The run is a success all the same, and is noted.
    warehouse.session.cursor().execute(
        "insert into SILVER.DIM_ARTISTS select * from SILVER.DIM_ARTISTS where artist_id = 'A1'"
    )
    feed.load(listen("2026-06-01T12:00:00", eventId="c", songId="S1"))
    warned = run(2)
    assert warned.success
    assert not materialized(instance, warned) & {seed, view}
    check = next(key for key in warned.get_asset_check_evaluations() if not key.passed)
    assert check.asset_key == ARTISTS_OF_THE_DAY
    (failed,) = failed_checks(instance, [dg.AssetCheckKey(ARTISTS_OF_THE_DAY, check.check_name)])
    assert not failed.severe
    assert warehouse.value("select sum(plays) from GOLD.TOP_ARTISTS_DAILY") == 6
    assert built_inputs(instance, LIVE) == current_inputs(instance)

    # A build that fails is a failed run.
    warehouse.session.cursor().execute("alter table SILVER.LISTENS drop column song_key")
    feed.load(listen("2026-06-01T13:00:00", eventId="d", songId="S1"))
    assert not run(3).success
    assert built_inputs(instance, LIVE).raw == 2  # type: ignore[union-attr]
