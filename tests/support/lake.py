"""A lake without Kafka and Spark: records, shaped by the streaming job's code, in Parquet files with a Delta log."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from music_platform.contracts.events import TOPICS
from music_platform.contracts.shapes import own
from music_spark.shape import RECORD_SCHEMA, lake_batches

KIND_OF_TOPIC = {topic: kind for kind, topic in TOPICS.items()}
SHAPES = {topic: own(kind) for topic, kind in KIND_OF_TOPIC.items()}
TOPIC_IDS = {topic: f"id-of-{topic}" for topic in KIND_OF_TOPIC}
INPUT_SCHEMA = pa.schema([
    ("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("timestamp", pa.timestamp("us", "UTC")),
    ("key", pa.binary()), ("value", pa.binary()), ("redrive_of", pa.string()),
])  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A record of a topic: its bytes, its place and the time of its production in epoch milliseconds."""

    topic: str
    offset: int
    value: bytes | None
    timestamp_ms: int
    partition: int = 0
    redrive_of: str | None = None


def records_of(folder: Path, produced_from: datetime) -> list[Record]:
    """The records of a simulation written to files, topic by topic, with their times. Those of a simulation without
    them are as if produced one a millisecond."""
    start = int(produced_from.replace(tzinfo=UTC).timestamp() * 1000)
    records: list[Record] = []
    for topic in KIND_OF_TOPIC:
        offset = 0
        for file in sorted((folder / topic).glob("*.jsonl")):
            lines, times = file.read_bytes().splitlines(), file.with_suffix(".times")
            at = map(int, times.read_text().split()) if times.exists() else count(start + offset)
            records += (Record(topic, offset + n, line, time) for n, (line, time) in enumerate(zip(lines, at)))  # noqa: B905
            offset += len(lines)
    return records


def rows_of(records: Iterable[Record], ingested_at: datetime | None = None) -> pa.Table:
    """The lake's rows for these records, ingested now or at a given time."""
    rows = [
        {
            "topic": r.topic, "partition": r.partition, "offset": r.offset, "timestamp": r.timestamp_ms * 1000,
            "value": r.value, "redrive_of": r.redrive_of,
        }
        for r in records
    ]  # fmt: skip
    batches = pa.Table.from_pylist(rows, INPUT_SCHEMA).to_batches(max_chunksize=50_000)
    table = pa.Table.from_batches(lake_batches(batches, SHAPES, TOPIC_IDS), RECORD_SCHEMA)
    if ingested_at is None:
        return table
    at = table.schema.get_field_index("ingested_at")
    return table.set_column(at, table.field(at), pa.array([ingested_at] * len(table), table.field(at).type))


class Lake:
    """A Delta table to which each `append` adds a version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._log = root / "_delta_log"
        self._log.mkdir(parents=True)

    @property
    def versions(self) -> int:
        """Number of versions."""
        return len(list(self._log.iterdir()))

    def append(self, rows: pa.Table) -> int:
        """Commit the rows as the next version; returns its number."""
        version, name = self.versions, f"part-{uuid.uuid4()}.parquet"
        pq.write_table(rows, self.root / name)
        now = int(datetime.now(UTC).timestamp() * 1000)
        add = {"path": name, "dataChange": True, "stats": json.dumps({"numRecords": rows.num_rows})}
        lines: Sequence[object] = [{"commitInfo": {"timestamp": now}}, *([{"add": add}] if rows.num_rows else [])]
        (self._log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, lines)) + "\n")
        return version
