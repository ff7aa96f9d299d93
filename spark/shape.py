"""Shape: the rows of the lake, one per record, good or bad, in the contract's columns.

Records of one shape (same topic, same keys in the same order, same types) are alike for every rule but the ranges. So a
shape is held against the contract once, its records are gathered, and their values become Arrow columns together, with
the ranges checked on whole columns. What this does not settle — unknown fields, a broken rule, a value out of range
— is looked at record by record. Both ways apply the rules of `spark.validate`; a property test holds them against
each other.
"""

import base64
import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from music_platform.contracts import events as contract
from music_platform.contracts.events import ColumnType, Field, JsonType
from spark.parse import TOO_DEEP, Name, exact, flatten, parse, refusal
from spark.validate import HOLDERS, KNOWN, PYTHON_TYPES, bounds, name_of, names_a_song, unknown, violation

#: Header of a redriven record: the coordinates of the record whose bytes it repeats.
REDRIVE_HEADER = "redrive-of"

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.string(),
    ColumnType.BIGINT: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
LAKE_SCHEMA = pa.schema([(c.column, ARROW_TYPES[c.sql_type]) for c in contract.lake_columns()])

_JSON_ARROW = {JsonType.STRING: pa.string(), JsonType.INTEGER: pa.int64(), JsonType.NUMBER: pa.float64(),
               JsonType.BOOLEAN: pa.bool_()}  # fmt: skip

#: What makes two records alike: topic, names, types of the values.
Shape = tuple[str, tuple[Name, ...], tuple[type, ...]]


@dataclass
class Alike:
    """Records of one settled shape: their numbers in the Arrow batch and their values, in the shape's order."""

    fields: tuple[Field | None, ...]
    numbers: list[int]
    values: list[Iterable[Any]]


def settled(shape: Shape, kind: str) -> tuple[Field | None, ...] | None:
    """The contract field of each value (None: skip it, it is null), if the shape alone breaks no rule; else None."""
    _, names, types = shape
    fields: list[Field | None] = []
    present: dict[Name, bool] = {}
    for name, found in zip(names, types, strict=True):
        field, null = KNOWN.get(name), found is type(None)
        if field is None and not (name in HOLDERS and null):
            return None
        if null:
            fields.append(None)
            continue
        if field is None or found not in PYTHON_TYPES[field.json_type]:
            return None
        fields.append(field)
        present[name] = True
    if any(kind in field.required_in and name_of(field) not in present for field in contract.FIELDS):
        return None
    return None if kind == contract.LISTEN and not names_a_song(present) else tuple(fields)


def lake_batches(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, str], topic_ids: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """The lake's rows for batches of records with topic, partition, offset, timestamp, value, headers, ingested_at.

    `kinds` maps each topic to its event kind, `topic_ids` to Kafka's id of it. The order of rows is not kept.
    """
    # Parsed records hold no cycles, but the collector visits them again and again: a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield from _lake_batches(batches, kinds, topic_ids)
    finally:
        if collecting:
            gc.enable()


def _lake_batches(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, str], topic_ids: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    known_shapes: dict[Shape, tuple[Field | None, ...] | None] = {}
    for records in batches:
        topics = records.column("topic").to_pylist()
        values = records.column("value").to_pylist()
        groups: dict[Shape, Alike] = {}
        others: list[int] = []
        for number, (topic, value) in enumerate(zip(topics, values, strict=True)):
            parsed = parse(value)
            if parsed is None:
                others.append(number)
                continue
            flat = flatten(parsed, HOLDERS)
            shape: Shape = (topic, tuple(flat), tuple(map(type, flat.values())))
            if shape not in known_shapes:
                known_shapes[shape] = settled(shape, kinds[topic])
            fields = known_shapes[shape]
            if fields is None:
                others.append(number)
                continue
            alike = groups.get(shape)
            if alike is None:
                alike = groups[shape] = Alike(fields, [], [])
            alike.numbers.append(number)
            alike.values.append(flat.values())
        origin = _Origin.of(records, kinds, topic_ids)
        for alike in groups.values():
            columns = _columns(alike, origin.kafka_ms)
            if columns is None:
                others.extend(alike.numbers)
            else:
                yield _lake_batch(origin.take(alike.numbers), columns)
        if others:
            singly = [_single(values[n], kinds[topics[n]], origin.kafka_ms[n].as_py()) for n in sorted(others)]
            columns = {name: pa.array([row.get(name) for row in singly], ARROW_TYPES[kind]) for name, kind in _SINGLE}
            yield _lake_batch(origin.take(sorted(others)), columns)


