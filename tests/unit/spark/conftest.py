"""The lake's rows for given payloads, by the job's own step, without Spark and without Kafka."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from music_platform.contracts import events as contract
from music_platform.contracts import shapes
from music_spark.shape import lake_batches

KAFKA_TIMESTAMP = datetime(2026, 11, 2, tzinfo=UTC)
SHAPES = {topic: shapes.own(kind) for kind, topic in contract.TOPICS.items()}


def encoded(payload: Any) -> bytes | None:
    if payload is None or isinstance(payload, bytes):
        return payload
    return (payload if isinstance(payload, str) else json.dumps(payload)).encode()


def lake_rows(
    payloads: list[Any],
    topic: str = "listen_events",
    redrive_of: str | None = None,
    written: list[int] | None = None,
    key: bytes | None = None,
) -> list[SimpleNamespace]:
    """The lake's row of each payload (bytes, text, an object for JSON, or None), in order. `written` are the records'
    timestamps in epoch milliseconds."""
    size = len(payloads)
    epoch_us = [ms * 1000 for ms in written or [int(KAFKA_TIMESTAMP.timestamp() * 1000)] * size]
    timestamps = pa.array(epoch_us, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    records = pa.record_batch(
        {
            "topic": pa.array([topic] * size),
            "partition": pa.array([1] * size, pa.int32()),
            "offset": pa.array(range(size), pa.int64()),
            "timestamp": timestamps,
            "key": pa.array([key] * size, pa.binary()),
            "value": pa.array(map(encoded, payloads), pa.binary()),
            "redrive_of": pa.array([redrive_of] * size, pa.string()),
        }
    )
    batches = lake_batches([records], SHAPES | shapes.mapped(), {topic: "topic-id"})
    rows = [SimpleNamespace(**row) for batch in batches for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row.kafka_offset)


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., list[SimpleNamespace]]:
    return lake_rows
