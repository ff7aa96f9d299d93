"""No single record and no single file stops the others: it is one quarantined row, or one refused file, and named."""

import json
import os
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from music_platform.contracts.events import END_OF_TIME_MS, MAX_RECORD_BYTES, REDRIVE_HEADER
from music_platform.ingestion.backlog import kafka_age, lake_age, read_kafka_backlog, read_lake_backlog
from music_platform.ingestion.conservation import audit
from music_platform.ingestion.maintenance import maintain
from music_platform.lake.progress import Progress
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from tests.integration.test_intake import PLAYBACK, WithFiles
from tests.support import slowdown
from tests.support.ingestion import Platform, listens

FAR = 7 * 24 * 3600.0


def takes_anything(platform: Platform, bytes_of_record: int = 1 << 20) -> None:
    """The topic takes records of any time and of this size, as many clusters' do."""
    entries = {"message.timestamp.after.max.ms": str(2**63 - 1), "max.message.bytes": str(bytes_of_record)}
    changed = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in entries.items()]
    resource = ConfigResource(ResourceType.TOPIC, platform.topic(), incremental_configs=changed)
    for future in platform.admin.incremental_alter_configs([resource]).values():
        future.result(slowdown.seconds(30))


def produce(platform: Platform, value: object, **more: object) -> None:
    """One record with a key, a timestamp or headers of its own."""
    producer = Producer({**platform.settings.kafka_client_config(), "message.max.bytes": 100 << 20})
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    failed: list[object] = []
    producer.produce(platform.topic(), raw, partition=0, on_delivery=lambda error, _: failed.append(error), **more)
    assert producer.flush(slowdown.seconds(60)) == 0
    assert failed == [None]


def reasons(platform: Platform) -> list[str]:
    rows = platform.rows("SELECT quarantine_reason FROM RAW.EVENTS WHERE quarantine_reason IS NOT NULL ORDER BY 1")
    return [reason for (reason,) in rows]


