"""Sensor ticks with given times and real run records: what runs, how often, and what does not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test, freeze_time

from music_platform.ingestion import backlog, disk_space
from music_platform.ingestion.backlog import Backlog
from music_platform.lake.checkpoint import Offsets
from music_platform.lake.paths import checkpoint_path
from music_platform.lake.progress import Progress
from music_platform.monitoring import alerts
from music_platform.monitoring.sources import Looker
from music_platform.orchestration import sensors
from music_platform.orchestration.assets.marts import tier_keys
from music_platform.orchestration.assets.reference import FILE_STATE, file_state
from music_platform.orchestration.freshness import LIVE, POLICY, TIERS, ages, warn_after, window
from music_platform.orchestration.inputs import (
    LOADED_AT,
    Inputs,
    inputs_of,
    is_put_back,
    last_load,
    note_inputs,
    report_rebuilt,
)
from music_platform.orchestration.keys import (
    CONSERVATION,
    GOLD,
    INTAKE,
    LAKE_EVENTS,
    NOT_RECONCILED,
    RAW_EVENTS,
    REFERENCE_KEYS,
)
from music_platform.orchestration.launcher import HealthCheckedLauncher
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.runs import process_tags
from music_platform.orchestration.schedules import upkeep_tick
from music_platform.orchestration.store import Store
from music_platform.settings import Settings
from music_platform.topics import BrokerUnreachableError, TopicMissingError, TopicOffsets

MINUTE, HOUR = 60.0, 3600.0
WHOLE = {"build": TIERS, "live": (LIVE,), "policy": (POLICY,)}


@dataclass
class Day:
    """A platform with its own clock. Its runs are only records: a test decides how each of them ends."""

    settings: Settings
    instance: dg.DagsterInstance
    now: float = 1_800_000_000.0
    launched: list[tuple[float, str]] = field(default_factory=list)

    def load(self, version: int, **metadata: object) -> None:
        """A lake version with ten records, and RAW loaded up to it; more metadata of its materialization."""
        log = Path(self.settings.lake_root) / "events" / "_delta_log"
        log.mkdir(parents=True, exist_ok=True)
        stats = {"numRecords": 10, "minValues": {"kafka_timestamp": "2027-01-15T08:00:00.000Z"}}
        add = {"add": {"path": f"{version}.parquet", "dataChange": True, "stats": json.dumps(stats)}}
        (log / f"{version:020d}.json").write_text(json.dumps(add))
        with freeze_time(self.now):
            raw = dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": version, **metadata})
            self.instance.report_runless_asset_event(raw)

    def tick(self, *only: sensors.Tick) -> list[dg.DagsterRun]:
        """One tick of the two sensors that build, or of some; runs that they ask for are created, assets reported."""
        created = []
        with freeze_time(self.now):
            for tick in only or (sensors.live_tick, sensors.freshness_tick):
                result = tick(self.instance, self.settings, None)
                assert result.run_requests or result.skip_reason
                for event in result.asset_events:
                    self.instance.report_runless_asset_event(event)  # type: ignore[arg-type]
                for request in result.run_requests or ():
                    created.append(create_run_for_test(self.instance, str(request.job_name), tags=dict(request.tags)))
                    self.launched.append((self.now, str(request.job_name)))
        return created

    def end(self, run: dg.DagsterRun, seconds: float, succeeds: bool = True) -> None:
        """The run notes what it is made from, takes its time, and ends; its marts are materialized, or not."""
        inputs = inputs_of(self.instance, WHOLE[run.job_name])
        self.now += seconds
        with freeze_time(self.now):
            if not succeeds:
                self.instance.report_run_failed(run)
                return
            note_inputs(self.instance, run.run_id, WHOLE[run.job_name], inputs)
            for tier in WHOLE[run.job_name]:
                for key in tier_keys(tier, GOLD):
                    self.instance.report_runless_asset_event(dg.AssetMaterialization(key))
            success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
            self.instance.report_dagster_event(success, run.run_id)

    def oldest(self, tier: str) -> float:
        """Age of the tier's oldest mart."""
        return max(ages(self.instance, tier_keys(tier, GOLD), self.now).values())


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    """A day that begins with one loaded version. Nothing waits in Kafka."""

    def nothing_waits(_: Settings) -> tuple[TopicOffsets, Backlog]:
        none: Offsets = {}
        return TopicOffsets(none, none, {}), Backlog(0, {})

    monkeypatch.setattr(sensors, "read_kafka_backlog", nothing_waits)
    settings = Settings(_env_file=None, music_home=tmp_path, lake_url=str(tmp_path / "lake"))
    with dg.DagsterInstance.ephemeral() as instance:
        found = Day(settings, instance)
        found.load(0)
        yield found


