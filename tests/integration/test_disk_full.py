"""A disk that runs full: ingestion pauses before it, survives it, and resumes by itself; nothing is lost or doubled."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka import Producer
from snowflake.connector.errors import Error

from music_platform.errors import PlatformError
from music_platform.ingestion.conservation import audit
from music_platform.ingestion.drain import drain
from music_platform.orchestration import sensors
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.ingestion import Platform, listens
from tests.support.receiver import Received, receiving
from tests.support.small_disk import small_disk
from tests.support.stack import NO_DISK_ALERTS, settings_for

MB = 1 << 20

#: Shares of free space at which a platform warns and pauses by default.
WATCHED = {name: Settings.model_fields[name].default for name in NO_DISK_ALERTS}


def reason(platform: Platform, instance: dg.DagsterInstance) -> tuple[bool, str]:
    """Whether the lag sensor starts a run, and why or why not."""
    result = sensors.lag_tick(instance, platform.settings, None)
    requests = result.run_requests or []
    return bool(requests), requests[0].tags[sensors.REASON_TAG] if requests else str(result.skip_reason)


def test_ingestion_pauses_before_the_lake_s_disk_is_full_and_resumes(stack: LocalStack, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk, dg.DagsterInstance.ephemeral() as instance:
        # Small batches: the disk is looked at before each of them.
        platform = Platform(stack, "disk_pause", disk.folder, max_records_per_batch=50, **WATCHED)
        platform.produce(listens(60), partition=0)
        platform.ingest()
        assert platform.count() == 60

        platform.produce(listens(60, first=60), partition=0)
        disk.fill(1 * MB)
        starts, said = reason(platform, instance)
        assert not starts
        assert "60 records in Kafka" in said
        assert "the disk is almost full" in said
        assert platform.ingest() == [], "a run that was started before pauses too"
        assert any("the disk is almost full" in line for line in platform.lines)
        assert platform.count() == 60

        disk.empty()
        starts, said = reason(platform, instance)
        assert starts, said
        # It fills up while a run is at work: what is committed stays, and the rest waits.
        run = drain(platform.context)
        next(run)
        disk.fill(1 * MB)
        list(run)
        assert platform.count() < 120
        disk.empty()
        platform.ingest()
        assert platform.count() == 120
        assert platform.count("kafka_offset >= 60") == 60
        assert platform.imbalances() == []


def test_a_disk_without_a_byte_loses_and_doubles_nothing(stack: LocalStack, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        # The marks are off: what happens when something else takes the last byte within a moment.
        platform = Platform(stack, "disk_full", disk.folder, disk_critical_percent=0)
        platform.produce(listens(60), partition=0)
        platform.ingest()
        platform.produce(listens(2_000, first=60, song="s" * 500), partition=0)
        for _ in range(2):
            disk.fill_to_the_last_byte()
            with pytest.raises(Exception, match="No space left"):
                platform.ingest()
            assert platform.count() == 60
        disk.empty()
        platform.ingest()
        assert platform.count() == 2_060
        assert platform.imbalances() == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_home_whose_disk_is_full_comes_back_by_itself_after_one_alert(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    quick = {"watch_interval_seconds": 2, "alert_settle_seconds": slowdown.seconds(5), "sensor_interval_seconds": 2}
    with small_disk(tmp_path / "disk", 1024) as disk, receiving() as receiver:
        stack = LocalStack(settings_for(disk.folder / "home", alert_urls=receiver.url, **WATCHED, **quick))
        try:
            stack.up(provision=provision)
            sent = Sender(stack)
            sent.send(500)
            slowdown.wait_for("what was sent is in RAW", lambda: sent.rows() == 500, 600)
            show(f"at work: {disk.now}")

            disk.fill(20 * MB)
            slowdown.wait_for("the alert", lambda: titles(receiver, "the disk is almost full"))
            sent.send(300)
            time.sleep(slowdown.seconds(20))
            assert sent.rows() == 500, "it is paused"
            # A check may say besides that nobody has a catalogue here.
            assert [title for title in titles(receiver) if "disk" in title] == ["the disk is almost full"]

            disk.fill_to_the_last_byte()
            time.sleep(slowdown.seconds(20))
            show(f"full: {disk.now}; {running(stack)}")
            disk.empty()
            slowdown.wait_for("every record in RAW", lambda: sent.rows() == 800, 600)
            slowdown.wait_for("the all-clear", lambda: titles(receiver, "resolved: the disk is almost full"))
            assert titles(receiver).count("the disk is almost full") == 1
            with connect(stack.settings) as session:
                found = audit(session, stack.settings)
            assert (found.complaints, found.postponed) == ([], None)
            assert sum(each.state.rows for each in found.partitions.values()) == 800
            show(f"alerts: {titles(receiver)}")
        finally:
            stack.down()


class Sender:
    """Sends listens to a stack of its own, each with an id of its own."""

    def __init__(self, stack: LocalStack) -> None:
        self._settings = stack.settings
        self._sent = 0

    def send(self, count: int) -> None:
        producer = Producer(self._settings.kafka_client_config())
        for value in listens(count, first=self._sent):
            producer.produce(topic_names(self._settings)["listen"], json.dumps(value).encode())
        assert producer.flush(slowdown.seconds(60)) == 0
        self._sent += count

    def rows(self) -> int:
        """Rows in RAW; -1 while the warehouse does not answer."""
        try:
            with connect(self._settings) as session:
                cursor = session.cursor()
                cursor.execute("SELECT COUNT(*) FROM RAW.EVENTS")
                (count,) = cursor.fetchone()  # type: ignore[misc]
                return int(count)
        except (PlatformError, Error):
            return -1


def titles(receiver: Received, only: str | None = None) -> list[str]:
    return [title for _, _, title in receiver.posts if only in (None, title)]


def running(stack: LocalStack) -> str:
    return ", ".join(f"{name} {service.state}" for name, service in stack.status().items())
