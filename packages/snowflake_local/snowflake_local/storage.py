"""What the warehouse keeps on disk, and how it comes back after a restart.

    <root>/databases/<NAME>.db   one DuckDB file a database, attached at start
    <root>/catalogue.db          stages, file formats and lengths of text columns
    <root>/stages/               staged files
    <root>/incoming/             uploads that are not whole yet; emptied at start
    <root>/spill/                what DuckDB has no memory for

fakesnow by itself keeps the last three in memory or in the system's folder for temporary files, and opens a database
only when a client names it.
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

#: fakesnow writes names of databases into its SQL as they are.
PLAIN_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
#: Results that RESULT_SCAN and a client's late fetch can still find; the oldest go first.
RESULTS_KEPT = 64
RESULTS_KEPT_BYTES = 64 * 2**20
#: Bytes of the engine's log after which it checkpoints.
CHECKPOINT_THRESHOLD = "256MB"
#: Seconds that a statement waits for a table that another transaction changes.
LOCK_TIMEOUT = 120.0


class AlreadyOpenError(RuntimeError):
    """Another process has the files open."""


class ResultCache(OrderedDict[str, tuple[Any, ...]]):
    """fakesnow's store of results by query id, with a bound: its own grows for ever."""

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
    """Bytes of a result's table; measured anew it would cost more than a small statement itself."""
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
        # Looked up by fakesnow at each use: staged files have to outlive the process.
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
            self.drop_stages(*scope)  # of sessions that a crash ended
        for file in sorted(self.databases_dir.glob("*.db")):
            self._open_database(file.stem)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the open databases."""
        return self._duck.cursor()

    def databases(self) -> list[str]:
        """Names of the databases that are open."""
        with self.cursor() as duck:
            found = duck.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
        return sorted(name for (name,) in found if name not in ("memory", CATALOGUE_DATABASE))

    def create_database(self, name: str) -> bool:
        """Open or make a database with its schema PUBLIC. False if it was there."""
        if not PLAIN_NAME.fullmatch(name):
            raise sql_error(
                f"Database name '{name}': the local warehouse takes letters, digits and _ only.", 1003, "42000"
            )
        with self._creating:
            if name.upper() in (known.upper() for known in self.databases()):
                return False
            self._open_database(name)
            return True

    def drop_database(self, name: str) -> None:
        """Close a database and remove its file."""
        with self._creating:
            self._duck.execute(f"DETACH {quoted(name)}")
            for file in self.databases_dir.glob(f"{name}.db*"):
                file.unlink()
        self.forget(name)

    def forget(self, *scope: str) -> None:
        """Drop what the catalogue has of a database, or of a schema in it: stages with their files, file formats."""
        self.drop_stages(*scope)
        self._delete_from(FILE_FORMATS, scope)

    def drop_stages(self, *scope: str) -> None:
        """Drop the stages of a database, of a schema in it, or one stage in that, with their files."""
        self._delete_from(STAGES, scope)
        # A quoted name may hold anything; one that is a path must not lead out of the stages.
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
        """Make a schema unless it is there."""
        with self._creating, self.cursor() as duck:
            duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}.{quoted(schema)}")

    def close(self) -> None:
        """Write everything into the database files and let go of them."""
        for name in [*self.databases(), CATALOGUE_DATABASE]:
            self._duck.execute(f"CHECKPOINT {quoted(name)}")
        self._duck.close()

    def _open_database(self, name: str) -> None:
        self._attach(self.databases_dir / f"{name}.db", name)
        # Each can be repeated: a database whose making was cut short is completed at the next start.
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
                    f"Another process has the local warehouse in {self.root} open: {error}"
                ) from error
            raise


def _connect(root: Path, memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        # sqlglot still writes lambdas with an arrow, as fakesnow's own connection allows.
        "lambda_syntax": "ENABLE_SINGLE_ARROW",
        "temp_directory": str(root / "spill"),
        # Nothing is fetched from the network behind anybody's back.
        "autoinstall_known_extensions": False,
        # Log that is kept before it goes into the database's file. At the engine's 16 MB each build of the models would
        # pay for it once or twice, a tenth of its time; this much is read in a second or two after a crash.
        "checkpoint_threshold": CHECKPOINT_THRESHOLD,
    }
    if memory_limit:
        config["memory_limit"] = memory_limit
    duck = duckdb.connect(":memory:", config=config)
    duck.execute("SET GLOBAL TimeZone = 'UTC'")
    return duck