def _columns(alike: Alike, kafka_ms: pa.Array) -> dict[str, pa.Array] | None:
    """Contract columns of records of one shape; None if any value of them is out of range."""
    columns: dict[str, pa.Array] = {}
    for field, values in zip(alike.fields, zip(*alike.values, strict=True), strict=True):
        if field is None:
            continue
        try:
            array = pa.array(values, _JSON_ARROW[field.json_type])
        except (OverflowError, pa.ArrowInvalid):
            return None
        low, high = bounds(field)
        if low is not None or high is not None:
            found = pc.min_max(array).as_py()
            if (low is not None and found["min"] < low) or (high is not None and found["max"] > high):
                return None
        if field.not_empty and pc.any(pc.equal(array, "")).as_py():
            return None
        columns[field.column] = array.cast(ARROW_TYPES[field.sql_type])
    latest = pc.add(kafka_ms.take(pa.array(alike.numbers)), contract.MAX_AHEAD_MS)
    return None if pc.any(pc.greater(columns["ts"], latest)).as_py() else columns


_SINGLE: tuple[tuple[str, ColumnType], ...] = (
    *((f.column, f.sql_type) for f in contract.FIELDS),
    ("extra", ColumnType.STRING),
    ("payload", ColumnType.STRING),
    ("payload_base64", ColumnType.STRING),
    ("quarantine_reason", ColumnType.STRING),
)


def _single(value: bytes | None, kind: str, kafka_ms: int) -> dict[str, Any]:
    """Contract and outcome columns of one record, by every rule in turn."""
    parsed = parse(value)
    if parsed is None or value is None:
        return _quarantined(value, refusal(value))
    try:
        return _row(value, flatten(exact(value), HOLDERS), kind, kafka_ms)
    except RecursionError:
        return _quarantined(value, TOO_DEEP)


def _row(value: bytes, record: dict[Name, Any], kind: str, kafka_ms: int) -> dict[str, Any]:
    if reason := violation(record, kind, kafka_ms):
        return _quarantined(value, reason)
    row = {field.column: record.get(name) for name, field in KNOWN.items()}
    for field in contract.FIELDS:
        if field.sql_type is ColumnType.STRING and isinstance(row[field.column], int):
            row[field.column] = str(row[field.column])
    rest = unknown(record)
    return {**row, "extra": _as_json(rest) if rest else None}


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quarantined(value: bytes | None, reason: str) -> dict[str, Any]:
    row: dict[str, Any] = {"quarantine_reason": reason}
    if value is not None:
        try:
            row["payload"] = value.decode("utf-8")
        except UnicodeDecodeError:
            row["payload_base64"] = base64.b64encode(value).decode("ascii")
    return row


@dataclass
class _Origin:
    """Columns that say where records came from, one row each."""

    columns: dict[str, pa.Array]
    kafka_ms: pa.Array

    @classmethod
    def of(cls, records: pa.RecordBatch, kinds: Mapping[str, str], topic_ids: Mapping[str, str]) -> "_Origin":
        topics = records.column("topic").to_pylist()
        timestamp = records.column("timestamp").cast(ARROW_TYPES[ColumnType.TIMESTAMP])
        columns = {
            "source": pa.array(["kafka"] * len(topics), pa.string()),
            "kafka_topic": pa.array(topics, pa.string()),
            "kafka_topic_id": pa.array([topic_ids[topic] for topic in topics], pa.string()),
            "kafka_partition": records.column("partition").cast(pa.int64()),
            "kafka_offset": records.column("offset").cast(pa.int64()),
            "kafka_timestamp": timestamp,
            "event_kind": pa.array([kinds[topic] for topic in topics], pa.string()),
            "redrive_of": pa.array(map(_redrive_of, records.column("headers").to_pylist()), pa.string()),
            "ingested_at": records.column("ingested_at").cast(ARROW_TYPES[ColumnType.TIMESTAMP]),
        }
        return cls(columns, pc.divide(timestamp.cast(pa.int64()), 1000))

    def take(self, numbers: list[int]) -> dict[str, pa.Array]:
        wanted = pa.array(numbers, pa.int64())
        return {name: column.take(wanted) for name, column in self.columns.items()}


def _redrive_of(headers: list[dict[str, Any]] | None) -> str | None:
    for header in reversed(headers or []):
        if header["key"] == REDRIVE_HEADER and header["value"] is not None:
            return bytes(header["value"]).decode("utf-8", errors="replace")
    return None


def _lake_batch(origin: dict[str, pa.Array], found: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Rows of the lake from where the records came from and what was found in them."""
    columns = {**origin, **found}
    rows = len(origin["source"])
    valid = pc.is_null(columns["quarantine_reason"]) if "quarantine_reason" in columns else pa.array([True] * rows)
    coordinates = pc.binary_join_element_wise(
        columns["kafka_topic_id"],
        columns["kafka_partition"].cast(pa.string()),
        columns["kafka_offset"].cast(pa.string()),
        "/",
    )
    ids = [columns[name] for name in ("event_id", "redrive_of") if name in columns]
    columns["event_id"] = pc.coalesce(*ids, coordinates)
    version = columns.get("schema_version", pa.nulls(rows, pa.int64()))
    columns["schema_version"] = pc.if_else(valid, pc.fill_null(version, 1), None)
    columns["event_time"] = pc.multiply(columns["ts"], 1000).cast(ARROW_TYPES[ColumnType.TIMESTAMP])
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in LAKE_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=LAKE_SCHEMA)
