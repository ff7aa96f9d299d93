"""Sends quarantined records again, once their cause is fixed.

Each goes, byte for byte and with its key, to the partition that it came from, with a header that names the original
record. That becomes its event id, so redriving twice adds no second event. Rows stay as they are: `OPS.QUARANTINE`
shows which were redriven, and with what result.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from music_platform.contracts.events import MAX_RECORD_BYTES, REDRIVE_HEADER
from music_platform.settings import Settings
from music_platform.warehouse.schema import QUARANTINE, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Records that are in memory at once; each page is acknowledged before the next one is read.
PAGE = 100
#: Seconds within which the brokers have to acknowledge a page.
ACKNOWLEDGE_SECONDS = 60


@dataclass(frozen=True)
class Quarantined:
    """A quarantined record: its origin's coordinates, its topic and partition, the reason, and the bytes of its key and
    value (None for none). `is_whole`: the row has all of them, because they were not too long."""

    origin: str
    topic: str
    partition: int
    reason: str
    value: bytes | None
    key: bytes | None = None
    is_whole: bool = True


@dataclass
class Sent:
    """What became of the records: how many the brokers acknowledged, and of each other one its origin and why."""

    acknowledged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def chosen(reason: str | None, topic: str | None, limit: int | None) -> str:
    """Query of the quarantined original records without a valid row yet, each once, oldest first."""
    conditions = ["redriven_valid = 0"]
    if reason is not None:
        conditions.append(f"STARTSWITH(quarantine_reason, {literal(reason)})")
    if topic is not None:
        conditions.append(f"kafka_topic = {literal(topic)}")
    return (
        "SELECT origin, kafka_topic, kafka_partition, quarantine_reason, payload, payload_base64, key_base64, is_cut "
        f"FROM {QUARANTINE} WHERE {' AND '.join(conditions)} "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY origin ORDER BY kafka_timestamp, kafka_offset) = 1 "
        f"ORDER BY kafka_timestamp, kafka_partition, kafka_offset{f' LIMIT {limit}' if limit else ''}"
    )


def counts(
    session: "SnowflakeConnection", *, reason: str | None, topic: str | None, limit: int | None
) -> dict[tuple[str, str], int]:
    """How many of these records there are, by topic and reason."""
    cursor = session.cursor()
    cursor.execute(
        f"SELECT kafka_topic, quarantine_reason, COUNT(*) FROM ({chosen(reason, topic, limit)}) AS records "
        "GROUP BY kafka_topic, quarantine_reason ORDER BY 1, 2"
    )
    rows: Any = cursor.fetchall()
    return {(topic, why): int(count) for topic, why, count in rows}


def quarantined(
    session: "SnowflakeConnection", *, reason: str | None, topic: str | None, limit: int | None
) -> Iterator[Quarantined]:
    """These records, a page of them in memory."""
    cursor = session.cursor()
    cursor.execute(chosen(reason, topic, limit))
    while rows := cursor.fetchmany(PAGE):
        for origin, name, number, why, text, coded, key, is_cut in rows:
            value = original(text, coded)
            yield Quarantined(origin, name, int(number), why, value, original(None, key), not is_cut)


def original(text: str | None, coded: str | None) -> bytes | None:
    """The record's original bytes."""
    return base64.b64decode(coded) if coded is not None else text.encode() if text is not None else None


def send(settings: Settings, records: Iterable[Quarantined]) -> Sent:
    """Send the records to their original partitions. One that fails keeps no other one back."""
    from confluent_kafka import Producer

    producer = Producer({
        **settings.kafka_client_config(), "enable.idempotence": True, "acks": "all", "log_level": 0,
        "message.timeout.ms": ACKNOWLEDGE_SECONDS * 1000,
        # Whether a record is too large is for the brokers to say.
        "message.max.bytes": MAX_RECORD_BYTES * 3,
    })  # fmt: skip
    sent = Sent()
    waiting: set[str] = set()
    for record in records:
        _produce(producer, record, sent, waiting)
        if len(waiting) >= PAGE:
            _settle(producer, sent, waiting)
    _settle(producer, sent, waiting)
    return sent


def _produce(producer: Any, record: Quarantined, sent: Sent, waiting: set[str]) -> None:
    if not record.is_whole:
        sent.failed.append((record.origin, "RAW has only its beginning: it is too long. Send it from its source."))
        return

    def delivered(error: object, _message: object) -> None:
        waiting.discard(record.origin)
        if error is None:
            sent.acknowledged += 1
        else:
            sent.failed.append((record.origin, str(error)))

    from confluent_kafka import KafkaException

    waiting.add(record.origin)
    while True:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                headers=[(REDRIVE_HEADER, record.origin.encode())],
                on_delivery=delivered,
            )
            return
        except BufferError:
            producer.poll(0.5)
        except KafkaException as error:
            delivered(error.args[0], None)
            return


def _settle(producer: Any, sent: Sent, waiting: set[str]) -> None:
    """Wait until every record that was handed over is acknowledged, or has failed."""
    producer.flush(ACKNOWLEDGE_SECONDS + 10)
    sent.failed += [(origin, "no broker acknowledged it in time") for origin in sorted(waiting)]
    waiting.clear()
