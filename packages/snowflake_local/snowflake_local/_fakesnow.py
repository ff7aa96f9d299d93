"""Everything that this package takes from fakesnow, most of it private. No other module imports fakesnow.

fakesnow promises none of these names. `versions` therefore refuses to start with any version but the one they were
taken from.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from fakesnow import copy_into, info_schema, macros, transforms
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.expr import normalise_ident
from fakesnow.rowtype import ColumnInfo
from fakesnow.statement_type import DML_TYPE_IDS, statement_type_id
from fakesnow.transforms import SERVER_VERSION, show, stage
from sqlglot import exp

from snowflake_local.walks import Walks

__all__ = [
    "DML_TYPE_IDS", "SERVER_VERSION", "ColumnInfo", "normalise_ident", "statement_type_id",
]  # fmt: skip

# fakesnow makes a folder for staged files as it is imported, and leaves it. `keep_stages_in` chooses another one.
with suppress(OSError):
    Path(stage.LOCAL_BUCKET_PATH).rmdir()

# --- the catalogue --------------------------------------------------------------------------------------------------

#: The database in which fakesnow keeps its catalogue of all databases.
CATALOGUE_DATABASE = "_fs_global"
SCHEMA = "_fs_information_schema"
CATALOGUE = f"{CATALOGUE_DATABASE}.{SCHEMA}"
STAGES = f"{CATALOGUE}._fs_stages"
FILE_FORMATS = f"{CATALOGUE}._fs_file_formats"
TEXT_LENGTHS = f"{CATALOGUE}._fs_columns_ext"
#: In each database: the files that COPY has loaded.
LOAD_HISTORY = f"{SCHEMA}._fs_load_history"


def catalogue_sql() -> tuple[str, ...]:
    """Statements that create the tables and views of the catalogue."""
    return info_schema.fs_global_creation_sql(), show.fs_global_creation_sql()


def database_sql(name: str) -> tuple[str, ...]:
    """Statements that create INFORMATION_SCHEMA and functions in one database."""
    return info_schema.per_db_creation_sql(name), macros.creation_sql(name)


# --- connections and cursors ----------------------------------------------------------------------------------------

Params = list[Any] | dict[str, Any] | None


class Connection(FakeSnowflakeConnection):
    """fakesnow's connection: the current database and schema, session variables, results by query id."""

    @property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """The connection to DuckDB."""
        return self._duck_conn

    @property
    def variable_values(self) -> dict[str, str]:
        """The SQL of each session variable (SET name = …), by its name as written."""
        return dict(self.variables._variables)

    def set_current(self, database: str | None, schema: str | None) -> None:
        """Record the current database and schema."""
        self.database, self._schema = database, schema
        self.database_set, self.schema_set = database is not None, schema is not None


class TranslatingCursor(FakeSnowflakeCursor):
    """fakesnow's cursor, step by step: split a statement, translate each part, run it."""

    @property
    def duck(self) -> duckdb.DuckDBPyConnection:
        """The connection to DuckDB."""
        return self._duck_conn

    @property
    def rows(self) -> Any:
        """The result as an Arrow table, in DuckDB's types."""
        return self._arrow_table

    def replace_rows(self, rows: Any) -> None:
        """Replace the result by another Arrow table."""
        self._arrow_table = rows

    def set_row_count(self, count: int) -> None:
        """Set the number of rows that the statement changed."""
        self._rowcount = count  # type: ignore[assignment]  # fakesnow's own type is too narrow

    def split(self, statement: exp.Expr) -> list[exp.Expr]:
        """The statements that one statement becomes, still in Snowflake's SQL."""
        return self._transform_explode(statement)

    def translate(self, statement: exp.Expr, params: Params) -> exp.Expr:
        """The statement in DuckDB's SQL."""
        walks = Walks(statement)
        self._transform(walks, params)  # type: ignore[arg-type]  # it only calls `transform`
        return walks.tree

    def execute_translated(self, statement: exp.Expr, params: Params) -> None:
        """Run a DuckDB statement and take over its result."""
        self._execute(statement, params)


def take_text_lengths(translated: Iterable[exp.Expr]) -> list[tuple[str, int]]:
    """Remove and return the (column, n) of each VARCHAR(n) of a CREATE, which fakesnow would store itself."""
    return [length for part in translated for length in part.args.pop("text_lengths", None) or ()]


def drop_table_comment(translated: Iterable[exp.Expr]) -> None:
    """Remove the table's comment from a CREATE, which fakesnow would store itself."""
    for part in translated:
        part.args.pop("table_comment", None)


# --- stages and COPY ------------------------------------------------------------------------------------------------


def keep_stages_in(folder: Path) -> None:
    """Store staged files in `folder` instead of the system's folder for temporary files."""
    stage.LOCAL_BUCKET_PATH = str(folder)


def stage_folder(name: str, connection: Connection) -> str:
    """The folder of a stage (DB.SCHEMA.NAME, %TABLE …). Raises Snowflake's error if it does not exist."""
    parts = stage.parts_from_var(name, connection.database, connection.schema)
    lookup = stage.stage_lookup_sql(*parts, connection.table_stages)
    if (found := connection.duck.execute(lookup).fetchone()) is None:
        raise stage.not_found_error(".".join(parts))
    return stage.internal_dir(found[0])


def is_internal_stage(source: str) -> bool:
    """Whether COPY's source is a folder of staged files rather than a URL."""
    return stage.is_internal(source)


#: fakesnow's own function for COPY's FILES: (source, file names) → URLs.
external_urls: Callable[[str, list[str]], list[str]] = copy_into._source_urls


def replace_copy_functions(
    source_urls: Callable[[str, list[str]], list[str]], strip_json_extract: Callable[[exp.Select], exp.Select]
) -> None:
    """Replace two of COPY's functions."""
    # mypy wants the parameters' names to match; a Callable has none.
    copy_into._source_urls = source_urls  # type: ignore[assignment]
    copy_into._strip_json_extract = strip_json_extract  # type: ignore[assignment]


def keep_numeric_types() -> None:
    """Stop fakesnow from casting the arguments of SUM and AVG to DOUBLE: sums of NUMBERs came back as floats."""
    transforms.numeric_agg_implicit_cast = lambda expression: expression
