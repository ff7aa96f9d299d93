"""Dagster's store is cut by age, in its real SQLite files, and what the platform reads of it stays."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from music_platform.home import Home
from music_platform.orchestration import dbt_project, sensors, upkeep
from music_platform.orchestration._dagster import AssetEventTagsTable, SqliteEventLogStorage
from music_platform.orchestration.automation import OBSERVED_AT_ONCE, Observed, topics_to_observe
from music_platform.orchestration.dbt_project import KEPT_TARGETS
from music_platform.orchestration.event_log import (
    SHARD_SECONDS,
    prune_check_evaluations,
    prune_runless_events,
    remove_forgotten_shards,
)
from music_platform.orchestration.keys import RAW_EVENTS
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.upkeep import KEPT_RUNS, delete_surplus_runs, prune_instance, pruning_job
from music_platform.settings import Settings

DAY = 86_400.0
NOW = 1_800_000_000.0
TOPIC, MART = dg.AssetKey(["kafka", "listen"]), dg.AssetKey(["gold", "mart"])
CHECK = dg.AssetCheckKey(RAW_EVENTS, "some_check")


@dg.asset(key=RAW_EVENTS)
def raw() -> None: ...


@dg.asset_check(asset=RAW_EVENTS)
def some_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 of 7")


@dg.job
def quick() -> None:
    @dg.op
    def nothing(context: dg.OpExecutionContext) -> None:
        print("said by the op")
        context.log.info("logged by the op")

    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


def observe(instance: dg.DagsterInstance, at: float) -> None:
    with freeze_time(at):
        instance.report_runless_asset_event(dg.AssetObservation(TOPIC, tags={"dagster/data_version": str(at)}))
        instance.report_runless_asset_event(dg.AssetMaterialization(MART, metadata={"at": at}))


def test_events_without_a_run_go_by_age_and_the_last_of_each_asset_stays(instance: dg.DagsterInstance) -> None:
    for day in range(10):
        observe(instance, NOW - (10 - day) * DAY)
    assert prune_runless_events(instance, NOW - 2.5 * DAY) == 2 * 8
    assert prune_runless_events(instance, NOW - 2.5 * DAY) == 0
    assert len(instance.fetch_observations(TOPIC, 100).records) == 2
    assert prune_runless_events(instance, NOW) == 2
    (last,) = instance.fetch_observations(TOPIC, 100).records
    assert last.timestamp == NOW - DAY
    assert instance.get_latest_materialization_event(MART).asset_materialization.metadata["at"].value == NOW - DAY
    (record,) = instance.get_asset_records([MART])
    assert record.asset_entry.last_materialization_record.timestamp == NOW - DAY
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    with storage.index_connection() as connection:
        tags = connection.execute(AssetEventTagsTable.select()).fetchall()
    assert {tag.value for tag in tags} == {str(NOW - DAY)}
    with storage.run_connection("") as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM event_logs").scalar() == 2


def test_evaluations_of_checks_go_by_age_and_the_last_word_of_each_stays(instance: dg.DagsterInstance) -> None:
    for _ in range(4):
        dg.materialize([raw, some_check], instance=instance, raise_on_error=False)
    history = instance.event_log_storage.get_asset_check_execution_history
    assert len(history(CHECK, limit=10)) == 4
    newest = history(CHECK, limit=1)[0].create_timestamp
    assert prune_check_evaluations(instance, newest - 3600) == 0
    assert prune_check_evaluations(instance, newest + 3600) == 3
    assert [check.key for check in failed_checks(instance, [CHECK])] == [CHECK]


def test_a_deleted_run_leaves_no_file_behind(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    runs = [quick.execute_in_process(instance=instance).run_id for _ in range(KEPT_RUNS + 3)]
    home = tmp_path / "dagster"

    def files(run_id: str) -> list[Path]:
        return [path for path in home.rglob("*") if run_id in str(path)]

    assert all(files(run_id) for run_id in runs)
    settings = Settings(_env_file=None, music_home=tmp_path, run_retention_days=1)
    with freeze_time(instance.get_run_records(limit=1)[0].create_timestamp.timestamp() + 2 * DAY):
        said = prune_instance(instance, settings)
    assert said.startswith("deleted 3 runs")
    assert not any(files(run_id) for run_id in runs[:3])
    assert all(files(run_id) for run_id in runs[3:])
    assert {run.run_id for run in instance.get_runs()} == set(runs[3:])


def test_of_a_job_that_runs_all_day_the_newest_runs_stay_and_every_failure(instance: dg.DagsterInstance) -> None:
    good, bad = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    runs = [
        create_run_for_test(instance, job, status=bad if n % 10 == 3 else good).run_id
        for n in range(30)
        for job in ("live", "ingest")
    ]
    rare = create_run_for_test(instance, "nightly", status=good).run_id
    assert delete_surplus_runs(instance, 20) == 2 * 7
    left = {run.run_id for run in instance.get_runs()}
    assert set(runs) - left == {run_id for n, run_id in enumerate(runs[:16]) if n // 2 != 3}
    assert rare in left
    assert delete_surplus_runs(instance, 20) == 0


def test_the_pruning_job_prunes_every_store(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs, evaluations, events without a run, forgotten files and dbt's folders: one left out fills the disk."""
    for day in range(3):
        observe(instance, NOW - (999 - day) * DAY)
        dg.materialize([raw, some_check], instance=instance, raise_on_error=False)
    for _ in range(KEPT_RUNS + 2):
        quick.execute_in_process(instance=instance)
    last = instance.get_run_records(limit=1)[0].create_timestamp.timestamp()
    settings = Settings(_env_file=None, music_home=tmp_path, run_retention_days=1, event_retention_days=1)
    monkeypatch.setattr(dbt_project, "get_settings", lambda: settings)
    targets = [Home(tmp_path).dbt_target / f"models-{number:02d}" for number in range(KEPT_TARGETS + 2)]
    for number, folder in enumerate(targets):
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    monkeypatch.setattr(upkeep, "get_current_timestamp", lambda: last + 2 * DAY)
    monkeypatch.setattr(upkeep, "get_current_datetime", lambda: datetime.fromtimestamp(last + 2 * DAY, UTC))
    assert pruning_job.execute_in_process(instance=instance, resources={"settings": settings}).success
    assert len(instance.get_runs(dg.RunsFilter(job_name=quick.name))) == KEPT_RUNS
    assert len(instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)) == 1
    assert len(instance.fetch_observations(TOPIC, 10).records) == 1
    assert [folder.exists() for folder in targets] == [False, False] + [True] * KEPT_TARGETS


