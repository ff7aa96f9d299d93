"""Runs as people and sensors start them: from the command line, after a kill, with a service down."""

import dagster as dg
import pytest

from music_platform.assets.keys import TOPIC_KEYS
from music_platform.contracts import events
from music_platform.sensors import lag_sensor
from tests.integration.conftest import Platform
from tests.integration.test_chain import GOOD

INGESTION = 'key:"lake/events" or key:"raw/events"'


def tick(platform: Platform, cursor: str | None = None) -> dg.SensorResult:
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        result = lag_sensor(context, settings=platform.settings)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_run_killed_between_lake_and_load_is_made_good_by_the_next_tick(platform: Platform) -> None:
    """The records are in the lake and Kafka has no lag, and still the sensor starts a run, which loads them."""
    platform.produce([(events.LISTEN, GOOD)] * 3)
    killed = platform.materialize("--select", INGESTION, check=False, FAILPOINT="after-lake-commit")
    assert "failpoint after-lake-commit: SIGKILL" in killed.stderr
    assert killed.returncode != 0
    assert platform.value("select count(*) from RAW.EVENTS") == 0

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
        ("SPARK_REMOTE", "sc://127.0.0.1:1", "No Spark Connect server answers at sc://127.0.0.1:1"),
        ("WAREHOUSE_PORT", "1", "the local warehouse at 127.0.0.1:1 gives no session"),
    ],
)
def test_a_service_that_is_down_fails_the_run_in_a_sentence(
    platform: Platform, variable: str, value: str, sentence: str
) -> None:
    platform.produce([(events.LISTEN, GOOD)])
    failed = platform.materialize("--select", INGESTION, check=False, **{variable: value})
    assert failed.returncode == 1
    assert sentence in failed.stdout + failed.stderr
    assert "music-platform status" in failed.stdout + failed.stderr
