"""The warehouse's files, and how they are opened again after a restart.

    <root>/databases/<NAME>.db   one DuckDB file for each database, attached at start
    <root>/catalogue.db          stages, file formats and lengths of text columns
    <root>/stages/               staged files
    <root>/incoming/             incomplete uploads; emptied at start
    <root>/spill/                what does not fit into DuckDB's memory

fakesnow itself keeps its catalogue in memory and staged files in the system's folder for temporary files, and opens a
database only when a client names it.
"""

import re
import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import duckdb

from snowflake_local import _fakesnow, catalogue
from snowflake_local._fakesnow import CATALOGUE_DATABASE, FILE_FORMATS, STAGES
from snowflake_local.errors import sql_error
from snowflake_local.locks import TableLocks
from snowflake_local.quoting import literal, quoted

#: fakesnow writes database names into its SQL without quotes.
PLAIN_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
#: Results kept for RESULT_SCAN and late fetches; the oldest are dropped first.
RESULTS_KEPT = 64
RESULTS_KEPT_BYTES = 64 * 2**20
#: Size of DuckDB's write-ahead log at which it checkpoints.
CHECKPOINT_THRESHOLD = "256MB"
#: Longest wait, in seconds, for a table that another transaction is changing.
LOCK_TIMEOUT = 120.0


class AlreadyOpenError(RuntimeError):
    """Another process has opened the files."""


class ResultCache(OrderedDict[str, tuple[Any, ...]]):
    """Results by query id, for fakesnow. Its own store grows without limit."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._bytes = 0

    def __setitem__(self, query_id: str, result: tuple[Any, ...]) -> None:
        with self._guard:
            self._bytes += _size(result) - _size(self.get(query_id))
            super().__setitem__(query_id, result)
            while len(self) > RESULTS_KEPT or (self._bytes > RESULTS_KEPT_BYTES and self):
                self._bytes -= _size(self.popitem(last=False)[1])


def _size(result: tuple[Any, ...] | None) -> int:
    """Bytes of a result's table."""
    return result[0].nbytes if result is not None and result[0] is not None else 0


class Storage:
    """The databases, the catalogue and the stages under one folder, opened by one process at a time."""

    def __init__(self, root: Path, memory_limit: str | None = None) -> None:
        self.root = root.resolve()
        self.databases_dir = self.root / "databases"
        self.stages_dir = self.root / "stages"
        self.incoming_dir = self.root / "incoming"
        shutil.rmtree(self.incoming_dir, ignore_errors=True)
        for folder in (self.databases_dir, self.stages_dir, self.incoming_dir):
            folder.mkdir(parents=True, exist_ok=True)
        # Staged files have to survive the process.
        _fakesnow.keep_stages_in(self.stages_dir)
        self.results = ResultCache()
        self.locks = TableLocks(LOCK_TIMEOUT)
        self._creating = threading.Lock()
        self._duck = _connect(self.root, memory_limit)
        self._attach(self.root / "catalogue.db", CATALOGUE_DATABASE)
        for sql in (*_fakesnow.catalogue_sql(), *catalogue.ACCOUNT_VIEWS):
            self._duck.execute(sql)
        temporary = f"SELECT database_name, schema_name, name FROM {STAGES} WHERE type LIKE '%TEMPORARY'"
        for scope in self._duck.execute(temporary).fetchall():
            self.drop_stages(*scope)  # their sessions ended with a crash
        for file in sorted(self.databases_dir.glob("*.db")):
            self._open_database(file.stem)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection to the open databases."""
        return self._duck.cursor()

    def databases(self) -> list[str]:
        """Names of the open databases."""
        with self.cursor() as duck:
            found = duck.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
        return sorted(name for (name,) in found if name not in ("memory", CATALOGUE_DATABASE))

    def create_database(self, name: str) -> bool:
        """Create or open a database with its schema PUBLIC. False if it was open already."""
        if not PLAIN_NAME.fullmatch(name):
            raise sql_error(
                f"Database name '{name}': use letters, digits and _ only in the local warehouse.", 1003, "42000"
            )
        with self._creating:
            if name.upper() in (known.upper() for known in self.databases()):
                return False
            self._open_database(name)
            return True

    def drop_database(self, name: str) -> None:
        """Close a database and delete its file."""
        with self._creating:
            self._duck.execute(f"DETACH {quoted(name)}")
            for file in self.databases_dir.glob(f"{name}.db*"):
                file.unlink()
        self.forget(name)

    def forget(self, *scope: str) -> None:
        """Drop the stages, with their files, and the file formats of a database or of one of its schemas."""
        self.drop_stages(*scope)
        self._delete_from(FILE_FORMATS, scope)

    def drop_stages(self, *scope: str) -> None:
        """Drop the stages of a database or of one of its schemas, or a single stage, with their files."""
        self._delete_from(STAGES, scope)
        # A quoted name may be a path, which must not lead out of the stages.
        if not any("/" in name or name in ("", ".", "..") for name in scope):
            shutil.rmtree(self.stages_dir.joinpath(*scope), ignore_errors=True)

    def _delete_from(self, table: str, scope: tuple[str, ...]) -> None:
        where = " AND ".join(f"{part} = ?" for part in ("database_name", "schema_name", "name")[: len(scope)])
        with self.cursor() as duck:
            duck.execute(f"DELETE FROM {table} WHERE {where}", list(scope))

    def has_schema(self, database: str, schema: str) -> bool:
        """Whether a database has a schema."""
        with self.cursor() as duck:
            sql = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
            return duck.execute(sql, [database, schema]).fetchone() is not None

    def create_schema(self, database: str, schema: str) -> None:
        """Create a schema if it does not exist."""
        with self._creating, self.cursor() as duck:
            duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}.{quoted(schema)}")

    def close(self) -> None:
        """Write everything to the database files and close them."""
        for name in [*self.databases(), CATALOGUE_DATABASE]:
            self._duck.execute(f"CHECKPOINT {quoted(name)}")
        self._duck.close()

    def _open_database(self, name: str) -> None:
        self._attach(self.databases_dir / f"{name}.db", name)
        # Each can be repeated: if creating a database was interrupted, the next start completes it.
        for sql in (
            *_fakesnow.database_sql(name),
            f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}.PUBLIC",
            *catalogue.database_views(name),
        ):
            self._duck.execute(sql)

    def _attach(self, file: Path, name: str) -> None:
        try:
            self._duck.execute(f"ATTACH {literal(str(file))} AS {quoted(name)}")
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise AlreadyOpenError(
                    f"Another process has opened the local warehouse in {self.root}. Stop it first. ({error})"
                ) from error
            raise


def _connect(root: Path, memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        # sqlglot writes lambdas with an arrow, which fakesnow's own connection allows too.
        "lambda_syntax": "ENABLE_SINGLE_ARROW",
        "temp_directory": str(root / "spill"),
        # Never download extensions.
        "autoinstall_known_extensions": False,
        # With DuckDB's 16 MB a dbt build checkpoints once or twice, which takes a tenth of its time. A log of this size
        # is replayed within two seconds after a crash.
        "checkpoint_threshold": CHECKPOINT_THRESHOLD,
    }
    if memory_limit:
        config["memory_limit"] = memory_limit
    duck = duckdb.connect(":memory:", config=config)
    duck.execute("SET GLOBAL TimeZone = 'UTC'")
    return duck
