"""Shape: the rows of the lake, one per record, valid or not, in the contract's columns.

Records with the same schema fingerprint (same shape and kind, same keys in the same order, same types) pass or fail
every rule together, except the rules about values. So each fingerprint is checked against the contract once. Its
records are grouped and become Arrow columns together, with the rules about values checked on whole columns. Records
with unknown fields, a broken rule or a value out of range are checked one by one. Both paths apply the rules of
`music_spark.validate`; a property test compares them.
"""

import base64
import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from music_platform.contracts import events as contract
from music_platform.contracts.events import ColumnType, Field, JsonType, Name
from music_platform.contracts.shapes import Case, Shape
from music_spark.parse import TOO_DEEP, flatten, parse, parse_exact, parse_problem
from music_spark.validate import (
    FILE_TIMESTAMP,
    KAFKA_TIMESTAMP,
    PYTHON_TYPES,
    bounds,
    epoch_ms,
    is_blank,
    names_a_song,
    origin_violation,
    unknown_fields,
    violation,
)

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.string(),
    ColumnType.BIGINT: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
RECORD_SCHEMA = pa.schema([(c.column, ARROW_TYPES[c.sql_type]) for c in contract.record_columns()])

_JSON_ARROW = {JsonType.STRING: pa.string(), JsonType.INTEGER: pa.int64(), JsonType.NUMBER: pa.float64(),
               JsonType.BOOLEAN: pa.bool_(), JsonType.TIME: pa.int64()}  # fmt: skip

#: Bytes of a payload that is too long that its row keeps.
KEPT_BYTES = 1 << 20
EXTRA_TOO_LONG = f"payload: unknown fields longer than {contract.MAX_TEXT_BYTES:,} bytes"

#: The shape of a record, its kind among the shape's cases, the names of its fields and the types of their values.
SchemaFingerprint = tuple[str, str, tuple[Name, ...], tuple[type, ...]]


@dataclass
class RecordGroup:
    """Records with one fingerprint: case, fields in the order of their names, their numbers in the batch, and the
    records, flattened."""

    case: Case
    fields: tuple[Field | None, ...]
    numbers: list[int]
    records: list[dict[Name, Any]]


def fields_of(fingerprint: SchemaFingerprint, shape: Shape) -> tuple[Field | None, ...] | None:
    """The field of each value (None: skip the value, it is null or has no column). None if the fingerprint breaks a
    rule or has unknown fields: its records are then checked one by one."""
    _, kind, names, types = fingerprint
    fields: list[Field | None] = []
    present: dict[Name, bool] = {}
    for name, found in zip(names, types, strict=True):
        field, null = shape.known.get(name), found is type(None)
        if field is None and not (name in shape.holders and null):
            return None
        if null:
            fields.append(None)
            continue
        if field is None or found not in PYTHON_TYPES[field.json_type]:
            return None
        fields.append(field if field.column else None)
        present[name] = True
    if any(kind in field.required_in and name not in present for name, field in shape.known.items()):
        return None
    return None if kind == contract.LISTEN and not names_a_song(present, shape) else tuple(fields)


