"""Versions of what models say: their rows stay for a while, a ledger names the current one, and a view shows it.

A version is loaded and made current in one transaction, so readers see the last one until the next is whole. Going back
to an older version changes the ledger only. The ledger is one of those in OPS. The tables are in GOLD and belong to the
role that builds the marts: a session here has that role.
"""

import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from music_platform.contracts.events import Column, ColumnType
from music_platform.errors import PlatformError
from music_platform.warehouse.connection import rows_of, transaction
from music_platform.warehouse.copy import copy_statement, loaded_rows
from music_platform.warehouse.schema import MODEL_VERSIONS, create_table, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: The ledger of publications.
LEDGER = MODEL_VERSIONS
#: The stage through which their rows are loaded.
STAGE = "GOLD.MODEL_FILES"
#: Versions of a model whose rows are kept, the current one included.
KEPT = 3

T = ColumnType
VERSION = Column("version", T.STRING, "Version of the model that says so.")


@dataclass(frozen=True)
class View:
    """A view that reads what a model says: its full name, what it shows, and its query."""

    name: str
    description: str
    query: str


@dataclass(frozen=True)
class ModelTable:
    """What a model says: a view of this name in GOLD, over a table with all kept versions, and views that read it."""

    model: str
    description: str
    columns: tuple[Column, ...]
    readers: tuple[View, ...] = ()

    @property
    def view(self) -> str:
        """The view that readers query."""
        return f"GOLD.{self.model.upper()}"

    @property
    def versions(self) -> str:
        """The table below it."""
        return f"GOLD.{self.model.upper()}_VERSIONS"


@dataclass(frozen=True)
class Version:
    """A publication in the ledger."""

    version: str
    as_of: date
    is_current: bool


class ModelVersionError(PlatformError):
    """A version could not be published; the one before stays."""


def create_tables(session: "SnowflakeConnection", table: ModelTable) -> None:
    """Create what is missing: stage, table and views."""
    cursor = session.cursor()
    cursor.execute(create_table(table.versions, f"{table.description} All kept versions.", (VERSION, *table.columns)))
    cursor.execute(f"CREATE STAGE IF NOT EXISTS {STAGE}")
    columns = ", ".join(f"said.{column.column}" for column in (VERSION, *table.columns))
    cursor.execute(
        f"CREATE OR REPLACE VIEW {table.view} COMMENT = {literal(table.description)} AS SELECT {columns} "
        f"FROM {table.versions} AS said JOIN {LEDGER} AS ledger ON ledger.version = said.version "
        f"AND ledger.model = {literal(table.model)} AND ledger.is_current"
    )
    for reader in table.readers:
        cursor.execute(
            f"CREATE OR REPLACE VIEW {reader.name} COMMENT = {literal(reader.description)} AS {reader.query}"
        )


def versions(session: "SnowflakeConnection", table: ModelTable) -> list[Version]:
    """The kept versions, newest first."""
    rows = rows_of(
        session,
        f"SELECT version, as_of, is_current FROM {LEDGER} WHERE model = {literal(table.model)} "
        "ORDER BY published_at DESC, version",
    )
    return [Version(str(version), as_of, bool(current)) for version, as_of, current in rows]


def publish(
    session: "SnowflakeConnection",
    table: ModelTable,
    version: str,
    as_of: date,
    rows: pa.Table,
    metrics: Mapping[str, object],
) -> None:
    """Load the rows as this version and make it the current one. The same version again replaces itself.

    Raises ModelVersionError; the version that was current then still is.
    """
    cursor = session.cursor()
    name = f"{table.model}-{version}-{uuid.uuid4().hex[:8]}.parquet"
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / name
        pq.write_table(rows.append_column("version", pa.array([version] * rows.num_rows, pa.string())), file)
        cursor.execute(f"PUT {literal(f'file://{file}')} @{STAGE} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
    model = literal(table.model)
    try:
        with transaction(session) as own:
            own.execute(f"DELETE FROM {table.versions} WHERE version = {literal(version)}")
            own.execute(copy_statement(table.versions, (VERSION, *table.columns), STAGE, [name], {}, force=True))
            copied = loaded_rows(own.fetchall())
            if copied != rows.num_rows:
                raise ModelVersionError(f"{table.versions}: COPY loaded {copied} of {rows.num_rows} rows; rolled back")
            own.execute(f"UPDATE {LEDGER} SET is_current = FALSE WHERE model = {model}")
            own.execute(f"DELETE FROM {LEDGER} WHERE model = {model} AND version = {literal(version)}")
            own.execute(
                f"INSERT INTO {LEDGER} (model, version, as_of, published_at, is_current, metrics) SELECT {model}, "
                f"{literal(version)}, {literal(as_of.isoformat())}::DATE, SYSDATE(), TRUE, "
                f"{literal(orjson.dumps(metrics).decode())}"
            )
            for old in versions(session, table)[KEPT:]:
                own.execute(f"DELETE FROM {table.versions} WHERE version = {literal(old.version)}")
                own.execute(f"DELETE FROM {LEDGER} WHERE model = {model} AND version = {literal(old.version)}")
    finally:
        cursor.execute(f"REMOVE @{STAGE}/{name}")


def go_back(session: "SnowflakeConnection", table: ModelTable, version: str) -> None:
    """Make a kept version the current one again. Raises ModelVersionError if it is not kept."""
    kept = [known.version for known in versions(session, table)]
    if version not in kept:
        raise ModelVersionError(
            f"{table.model} has no version {version}. Kept are {', '.join(kept) or 'none'}; choose one of them."
        )
    with transaction(session) as cursor:
        cursor.execute(
            f"UPDATE {LEDGER} SET is_current = (version = {literal(version)}) WHERE model = {literal(table.model)}"
        )
