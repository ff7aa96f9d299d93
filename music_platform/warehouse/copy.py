"""The COPY statements, generated from the contract."""

from collections.abc import Iterable, Mapping, Sequence

from music_platform.contracts.events import SNOWFLAKE_TYPES, Column, ColumnType
from music_platform.warehouse.schema import literal

#: Maximum number of names in `FILES = (…)`.
MAX_FILES = 1_000


def copy_statement(
    table: str,
    columns: Iterable[Column],
    stage: str,
    files: Sequence[str],
    constants: Mapping[str, str],
    force: bool = False,
) -> str:
    """COPY of staged Parquet files into `table`.

    Each column is read by name and cast to its type; VARIANT columns are JSON text in the files. `constants` fills
    columns that the files lack: column → SQL expression.
    """
    if len(files) > MAX_FILES:
        raise ValueError(f"COPY takes {MAX_FILES} files at a time, not {len(files)}")
    read = {c.column: _from_file(c) for c in columns if c.column not in constants}
    chosen = {**read, **constants}
    names = ", ".join(literal(name) for name in files)
    return (
        f"COPY INTO {table} ({', '.join(chosen)}) "
        f"FROM (SELECT {', '.join(chosen.values())} FROM @{stage}/) "
        f"FILES = ({names}) FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
        f"{' FORCE = TRUE' if force else ''} ON_ERROR = ABORT_STATEMENT"
    )


def _from_file(column: Column) -> str:
    if column.sql_type is ColumnType.VARIANT:
        return f"PARSE_JSON($1:{column.column}::VARCHAR)"
    return f"$1:{column.column}::{SNOWFLAKE_TYPES[column.sql_type]}"


def loaded_rows(result: Iterable[Sequence[object]]) -> int:
    """Rows that COPY reports as loaded; 0 for a skipped file. Columns: file, status, rows parsed, rows loaded, …"""
    return sum(int(str(row[3])) for row in result if len(row) > 3 and row[1] == "LOADED")