def lake_batches(
    batches: Iterable[pa.RecordBatch], shapes: Mapping[str, Shape], topic_ids: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """The lake's rows for batches of records with topic, partition, offset, timestamp, key, value, redrive_of.

    `shapes` maps each topic to the shape of its records, `topic_ids` to Kafka's id of it. The order of rows is not
    kept.
    """
    ingested_at = datetime.now(UTC)
    with _garbage_collection_paused():
        for records in batches:
            topics = records.column("topic").to_pylist()
            origin = _topic_origin(records, topic_ids, ingested_at)
            yield from lake_rows(records.column("value").to_pylist(), [shapes[topic] for topic in topics], origin)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Parsed records have no cycles, but the garbage collector visits them again and again: a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def lake_rows(values: list[bytes | None], shapes: list[Shape], origin: "Origin") -> Iterator[pa.RecordBatch]:
    """The lake's rows for records, from each one's bytes and shape and where it came from."""
    fields_by_fingerprint: dict[SchemaFingerprint, tuple[Field | None, ...] | None] = {}
    groups: dict[SchemaFingerprint, RecordGroup] = {}
    one_by_one: list[int] = []
    before: Shape | None = None
    refused = origin.refused()
    for number, (shape, value) in enumerate(zip(shapes, values, strict=True)):
        if refused and number in refused:
            one_by_one.append(number)
            continue
        if shape is not before:
            before, holders, kind_field, only = shape, shape.holders, shape.kind_field, shape.cases.get("")
        parsed = parse(value)
        if parsed is None:
            one_by_one.append(number)
            continue
        flat = flatten(parsed, holders)
        case = only or shape.case(flat)
        if case is None:
            one_by_one.append(number)
            continue
        kind_value = "" if kind_field is None else flat[kind_field]
        fingerprint: SchemaFingerprint = (shape.name, kind_value, tuple(flat), tuple(map(type, flat.values())))
        group = groups.get(fingerprint)
        if group is None:
            if fingerprint not in fields_by_fingerprint:
                fields_by_fingerprint[fingerprint] = fields_of((shape.name, case.kind, *fingerprint[2:]), shape)
            fields = fields_by_fingerprint[fingerprint]
            if fields is None:
                one_by_one.append(number)
                continue
            group = groups[fingerprint] = RecordGroup(case, fields, [], [])
        group.numbers.append(number)
        group.records.append(flat)
    for group in groups.values():
        columns = _columns(group, origin.written_ms)
        if columns is None:
            one_by_one.extend(group.numbers)
        else:
            rows = len(group.numbers)
            constants = {"event_kind": group.case.kind, **group.case.columns}
            columns |= {name: pa.array([text] * rows, pa.string()) for name, text in constants.items()}
            yield _lake_batch(origin.take(group.numbers), columns)
    if one_by_one:
        one_by_one.sort()
        found = [
            _single(values[n], shapes[n], origin.written_ms[n].as_py(), origin.written, origin.key(n))
            for n in one_by_one
        ]
        columns = {name: pa.array([row.get(name) for row in found], ARROW_TYPES[kind]) for name, kind in _SINGLE}
        yield _lake_batch(origin.take(one_by_one), columns)


def _columns(group: RecordGroup, written_ms: pa.Array) -> dict[str, pa.Array] | None:
    """Contract columns of a group of records; None if any value breaks a rule."""
    columns: dict[str, pa.Array] = {}
    named = [(name, field) for name, field in zip(group.records[0], group.fields, strict=True) if field is not None]
    try:
        arrays = _arrays(group.records, named)
    except (ValueError, OverflowError):
        return None
    for (_, field), array in zip(named, arrays, strict=True):
        low, high = bounds(field)
        if low is not None or high is not None:
            reached = pc.min_max(array).as_py()
            if (low is not None and reached["min"] < low) or (high is not None and reached["max"] > high):
                return None
        if field.json_type is JsonType.STRING:
            blank = pc.equal(pc.utf8_trim(array, contract.BLANKS), "")
            if pc.any(blank).as_py():
                if field.not_empty or field.column in _IDENTIFYING or group.case.kind in field.required_in:
                    return None
                array = pc.if_else(blank, None, array)
        columns[field.column] = array.cast(ARROW_TYPES[field.sql_type])
    latest = pc.add(written_ms.take(pa.array(group.numbers)), contract.MAX_AHEAD_MS)
    return None if pc.any(pc.greater(columns["ts"], latest)).as_py() else columns


def _as_it_is(value: Any) -> Any:
    return value


def _arrays(records: list[dict[Name, Any]], named: list[tuple[Name, Field]]) -> list[pa.Array]:
    """The records' values of each field. Raises ValueError or OverflowError where one fits into no column."""
    plain = [(n, f) for n, f in named if isinstance(n, str) and f.json_type is not JsonType.TIME]
    # All at once: twice as fast as a list of values for each column.
    together = pa.array(records, pa.struct([(name, _JSON_ARROW[field.json_type]) for name, field in plain]))
    found: dict[Name, pa.Array] = {name: together.field(place) for place, (name, _) in enumerate(plain)}
    for name, field in named:
        if name not in found:
            read = epoch_ms if field.json_type is JsonType.TIME else _as_it_is
            found[name] = pa.array([read(record[name]) for record in records], _JSON_ARROW[field.json_type])
    return [found[name] for name, _ in named]


#: Columns whose blank decides about other fields: a listen names its song by id, or else by artist and title.
_IDENTIFYING = {contract.SONG_ID_COLUMN, *contract.SONG_NAME_COLUMNS}

_SINGLE: tuple[tuple[str, ColumnType], ...] = (
    ("event_kind", ColumnType.STRING),
    *((f.column, f.sql_type) for f in contract.FIELDS),
    ("extra", ColumnType.STRING),
    ("payload", ColumnType.STRING),
    ("payload_base64", ColumnType.STRING),
    ("key_base64", ColumnType.STRING),
    ("quarantine_reason", ColumnType.STRING),
)


def _single(
    value: bytes | None, shape: Shape, written_ms: int, written: str = KAFKA_TIMESTAMP, key: bytes | None = None
) -> dict[str, Any]:
    """Contract and outcome columns of one record, checked rule by rule."""
    if written == KAFKA_TIMESTAMP and (reason := origin_violation(written_ms)):
        return _quarantined(value, key, reason, shape)
    parsed = parse(value)
    if parsed is None or value is None:
        return _quarantined(value, key, parse_problem(value), shape)
    try:
        record = flatten(parse_exact(value), shape.holders)
        if reason := violation(record, shape, written_ms, written):
            return _quarantined(value, key, reason, shape, shape.case(record))
        row = _row(record, shape)
    except RecursionError:
        return _quarantined(value, key, TOO_DEEP, shape)
    # Written out, 1e15 is four times as long.
    if row["extra"] and len(row["extra"].encode()) > contract.MAX_TEXT_BYTES:
        return _quarantined(value, key, EXTRA_TOO_LONG, shape, shape.case(record))
    return row


def _row(record: dict[Name, Any], shape: Shape) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, field in shape.known.items():
        found = record.get(name)
        if field.json_type is JsonType.TIME and found is not None:
            found = epoch_ms(found)
        elif field.sql_type is ColumnType.STRING and isinstance(found, int):
            found = str(found)
        elif is_blank(found):
            found = None
        if field.column:
            row[field.column] = found
    case, rest = shape.case(record), unknown_fields(record, shape)
    assert case is not None, "a record without a case breaks a rule"
    return {**row, **case.columns, "event_kind": case.kind, "extra": _as_json(rest) if rest else None}


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quarantined(
    value: bytes | None, key: bytes | None, reason: str, shape: Shape, case: Case | None = None
) -> dict[str, Any]:
    # If the shape has a single kind of record, a broken record is of that kind too.
    case = case or (shape.cases[""] if shape.kind_field is None else None)
    row: dict[str, Any] = {"quarantine_reason": reason, "event_kind": case.kind if case else None}
    too_long = {
        name: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()}
        for name, part in (("payload", value), ("key", key))
        if part is not None and len(part) > contract.MAX_RECORD_BYTES
    }
    if too_long:
        row["extra"] = _as_json(too_long)
    if key is not None and "key" not in too_long:
        row["key_base64"] = base64.b64encode(key).decode("ascii")
    if value is not None and "payload" in too_long:
        row["payload"] = value[:KEPT_BYTES].decode("utf-8", "replace")
    elif value is not None:
        try:
            row["payload"] = value.decode("utf-8")
        except UnicodeDecodeError:
            row["payload_base64"] = base64.b64encode(value).decode("ascii")
    return row