def test_records_of_any_time_key_and_header_are_one_row_each_and_everything_goes_on(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "any_time", tmp_path)
    takes_anything(platform)
    now = int(time.time() * 1000)
    for timestamp in (now // 1000, now * 1000, 1, END_OF_TIME_MS + 1):
        produce(platform, listens(1)[0], timestamp=timestamp, key=b"\xff\x00key")
    offsets, backlog = read_kafka_backlog(platform.settings)
    assert (backlog.records, kafka_age(platform.settings, offsets) < FAR) == (4, True), "no alarm about an absurd age"
    for header in (b"", b"\xff" * 10, b"x" * 100_000, b"no coordinates", None):
        produce(platform, listens(1, first=1)[0], headers=[(REDRIVE_HEADER, header)])
    platform.produce(listens(3, first=2), partition=0)
    platform.ingest()
    assert (platform.count(), platform.count("redrive_of IS NOT NULL")) == (12, 0)
    assert len(reasons(platform)) == 4
    assert {reason[:30] for reason in reasons(platform)} == {"the record's Kafka timestamp: "[:30]}
    assert platform.count("quarantine_reason IS NOT NULL AND kafka_timestamp IS NULL AND key_base64 = '/wBrZXk='") == 4
    # Loading, lag, maintenance and the checks go on, and a rebuild makes a column that any query can return.
    assert lake_age(platform.settings, -1) < FAR
    assert read_lake_backlog(platform.settings, -1).records == 12
    maintain(platform.context)
    platform.command("rebuild", "--yes")
    assert platform.rows("SELECT COUNT(*), MIN(kafka_timestamp) > '2005-01-01' FROM RAW.EVENTS") == [(12, True)]
    assert platform.imbalances() == []
    # Sent again they get a time of the broker's, and the same key.
    assert "4 records sent" in platform.command("redrive")
    platform.ingest()
    assert platform.rows("SELECT SUM(redriven_valid) FROM OPS.QUARANTINE") == [(4,)], platform.lines


@pytest.mark.timeout(600)
def test_records_in_nanoseconds_over_which_spark_fails_are_one_row_each(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "nanoseconds", tmp_path)
    takes_anything(platform)
    now = int(time.time() * 1000)
    for wrong in range(3):
        platform.produce(listens(4, first=10 * wrong), partition=0)
        produce(platform, listens(1, first=10 * wrong + 5)[0], timestamp=now * 1_000_000, key=b"k")
    platform.produce(listens(6, first=100), partition=1)
    platform.ingest()
    platform.produce(listens(2, first=200), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (23, [])
    assert platform.count("kafka_timestamp IS NULL AND key_base64 = 'aw=='") == 3
    assert set(reasons(platform)) == {"the record's Kafka timestamp: above 253402300799999"}
    assert platform.ingest() == []
    platform.command("recover", "--yes")
    platform.produce(listens(1, first=300), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (24, [])


@pytest.mark.timeout(600)
def test_an_unreadable_record_is_one_row_wherever_its_batch_is_killed(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(stack, "nanokilled", tmp_path)
    takes_anything(platform)
    platform.produce(listens(4), partition=0)
    produce(platform, listens(1, first=5)[0], timestamp=int(time.time() * 1e9))
    platform.produce(listens(3, first=6), partition=0)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    # In the lake, but the stream does not know where to resume.
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "next_generation", die)
        with pytest.raises(KeyboardInterrupt):
            platform.ingest()
    platform.produce(listens(2, first=9), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (10, [])


@pytest.mark.timeout(600)
def test_a_record_longer_than_a_column_is_one_row_and_is_not_sent_again(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "too_long", tmp_path)
    takes_anything(platform, 32 << 20)
    produce(platform, b'{"a": "' + b"x" * MAX_RECORD_BYTES + b'"}')
    produce(platform, b"\xff" * MAX_RECORD_BYTES)
    platform.produce(listens(2), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (4, [])
    assert reasons(platform) == ["payload: longer than 12,582,912 bytes", "payload: not UTF-8"]
    assert platform.rows("SELECT extra:payload.bytes::INT FROM RAW.EVENTS WHERE extra IS NOT NULL") == [
        (MAX_RECORD_BYTES + 9,)
    ]
    # The topic takes less now than it did: what it refuses is named, and everything else is sent.
    takes_anything(platform, 1 << 20)
    platform.produce([b"no json"], partition=0)
    platform.ingest()
    shown = platform.command("redrive", fails=True)
    assert "1 records sent." in shown
    assert "RAW has only its beginning" in shown
    assert "Message size too large" in shown
    assert "2 records were not sent, and all others were" in shown
    platform.ingest()
    assert platform.rows("SELECT SUM(redriven) FROM OPS.QUARANTINE WHERE redrive_of IS NULL") == [(1,)]


def test_a_file_that_spark_cannot_read_holds_neither_files_nor_topics(stack: LocalStack, tmp_path: Path) -> None:
    platform = WithFiles(stack, "unreadable", tmp_path)
    for number in range(4):
        platform.drop(f"playback/{number}.jsonl", [PLAYBACK] * 10)
    # Hadoop compares a file with the checksum beside it, which is of another content.
    stale = Path(platform.settings.intake_root) / "playback" / ".2.jsonl.crc"
    stale.write_bytes(b"crc\x00\x00\x00\x02\x00" + os.urandom(4))
    platform.produce(listens(3))
    platform.ingest()
    assert (platform.count("source = 'file'"), platform.count("source = 'kafka'")) == (30, 3)
    assert [name for name in platform.left() if name.startswith("_rejected")]
    assert platform.imbalances() == []


def test_files_that_fail_hold_no_topic(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = WithFiles(stack, "held", tmp_path)
    platform.drop("playback/a.jsonl", [PLAYBACK])
    platform.produce(listens(3))

    def fail(*_: object) -> None:
        raise RuntimeError("no file is appended today")

    with monkeypatch.context() as patch:
        patch.setattr("music_platform.ingestion.intake.append_files", fail)
        with pytest.raises(RuntimeError, match="no file is appended today"):
            platform.ingest()
    assert (platform.count("source = 'kafka'"), platform.count("source = 'file'")) == (3, 0)
    with connect(platform.settings) as session:
        assert audit(session, platform.settings).complaints == [], "a batch that is promised is not missed"
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (4, [])