def test_files_of_runs_that_were_deleted_without_them_go_too(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_for_test(instance, "live")
    instance.report_engine_event("begun", run)
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    shard = Path(storage.path_for_shard(run.run_id))
    instance.delete_run(run.run_id)
    assert shard.exists()
    assert remove_forgotten_shards(instance) == 0, "a run that begins just now has a file before it is known"
    later = shard.stat().st_mtime + SHARD_SECONDS + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert remove_forgotten_shards(instance) == 1
    assert not shard.exists()


def test_a_topic_is_observed_once_a_minute_and_only_if_its_own_end_moved() -> None:
    observed: dict[str, Observed] = {}
    seen: list[tuple[int, str]] = []
    for second in range(0, 600, 5):
        ends = {"busy": {0: second}, "idle": {0: 7}, "once": {0: 1 if second < 200 else 2}}
        for topic in topics_to_observe(ends, observed, float(second)):
            observed[topic] = Observed(ends[topic], float(second))
            seen.append((second, topic))
    assert [second for second, topic in seen if topic == "busy"] == list(range(0, 600, 60))
    assert [second for second, topic in seen if topic == "idle"] == [0]
    assert [second for second, topic in seen if topic == "once"] == [0, 200]


def test_many_topics_are_observed_some_at_a_time_and_none_is_forgotten() -> None:
    observed: dict[str, Observed] = {}
    for second in range(0, 3600, 5):
        ends = {f"topic {n}": {0: second} for n in range(100)}
        chosen = topics_to_observe(ends, observed, float(second))
        assert len(chosen) <= OBSERVED_AT_ONCE
        observed |= {topic: Observed(ends[topic], float(second)) for topic in chosen}
    assert len(observed) == 100
    assert min(seen.at for seen in observed.values()) >= 3600 - 120


def test_a_cursor_of_before_is_read_as_nothing_observed() -> None:
    assert sensors._observed('{"listen_events": {"0": 7}}') == {}
    assert sensors._observed(None) == {}
    kept = sensors._observed('{"listen_events": {"ends": {"0": 7}, "at": 5.0}}')
    assert kept == {"listen_events": Observed({0: 7}, 5.0)}


def test_what_is_reported_as_complete_has_the_figures_but_not_the_lineage(instance: dg.DagsterInstance) -> None:
    lineage = dg.TableColumnLineage({"a": [dg.TableColumnDep(RAW_EVENTS, "b")]})
    built = dg.AssetMaterialization(MART, metadata={"dagster/row_count": 7, "dagster/column_lineage": lineage})
    instance.report_runless_asset_event(built)
    verified = sensors._verified(instance, MART, NOW)
    assert verified.metadata["dagster/row_count"].value == 7
    assert "dagster/column_lineage" not in verified.metadata