@dataclass
class Origin:
    """Where records came from: columns with one row per record, coordinates that identify each one, and when each was
    written (`written_ms`, epoch milliseconds). `written` names that time in messages."""

    columns: dict[str, pa.Array]
    coordinates: pa.Array
    written_ms: pa.Array
    written: str
    keys: pa.Array | None = None

    def refused(self) -> set[int]:
        """Numbers of the records that their origin alone has quarantined."""
        if self.written != KAFKA_TIMESTAMP:
            return set()
        return set(np.flatnonzero(~_in_range(self.written_ms).to_numpy(zero_copy_only=False)).tolist())

    def key(self, number: int) -> bytes | None:
        """The key of a record; None if it has none."""
        return None if self.keys is None else self.keys[number].as_py()

    def take(self, numbers: list[int]) -> dict[str, pa.Array]:
        """The columns of some records, with their coordinates under ''."""
        wanted = pa.array(numbers, pa.int64())
        return {name: column.take(wanted) for name, column in {**self.columns, "": self.coordinates}.items()}


def _topic_origin(records: pa.RecordBatch, topic_ids: Mapping[str, str], ingested_at: datetime) -> Origin:
    topics = records.column("topic").to_pylist()
    timestamp = records.column("timestamp").cast(ARROW_TYPES[ColumnType.TIMESTAMP])
    written_ms = pc.divide(timestamp.cast(pa.int64()), 1000)
    ids = pa.array([topic_ids[topic] for topic in topics], pa.string())
    partition, offset = records.column("partition").cast(pa.int64()), records.column("offset").cast(pa.int64())
    columns = {
        "source": pa.array(["kafka"] * len(topics), pa.string()),
        "kafka_topic": pa.array(topics, pa.string()),
        "kafka_topic_id": ids,
        "kafka_partition": partition,
        "kafka_offset": offset,
        "kafka_timestamp": pc.if_else(_in_range(written_ms), timestamp, None),
        "redrive_of": records.column("redrive_of"),
        "ingested_at": pa.array([ingested_at] * len(topics), ARROW_TYPES[ColumnType.TIMESTAMP]),
    }
    coordinates = pc.binary_join_element_wise(ids, partition.cast(pa.string()), offset.cast(pa.string()), "/")
    return Origin(columns, coordinates, written_ms, KAFKA_TIMESTAMP, records.column("key"))


