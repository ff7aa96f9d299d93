"""Results as the connector reads them: columns with Snowflake's types, rows as Arrow in Snowflake's layout.

fakesnow knows 16 of DuckDB's types and answers the others with an HTTP 500. It plans each statement a second time to
find the types, and returns NULL timestamps as 1970-01-01.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snowflake_local._fakesnow import ColumnInfo

#: A timestamp is sent as (seconds, nanoseconds), one with a time zone also has its minutes from UTC plus 1440.
_NTZ = [pa.field("epoch", pa.int64(), nullable=False), pa.field("fraction", pa.int32(), nullable=False)]
_TZ = [*_NTZ, pa.field("timezone", pa.int32(), nullable=False)]
UTC_OFFSET = 1440
TEXT_LENGTH, BINARY_LENGTH = 16_777_216, 8_388_608


def column(name: str, duckdb_type: str) -> ColumnInfo:
    """A result column as the server describes it."""
    kind, precision, scale, length = _snowflake_type(duckdb_type)
    return {
        "name": name, "database": "", "schema": "", "table": "", "nullable": True, "type": kind,
        "byteLength": length, "length": length, "scale": scale, "precision": precision, "collation": None,
    }  # fmt: skip


def columns(description: Sequence[Sequence[Any]] | None) -> list[ColumnInfo]:
    """The columns of the result that a DuckDB connection holds."""
    return [column(str(name), str(kind)) for name, kind, *_ in description or ()]


def _snowflake_type(duckdb_type: str) -> tuple[str, int | None, int | None, int | None]:
    """(type, precision, scale, length). Types that Snowflake does not have become text."""
    if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", duckdb_type):
        return "fixed", int(found[1]), int(found[2]), None
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", duckdb_type):
        return "fixed", 38, 0, None
    if duckdb_type in ("DOUBLE", "FLOAT"):
        return "real", None, None, None
    if duckdb_type in ("BOOLEAN", "DATE"):
        return duckdb_type.lower(), None, None, None
    if duckdb_type == "TIME":
        return "time", 0, 9, None
    if duckdb_type == "TIMESTAMP WITH TIME ZONE":
        return "timestamp_tz", 0, 9, None
    if duckdb_type.startswith("TIMESTAMP"):
        return "timestamp_ntz", 0, 9, None
    if duckdb_type == "BLOB":
        return "binary", None, None, BINARY_LENGTH
    if duckdb_type == "JSON" or duckdb_type.endswith("]") or duckdb_type.startswith(("STRUCT", "MAP")):
        return "variant", None, None, None
    return "text", None, None, TEXT_LENGTH


def to_ipc(table: pa.Table, described: Sequence[ColumnInfo]) -> bytes:
    """The rows as an Arrow stream in Snowflake's layout."""
    arrays = [_encode(chunks.combine_chunks()) for chunks in table.columns]
    fields = [
        pa.field(info["name"], array.type).with_metadata(
            {
                "logicalType": info["type"].upper(),
                "precision": str(info["precision"] or 38),
                "scale": str(info["scale"] or 0),
                "charLength": str(info["length"] or 0),
            }
        )
        for array, info in zip(arrays, described, strict=True)
    ]
    converted = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, converted.schema) as writer:
        writer.write_table(converted)
    return bytes(sink.getvalue())


def _encode(array: Any) -> Any:
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _timestamp(array)
    if pa.types.is_time(kind):
        return pc.multiply(array.cast(pa.time64("us")).cast(pa.int64()), 1000)
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_nested(kind):
        return _as_text(array, lambda value: json.dumps(value, default=str))
    if pa.types.is_uint64(kind):
        return array.cast(pa.decimal128(38, 0))
    if pa.types.is_unsigned_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_float32(kind):
        return array.cast(pa.float64())
    if pa.types.is_interval(kind) or pa.types.is_duration(kind):
        return _as_text(array, str)
    return array


def _as_text(array: Any, write: Any) -> Any:
    return pa.array([None if value is None else write(value) for value in array.to_pylist()], pa.string())


def _timestamp(array: Any) -> Any:
    """Seconds and nanoseconds. NULLs are kept by the struct's own mask."""
    zoned = array.type.tz is not None
    nulls = pc.is_null(array)
    microseconds = pc.fill_null(array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), 0)
    # Rounded down, so that times before 1970 have a positive fraction.
    remainder = pc.subtract(microseconds, pc.multiply(pc.divide(microseconds, 1_000_000), 1_000_000))
    remainder = pc.if_else(pc.less(remainder, 0), pc.add(remainder, 1_000_000), remainder)
    seconds = pc.divide(pc.subtract(microseconds, remainder), 1_000_000)
    parts = [seconds, pc.multiply(remainder, 1000).cast(pa.int32())]
    if zoned:
        parts.append(pa.repeat(pa.scalar(UTC_OFFSET, pa.int32()), len(array)))
    return pa.StructArray.from_arrays(parts, fields=_TZ if zoned else _NTZ, mask=nulls)


def dml_stats(table: pa.Table | None) -> dict[str, int] | None:
    """`cursor.stats`, from the row of counts that DML returns; else None. dbt reads rows_inserted from it."""
    if table is None or table.num_rows != 1:
        return None
    counted = {
        word: int(table.column(name)[0].as_py() or 0)
        for name in table.column_names
        for word in ("inserted", "updated", "deleted")
        if name.lower() == f"number of rows {word}"
    }
    if not counted:
        return None
    return {f"numRows{word.capitalize()}": counted.get(word, 0) for word in ("inserted", "updated", "deleted")} | {
        "numDmlDuplicates": 0
    }