def built(day: Day) -> None:
    """The first build has happened."""
    (first,) = day.tick()
    assert first.job_name == "build"
    day.end(first, 20)
    assert not day.tick()


def test_new_data_is_one_live_build_and_a_stale_policy_mart_is_one_rebuild(day: Day) -> None:
    built(day)
    day.load(1)
    (live,) = day.tick()
    assert live.job_name == "live"
    for _ in range(3):
        day.now += 5
        assert not day.tick()
    day.end(live, 10)
    begin = day.now
    while day.now < begin + window(day.settings, POLICY):
        day.now += 5 * MINUTE
        for run in day.tick():
            assert day.oldest(POLICY) >= warn_after(day.settings, POLICY)
            assert not day.tick()
            day.end(run, 10)
    assert [job for _, job in day.launched] == ["build", "live", "policy"]


def test_a_build_whose_inputs_changed_while_it_ran_is_followed_by_another(day: Day) -> None:
    built(day)
    day.load(1)
    (first,) = day.tick()
    inputs = inputs_of(day.instance, (LIVE,))
    day.load(2)
    note_inputs(day.instance, first.run_id, (LIVE,), inputs)
    success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, first.job_name)
    day.instance.report_dagster_event(success, first.run_id)
    assert [run.job_name for run in day.tick()] == ["live"]