def _in_range(written_ms: pa.Array) -> pa.Array:
    """Whether each time is one that `origin_violation` accepts."""
    return pc.and_(
        pc.greater_equal(written_ms, contract.EARLIEST_TS), pc.less_equal(written_ms, contract.END_OF_TIME_MS)
    )


def file_origin(file: str, lines: int, first: int, modified_ms: int, ingested_at: datetime) -> Origin:
    """The origin of a file's lines, numbered from `first`."""
    numbers = pa.array(range(first, first + lines), pa.int64())
    name = pa.array([file] * lines, pa.string())
    columns = {
        "source": pa.array(["file"] * lines, pa.string()),
        "source_file": name,
        "source_line": numbers,
        "ingested_at": pa.array([ingested_at] * lines, ARROW_TYPES[ColumnType.TIMESTAMP]),
    }
    coordinates = pc.binary_join_element_wise(name, numbers.cast(pa.string()), ":")
    return Origin(columns, coordinates, pa.array([modified_ms] * lines, pa.int64()), FILE_TIMESTAMP)


def _lake_batch(origin: dict[str, pa.Array], found: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Rows of the lake, from the origin of the records and what was found in them."""
    columns = {**origin, **found}
    rows = len(columns["source"])
    valid = pc.is_null(columns["quarantine_reason"]) if "quarantine_reason" in columns else pa.array([True] * rows)
    coordinates = columns.pop("")
    ids = [columns[name] for name in ("event_id", "redrive_of") if name in columns]
    columns["event_id"] = pc.coalesce(*ids, coordinates)
    version = columns.get("schema_version", pa.nulls(rows, pa.int64()))
    columns["schema_version"] = pc.if_else(valid, pc.fill_null(version, 1), None)
    columns["event_time"] = pc.multiply(columns["ts"], 1000).cast(ARROW_TYPES[ColumnType.TIMESTAMP])
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in RECORD_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=RECORD_SCHEMA)
