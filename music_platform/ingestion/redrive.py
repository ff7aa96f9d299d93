"""Redrive: after a fix, send quarantined records again, with their original bytes to their original topic.

The header `redrive-of` has the coordinates of the original record, the one that the producer wrote, however often it
was redriven since. An event without its own id gets its id from there, so redriving it twice is one event in silver.
Existing rows do not change; OPS.QUARANTINE shows which were redriven and which have a valid row by now.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_platform.contracts.events import REDRIVE_HEADER
from music_platform.settings import Settings
from music_platform.warehouse.schema import QUARANTINE, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


@dataclass(frozen=True)
class Quarantined:
    """A quarantined record: its origin's coordinates, its topic and partition, the reason, and its bytes (None for a
    tombstone)."""

    origin: str
    topic: str
    partition: int
    reason: str
    value: bytes | None


def quarantined(
    session: "SnowflakeConnection", *, reason: str | None, topic: str | None, limit: int | None
) -> list[Quarantined]:
    """Each quarantined original record without a valid row yet, once, oldest first."""
    chosen = ["redriven_valid = 0"]
    if reason is not None:
        chosen.append(f"STARTSWITH(quarantine_reason, {literal(reason)})")
    if topic is not None:
        chosen.append(f"kafka_topic = {literal(topic)}")
    cursor = session.cursor()
    cursor.execute(
        "SELECT origin, kafka_topic, kafka_partition, quarantine_reason, payload, payload_base64 "
        f"FROM {QUARANTINE} WHERE {' AND '.join(chosen)} "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY origin ORDER BY kafka_timestamp, kafka_offset) = 1 "
        f"ORDER BY kafka_timestamp, kafka_partition, kafka_offset{f' LIMIT {limit}' if limit else ''}"
    )
    rows: Any = cursor.fetchall()
    return [Quarantined(o, t, int(p), why, original(text, coded)) for o, t, p, why, text, coded in rows]


def original(text: str | None, coded: str | None) -> bytes | None:
    """The record's original bytes."""
    return base64.b64decode(coded) if coded is not None else text.encode() if text is not None else None


def send(settings: Settings, records: Iterable[Quarantined]) -> int:
    """Send the records to their original partitions; returns how many were not acknowledged."""
    from confluent_kafka import Producer

    producer = Producer({**settings.kafka_client_config(), "enable.idempotence": True, "acks": "all", "log_level": 0})
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    for record in records:
        headers: list[tuple[str, str | bytes | None]] = [(REDRIVE_HEADER, record.origin.encode())]
        while True:
            try:
                producer.produce(
                    record.topic, record.value, partition=record.partition, headers=headers, on_delivery=delivered
                )
                break
            except BufferError:
                producer.poll(0.5)
    return len(failed) + int(producer.flush(60))