def test_a_model_that_keeps_failing_is_at_most_thirty_runs_and_one_alert_a_day(day: Day) -> None:
    built(day)
    day.load(1)
    looker, state, sent = Looker(day.settings, lambda: Store(day.instance)), alerts.State(), 0
    begin = day.now
    while day.now < begin + 24 * HOUR:
        for run in day.tick(sensors.live_tick):
            day.end(run, 10, succeeds=False)
        state = alerts.observe(state, looker.jobs(day.now), day.now, 60)
        for notice in alerts.notices(state, "one", day.now, 60):
            state, sent = alerts.sent(state, "one", notice), sent + 1
        day.now += 4 * MINUTE
    runs = [at - begin for at, job in day.launched if job == "live"]
    assert 20 <= len(runs) <= 30
    pauses = [later - earlier for earlier, later in pairwise(runs)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= HOUR
    assert sent == 1


def test_three_idle_windows_are_no_run_and_no_mart_that_is_not_fresh(day: Day) -> None:
    built(day)
    begin, reported = day.now, 0
    while day.now < begin + 3 * window(day.settings, POLICY):
        day.now += 2 * MINUTE
        before = {tier: day.oldest(tier) for tier in TIERS}
        assert not day.tick()
        for tier in TIERS:
            assert before[tier] < warn_after(day.settings, tier)
            reported += day.oldest(tier) < before[tier] and tier == POLICY
    assert reported <= 6
    assert [job for _, job in day.launched] == ["build"]


def test_a_mart_with_a_backlog_upstream_is_not_reported_as_complete(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    built(day)
    monkeypatch.setattr(
        sensors, "read_kafka_backlog", lambda _: (TopicOffsets({}, {}), Backlog(5, {"listen_events": 5}))
    )
    day.now += warn_after(day.settings, LIVE)
    before = day.oldest(LIVE)
    assert not day.tick()
    assert day.oldest(LIVE) == before


def test_a_restarted_daemon_doubles_no_run(day: Day, tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first = Day(day.settings, instance)
        first.load(0)
        assert len(first.tick()) == 1
    with dg.DagsterInstance.local_temp(str(tmp_path)) as restarted:
        assert not Day(day.settings, restarted, first.now + 5).tick()


def lagging(day: Day, monkeypatch: pytest.MonkeyPatch, end: int) -> Day:
    """The lag sensor's brokers: one topic that ends at `end`, and no files."""
    offsets = TopicOffsets(first={"a": {0: 0}}, end={"a": {0: end}}, ids={"a": "1"})
    monkeypatch.setattr(backlog, "readable_offsets", lambda *_: offsets)
    monkeypatch.setattr(backlog, "timestamps_at", lambda *_: [])
    monkeypatch.setattr(sensors, "read_kafka_backlog", backlog.read_kafka_backlog)
    return day


def test_a_store_that_forgot_raw_over_a_cleaned_log_starts_one_run(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    lagging(day, monkeypatch, end=0)
    for version in range(8):
        day.load(version)
    log = Path(day.settings.lake_root) / "events" / "_delta_log"
    for version in range(5):
        (log / f"{version:020d}.json").unlink()
    assert day.tick(sensors.lag_tick) == []
    day.now += 1
    with freeze_time(day.now):
        day.instance.wipe_assets([RAW_EVENTS])
    (run,) = day.tick(sensors.lag_tick)
    assert "the last recorded load is -1, but the lake's log begins at 5" in run.tags[sensors.REASON_TAG]
    assert "rebuild" not in run.tags[sensors.REASON_TAG]
    assert day.tick(sensors.lag_tick) == [], "one run at a time"
    # The run asks OPS.LOAD_STATE and reports what RAW has.
    day.now += 1
    day.load(7)
    day.instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "ingest"), run.run_id)
    assert day.tick(sensors.lag_tick) == []


def test_a_topic_that_ends_before_what_was_read_starts_a_run(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    Progress(day.settings.lake_root, {"a": "1"}, 1, {"a": {0: 6}}).save()
    lagging(day, monkeypatch, end=6)
    assert day.tick(sensors.lag_tick) == []
    lagging(day, monkeypatch, end=4)
    (run,) = day.tick(sensors.lag_tick)
    assert "the broker lacks what was read: a/0 (read up to 6, ends at 4)" in run.tags[sensors.REASON_TAG]


@pytest.mark.parametrize("how", ["loaded", "rebuilt"])
def test_a_version_that_is_in_raw_once_more_is_built_checked_and_complete_for_nobody(day: Day, how: str) -> None:
    """The warehouse was put back, and a run loaded it up to the same version; or someone rebuilt RAW in a shell."""
    day.load(1, **{LOADED_AT: day.now})
    built(day)
    (check,) = day.tick(sensors.quality_tick)
    with freeze_time(day.now):
        success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "quality")
        day.instance.report_dagster_event(success, check.run_id)
    day.now += day.settings.quality_interval_seconds
    # A run that loads nothing repeats the time of the last load, and is no reason for anything.
    day.load(1, **{LOADED_AT: last_load(day.instance)})
    assert not day.tick()
    assert not day.tick(sensors.quality_tick)
    assert not isinstance(upkeep_tick(day.instance, "quality"), dg.RunRequest)

    day.now += 5
    if how == "loaded":
        day.load(1, **{LOADED_AT: day.now})
    else:
        with freeze_time(day.now):
            report_rebuilt(day.instance, version=1, rows=20, now=day.now)
    before = day.oldest(LIVE)
    (live,) = day.tick()
    assert live.job_name == "live"
    day.now += warn_after(day.settings, LIVE)
    assert not day.tick()
    assert day.oldest(LIVE) > before, "not reported as complete"
    day.end(live, 10)
    day.now += window(day.settings, POLICY)
    assert [run.job_name for run in day.tick()] == ["policy"]
    assert [run.job_name for run in day.tick(sensors.quality_tick)] == ["quality"]


@pytest.mark.parametrize(
    ("noted", "ledger", "older"), [(None, -1, False), (7, 7, False), (7, 9, False), (7, 6, True), (7, -1, True)]
)
def test_a_warehouse_whose_ledger_ends_before_what_was_noted_was_put_back(
    noted: int | None, ledger: int, older: bool
) -> None:
    assert is_put_back(None if noted is None else Inputs(noted), ledger) is older


def test_a_run_that_loaded_nothing_does_not_count_as_the_last_load(day: Day) -> None:
    assert last_load(day.instance) is None
    loaded = {LOADED_AT: dg.MetadataValue.timestamp(day.now - 50)}
    day.instance.report_runless_asset_event(dg.AssetMaterialization(RAW_EVENTS, metadata=loaded))
    assert last_load(day.instance) == day.now - 50


def test_no_run_starts_while_the_disk_is_almost_full(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    lagging(day, monkeypatch, end=6)
    free = 3.5
    monkeypatch.setattr(
        disk_space, "local_disks", lambda _: [disk_space.Disk(day.settings.home, 100 * 10**9, int(free * 10**9))]
    )
    assert day.tick(sensors.lag_tick) == [], "3.5 % free: more than where a run pauses, less than where one starts"
    assert "the disk is almost full" in str(sensors.lag_tick(day.instance, day.settings, None).skip_reason)
    free = 5
    (run,) = day.tick(sensors.lag_tick)
    assert run.job_name == "ingest"


def test_a_damaged_checkpoint_starts_the_run_that_says_so(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    lagging(day, monkeypatch, end=6)
    for name in ("commits/0", "offsets/0"):
        file = Path(checkpoint_path(day.settings.lake_root)) / name
        file.parent.mkdir(parents=True)
        file.write_text("")
    (run,) = day.tick(sensors.lag_tick)
    assert "the checkpoint is damaged" in run.tags[sensors.REASON_TAG]


def test_a_run_that_was_killed_with_its_code_server_is_followed_within_a_minute(day: Day) -> None:
    """Dagster's daemon asks the launcher, and fails the run."""
    launcher = HealthCheckedLauncher()
    launcher.register_instance(day.instance)
    built(day)
    day.load(1)
    (killed,) = day.tick()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    day.instance.add_run_tags(killed.run_id, process_tags(process.pid))
    started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, killed.job_name)
    day.instance.report_dagster_event(started, killed.run_id)
    (killed,) = day.instance.get_runs(dg.RunsFilter(run_ids=[killed.run_id]))
    assert launcher.check_run_worker_health(killed).status is WorkerStatus.RUNNING
    assert not day.tick()
    process.kill()
    process.wait()
    day.now += 5
    health = launcher.check_run_worker_health(killed)
    assert health.status is WorkerStatus.FAILED
    day.instance.report_run_failed(killed, health.msg)
    assert [run.job_name for run in day.tick()] == ["live"]


def test_a_topic_that_cannot_be_read_starts_a_run_which_says_so_and_is_complete_for_nobody(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(day)
    trouble = TopicMissingError("Topic auth_events is missing from Kafka at here:9092.")
    offsets = TopicOffsets({}, {}, {}, {"auth_events": trouble})
    monkeypatch.setattr(backlog, "readable_offsets", lambda *_: offsets)
    monkeypatch.setattr(sensors, "read_kafka_backlog", backlog.read_kafka_backlog)
    (run,) = day.tick(sensors.lag_tick)
    assert run.job_name == "ingest"
    assert run.tags[sensors.REASON_TAG].startswith(str(trouble))
    with freeze_time(day.now):
        day.instance.report_run_failed(run)
    assert not day.tick(sensors.lag_tick), "it waits as after any failure"
    before = day.oldest(LIVE)
    day.now += warn_after(day.settings, LIVE)
    assert not day.tick()
    assert day.oldest(LIVE) > before, "not reported as complete"


def test_files_and_the_lake_wait_for_no_broker(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    built(day)

    def away(_: Settings) -> None:
        raise BrokerUnreachableError("Kafka at here:9092 does not answer.")

    monkeypatch.setattr(sensors, "read_kafka_backlog", away)
    cursor = '{"a": {"ends": {"0": 6}, "at": 1.0}}'
    idle = sensors.lag_tick(day.instance, day.settings, cursor)
    assert (idle.run_requests, str(idle.skip_reason)) == (
        [],
        "SkipReason(skip_message='Kafka at here:9092 does not answer.')",
    )
    assert idle.cursor == cursor, "what was observed is not forgotten"
    file = Path(day.settings.intake_root) / "listen_events" / "a.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    os.utime(file, (day.now - HOUR, day.now - HOUR))
    (run,) = day.tick(sensors.lag_tick)
    assert run.job_name == "ingest"
    assert run.tags[sensors.REASON_TAG].startswith("Kafka at here:9092 does not answer. 1 records in the intake")
    with freeze_time(day.now):
        day.instance.report_run_failed(run)
    assert not day.tick(sensors.lag_tick), "not at once"
    file.unlink()
    (Path(day.settings.lake_root) / "events" / "_delta_log" / f"{1:020d}.json").write_text(
        json.dumps({"add": {"path": "1.parquet", "dataChange": True, "stats": json.dumps({"numRecords": 10})}})
    )
    day.now += HOUR
    (run,) = day.tick(sensors.lag_tick)
    assert "10 records in the lake" in run.tags[sensors.REASON_TAG]


def test_a_refused_file_is_reported_once_by_a_check_without_a_run(day: Day) -> None:
    def word() -> list[str]:
        return [check.description for check in failed_checks(day.instance, [INTAKE])]

    misspelt = Path(day.settings.intake_root) / "listen_event" / "a.jsonl"
    misspelt.parent.mkdir(parents=True)
    for content, failed in ((None, []), ("{}", ["files that are not read in listen_event"]), (None, [])):
        misspelt.write_text(content) if content else misspelt.unlink(missing_ok=True)
        for _ in range(3):
            assert not day.tick(sensors.quality_tick)
            day.now += 30
        assert word() == failed
    assert len(day.instance.event_log_storage.get_asset_check_execution_history(INTAKE, limit=10)) == 3


def test_checks_and_maintenance_that_take_long_do_not_pile_up(day: Day) -> None:
    built(day)
    (run,) = day.tick(sensors.quality_tick)

    def due() -> bool:
        return isinstance(upkeep_tick(day.instance, "maintenance"), dg.RunRequest)

    assert due()
    create_run_for_test(day.instance, "maintenance")
    for version in (1, 2, 3):
        day.now += 2 * day.settings.quality_interval_seconds
        day.load(version)
        assert not day.tick(sensors.quality_tick)
        assert not due()
    with freeze_time(day.now):
        success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "quality")
        day.instance.report_dagster_event(success, run.run_id)
    day.now += day.settings.quality_interval_seconds
    assert len(day.tick(sensors.quality_tick)) == 1


def test_a_failed_conservation_is_compared_again_until_it_passes(day: Day) -> None:
    """It was evaluated at 02:30 only: builds were held back until the next night, whatever a person did."""
    built(day)
    day.tick(sensors.quality_tick)

    def verdict(passed: bool, said: str) -> None:
        with freeze_time(day.now):
            day.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(CONSERVATION.asset_key, CONSERVATION.name, passed=passed, description=said)
            )

    assert not day.tick(sensors.quality_tick)
    for passed, said in ((False, "1 rows are missing"), (True, f"{NOT_RECONCILED}: 3 records of the lake")):
        verdict(passed, said)
        for _ in range(2):
            day.now += day.settings.quality_interval_seconds
            (run,) = day.tick(sensors.quality_tick)
            assert run.job_name == "reconciliation"
            assert not day.tick(sensors.quality_tick), "one is at work"
            with freeze_time(day.now):
                day.instance.report_run_failed(run)
            day.now += 30
            assert not day.tick(sensors.quality_tick), "not at once"
    verdict(True, "every partition and file balances")
    day.now += day.settings.quality_interval_seconds
    assert not day.tick(sensors.quality_tick)


def test_a_conservation_that_failed_before_the_first_build_is_compared_again(day: Day) -> None:
    with freeze_time(day.now):
        failed = dg.AssetCheckEvaluation(
            CONSERVATION.asset_key, CONSERVATION.name, passed=False, description="1 rows are missing"
        )
        day.instance.report_runless_asset_event(failed)
    assert not day.tick(sensors.live_tick), "nothing is built from it"
    day.now += day.settings.quality_interval_seconds
    assert [run.job_name for run in day.tick(sensors.quality_tick)] == ["reconciliation"]


def test_reference_data_whose_load_failed_is_loaded_again_and_what_is_loaded_is_not(day: Day) -> None:
    file = day.settings.reference_root / "songs.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one")
    os.utime(file, (day.now, day.now))
    key = REFERENCE_KEYS["songs"]
    assert not day.tick(sensors.reference_tick), "still being written"
    day.now += 10
    for pause in day.settings.retry_pauses:
        (run,) = day.tick(sensors.reference_tick)
        day.now += 5
        assert not day.tick(sensors.reference_tick), "one is at work"
        with freeze_time(day.now):
            day.instance.report_run_failed(run)
        day.now += pause - 5
        assert not day.tick(sensors.reference_tick)
        day.now += 10
    (run,) = day.tick(sensors.reference_tick)
    with freeze_time(day.now):
        loaded = dg.AssetMaterialization(key, metadata={FILE_STATE: file_state(file)})
        day.instance.report_runless_asset_event(loaded)
        success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
        day.instance.report_dagster_event(success, run.run_id)
    day.now += HOUR
    assert not day.tick(sensors.reference_tick)
    file.write_text("another")
    os.utime(file, (day.now, day.now))
    day.now += 10
    assert len(day.tick(sensors.reference_tick)) == 1


def test_an_idle_lake_and_raw_are_fresh_as_long_as_they_lack_nothing(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    with freeze_time(day.now):
        lake = dg.AssetMaterialization(LAKE_EVENTS, tags={"dagster/data_version": "0"})
        day.instance.report_runless_asset_event(lake)
        raw = dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": 0, LOADED_AT: day.now})
        day.instance.report_runless_asset_event(raw)
    loaded = day.now
    built(day)
    keys, begin = (LAKE_EVENTS, RAW_EVENTS), day.now
    while day.now < begin + 3 * window(day.settings, LIVE):
        day.now += MINUTE
        day.tick(sensors.freshness_tick)
        assert max(ages(day.instance, keys, day.now).values()) <= window(day.settings, LIVE) / 2 + MINUTE
    assert last_load(day.instance) == loaded, "nothing was loaded"
    latest = day.instance.get_latest_materialization_event(LAKE_EVENTS)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert (latest.asset_materialization.tags or {})["dagster/data_version"] == "0", "marts do not look out of date"
    assert not day.tick(), "no build"

    waiting = TopicOffsets({}, {}, {}), Backlog(3, {"t": 3})
    monkeypatch.setattr(sensors, "read_kafka_backlog", lambda _: waiting)
    begin = day.now
    while day.now < begin + window(day.settings, LIVE):
        day.now += MINUTE
        day.tick(sensors.freshness_tick)
    assert min(ages(day.instance, keys, day.now).values()) >= window(day.settings, LIVE)
