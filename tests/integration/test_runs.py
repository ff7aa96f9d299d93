"""Runs as people and sensors start them: from the command line, after a kill, with a service down."""

import dagster as dg
import pytest

from music_platform.contracts import events
from music_platform.lake.progress import read_progress
from music_platform.orchestration.inputs import recorded_version
from music_platform.orchestration.keys import RAW_EVENTS, TOPIC_KEYS
from music_platform.orchestration.sensors import lag_tick
from tests.integration.conftest import Platform
from tests.integration.test_chain import GOOD
from tests.support import slowdown
from tests.support.run_monitoring import look_at_runs

INGESTION = 'key:"lake/events" or key:"raw/events"'


def tick(platform: Platform, cursor: str | None = None) -> dg.SensorResult:
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        return lag_tick(instance, platform.settings, cursor)


def test_a_run_killed_between_lake_and_load_is_completed_by_the_next_tick(platform: Platform) -> None:
    """The records are in the lake and Kafka has no lag, but the sensor starts a run, which loads them."""
    platform.produce([(events.LISTEN, GOOD)] * 3)
    killed = platform.materialize("--select", INGESTION, check=False, FAILPOINT="after-lake-commit")
    assert "failpoint after-lake-commit: SIGKILL" in killed.stdout
    assert killed.returncode != 0
    assert platform.value("select count(*) from RAW.EVENTS") == 0

    assert "a run is in progress" in str(tick(platform).skip_reason), "Dagster has not looked at the run yet"
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        look_at_runs(instance)
    next_tick = tick(platform)
    assert len(next_tick.run_requests or []) == 1
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]

    platform.run("ingest")
    assert platform.value("select count(*) from RAW.EVENTS") == 3
    assert platform.value("select count(distinct kafka_partition || '/' || kafka_offset) from RAW.EVENTS") == 3
    third = tick(platform, next_tick.cursor)
    assert not third.run_requests
    assert "nothing to do" in str(third.skip_reason)


def test_a_load_is_known_although_the_run_fails_after_it(platform: Platform) -> None:
    """The marts are built from it, however long Spark is down."""
    platform.produce([(events.LISTEN, GOOD)] * 3)
    platform.materialize("--select", 'key:"lake/events"')
    platform.produce([(events.LISTEN, GOOD)] * 2)
    failed = platform.materialize("--select", INGESTION, check=False, SPARK_REMOTE="sc://127.0.0.1:1")
    assert failed.returncode == 1
    assert platform.value("select count(*) from RAW.EVENTS") == 3
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        loaded = platform.value("select last_version from OPS.LOAD_STATE")
        assert recorded_version(instance) == loaded >= 0
        load = instance.get_latest_materialization_event(RAW_EVENTS)
        assert load is not None
        assert load.asset_materialization is not None
        assert load.asset_materialization.metadata["rows"].value == 3


def test_nothing_is_committed_before_the_data_is_and_a_request_has_no_key_to_collide(platform: Platform) -> None:
    """A tick requests a run and commits nothing. Until a run has read the records, every tick requests one again."""
    platform.produce([(events.LISTEN, GOOD)] * 3)
    first = tick(platform)
    second = tick(platform, first.cursor)
    assert [[request.run_key for request in found.run_requests or []] for found in (first, second)] == [[None], [None]]
    assert read_progress(platform.settings.lake_root).committed() == {}


def test_the_sensor_reports_the_topics_when_their_ends_have_moved(platform: Platform) -> None:
    platform.produce([(events.LISTEN, GOOD), (events.LISTEN, b"broken")])
    first = tick(platform)
    assert len(first.run_requests or []) == 1
    seen = {event.asset_key: event for event in first.asset_events}
    assert seen.keys() == set(TOPIC_KEYS.values())
    metadata = seen[TOPIC_KEYS[events.LISTEN]].metadata
    assert (metadata["records"].value, metadata["lag"].value) == (2, 2)
    assert not tick(platform, first.cursor).asset_events


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "Kafka at 127.0.0.1:1 does not answer"),
        ("SPARK_REMOTE", "sc://127.0.0.1:1", "Spark Connect at sc://127.0.0.1:1 does not answer"),
        ("WAREHOUSE_PORT", "1", "The local warehouse at 127.0.0.1:1 does not answer"),
    ],
)
def test_a_service_that_is_down_fails_the_run_with_a_clear_message(
    platform: Platform, variable: str, value: str, sentence: str
) -> None:
    platform.produce([(events.LISTEN, GOOD)])
    failed = platform.materialize("--select", INGESTION, check=False, **{variable: value})
    assert failed.returncode == 1
    assert sentence in failed.stdout
    assert "Start it with `music-platform up`, or " in failed.stdout


def test_what_follows_the_lake_and_a_group_that_only_producers_and_loads_fill_can_be_materialized(
    platform: Platform,
) -> None:
    platform.produce([(events.LISTEN, GOOD)] * 3)
    platform.materialize("--select", 'group:kafka or key:"ops/loads"')
    assert platform.value("select count(*) from RAW.EVENTS") == 0
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        topic = instance.get_latest_materialization_event(TOPIC_KEYS[events.LISTEN])
        assert topic is not None
        assert topic.asset_materialization is not None
        assert topic.asset_materialization.metadata["lag"].value == 3
    platform.materialize("--select", 'key:"lake/events"+')
    assert platform.value("select count(*) from RAW.EVENTS") == 3
    assert platform.value("select sum(plays) from GOLD.TOP_SONGS_DAILY") == 3


def test_two_runs_at_once_write_each_record_once_and_both_succeed(platform: Platform) -> None:
    """One waits for the other's lease, then finds nothing to do."""
    platform.produce([(events.LISTEN, GOOD)] * 500)
    runs = [platform.start_materializing("--select", INGESTION) for _ in range(2)]
    said = [run.communicate(timeout=slowdown.seconds(400))[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)[-6000:]
    assert platform.value("select count(*) from RAW.EVENTS") == 500
    assert platform.value("select count(distinct kafka_partition || '/' || kafka_offset) from RAW.EVENTS") == 500
