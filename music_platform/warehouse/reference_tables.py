"""Reference CSVs → RAW.SONGS, RAW.ARTISTS, RAW.USERS. Each table is replaced in one transaction."""

import hashlib
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from music_platform.contracts.events import ColumnType
from music_platform.contracts.reference import ReferenceTable
from music_platform.errors import PlatformError
from music_platform.warehouse.connection import transaction
from music_platform.warehouse.copy import copy_statement, loaded_rows
from music_platform.warehouse.schema import literal
from music_platform.warehouse.staging import REFERENCE_FOLDER

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_ARROW = {
    ColumnType.STRING: pa.string(),
    ColumnType.BIGINT: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
}


class ReferenceFileError(PlatformError):
    """A reference CSV violates its contract; the table is unchanged."""


@dataclass(frozen=True)
class ReferenceLoad:
    """A loaded CSV: its number of rows, and the SHA-256 of the file."""

    rows: int
    sha256: str


def read_reference(table: ReferenceTable, path: Path) -> pa.Table:
    """The CSV's rows in the contract's columns. Raises ReferenceFileError, which says what is wrong."""
    wanted = {column.column: _ARROW[column.sql_type] for column in table.columns}
    try:
        found = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=wanted, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
            ),
        )
    except pa.ArrowInvalid as error:
        raise ReferenceFileError(f"{path} is not a CSV of {table.name}: {error}") from error
    for name in sorted(table.optional - {*found.column_names}):
        found = found.append_column(name, pa.nulls(found.num_rows, wanted[name]))
    if missing := [name for name in wanted if name not in found.column_names]:
        raise ReferenceFileError(f"{path} lacks the columns {', '.join(missing)}; it needs {', '.join(wanted)}")
    chosen = found.select(list(wanted))
    keys = chosen.column(table.key)
    if keys.null_count or len(keys.unique()) != len(keys):
        raise ReferenceFileError(f"{path}: {table.key} has empty or duplicate values. Fix the file and load it again.")
    return chosen


def load_reference(session: "SnowflakeConnection", table: ReferenceTable, path: Path) -> ReferenceLoad:
    """Replace the table's rows with the CSV's. Raises ReferenceFileError and leaves the table unchanged."""
    rows = read_reference(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    target, cursor = f"RAW.{table.name.upper()}", session.cursor()
    with tempfile.TemporaryDirectory() as scratch:
        # A name of its own: who loads the same file beside this removes its own copy.
        parquet = Path(scratch) / f"{table.name}-{digest[:16]}-{uuid.uuid4().hex[:8]}.parquet"
        pq.write_table(rows, parquet)
        cursor.execute(f"PUT {literal(f'file://{parquet}')} @{REFERENCE_FOLDER} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
    try:
        copied = _replace_rows(session, table, target, parquet.name, rows.num_rows)
    finally:
        # No masking policy covers a stage, and the file has the users' names.
        cursor.execute(f"REMOVE @{REFERENCE_FOLDER}/{parquet.name}")
    return ReferenceLoad(copied, digest)


def _replace_rows(session: "SnowflakeConnection", table: ReferenceTable, target: str, file: str, rows: int) -> int:
    with transaction(session) as cursor:
        cursor.execute(f"DELETE FROM {target}")
        # The table was just emptied, so COPY must load the file even if it has loaded it before.
        statement = copy_statement(target, table.columns, REFERENCE_FOLDER, [file], {}, force=True)
        copied = 0
        if rows:
            cursor.execute(statement)
            copied = loaded_rows(cursor.fetchall())
        if copied != rows:
            raise ReferenceFileError(f"{target}: COPY loaded {copied} of {rows} rows; rolled back")
    return copied
