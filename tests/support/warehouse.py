"""A test's own database on the session's warehouse: provisioned, loaded by the loader, built by dbt."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_platform.contracts.reference import TABLES
from music_platform.environment import variables_set
from music_platform.lake.delta_log import DeltaTable
from music_platform.orchestration.warm_dbt import name_flags_at_once
from music_platform.settings import Settings
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import load
from music_platform.warehouse.reference_tables import load_reference
from music_platform.warehouse.schema import provision_warehouse
from tests.support import slowdown

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: One name for all tests, so that dbt reads the project once for all of them.
DATABASE = "MARTS"
PROJECT = Path(__file__).parents[2] / "dbt_project"
QUERIES = Path(__file__).parents[2] / "queries"
FLAGS = ("--no-use-colors", "--no-send-anonymous-usage-stats", "--profiles-dir", str(PROJECT))
QUIET = ("--quiet", "--log-level-file", "none", "--project-dir", str(PROJECT))
#: A test that would only warn fails here.
STRICT = ("--warn-error-options", json.dumps({"error": ["LogTestResult", "NoNodesForSelectionCriteria"]}))
DBT = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")

Rows = list[dict[str, Any]]


@dataclass
class BuildError(Exception):
    """dbt did not succeed."""

    output: str

    def __str__(self) -> str:
        return self.output[-6000:]


@dataclass
class TestWarehouse:
    """The database, the lake that it is loaded from, and a scratch folder."""

    settings: Settings
    scratch: Path
    session: "SnowflakeConnection" = field(repr=False)
    #: dbt's arguments that choose what a build is of.
    selection: tuple[str, ...] = ()
    __test__ = False

    def load(self, lake: Path) -> int:
        """Load all versions of the lake that are not in RAW; returns their number."""
        return sum(1 for _ in load(self.session, DeltaTable(str(lake))))

    def load_reference(self, folder: Path) -> None:
        """Load songs.csv, artists.csv and users.csv."""
        for table in TABLES:
            load_reference(self.session, table, folder / f"{table.name}.csv")

    def dbt_variables(self) -> dict[str, str]:
        """Variables that connect dbt to this database."""
        return {
            "WAREHOUSE_PORT": str(self.settings.warehouse_port),
            "MUSIC_SECRET": self.settings.music_secret or "",
            "SNOWFLAKE_DATABASE": self.settings.snowflake_database,
            "DBT_TARGET_PATH": str(self.scratch / "target"),
            "DBT_LOG_PATH": str(self.scratch / "logs"),
        }

    def start_dbt(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a dbt command."""
        return subprocess.Popen(
            [*DBT, *arguments, *FLAGS],
            cwd=PROJECT, env=os.environ | self.dbt_variables(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def dbt(self, *arguments: str) -> str:
        """Run a dbt command in this process; returns its log, raises BuildError."""
        from dbt.cli.main import dbtRunner

        name_flags_at_once()
        lines: list[str] = []
        with variables_set(self.dbt_variables()):
            runner = dbtRunner(manifest(), [lambda event: lines.append(event.info.msg)])
            result = runner.invoke([*arguments, *FLAGS, *QUIET, *STRICT])
        output = "\n".join(lines)
        if not result.success:
            raise BuildError(f"{output}\n{result.exception or ''}")
        return output

    def build(self, *arguments: str, tests: bool = False) -> str:
        """Build the models, the first time also the seeds; with `tests` also the data tests and unit tests."""
        seeded = self.scratch / "seeded"
        left_out = () if tests else ("test", "unit_test", *(["seed"] if seeded.exists() else []))
        seeded.touch()
        chosen = () if "--select" in arguments else self.selection
        exclusions = (part for kind in left_out for part in ("--exclude-resource-type", kind))
        return self.dbt("build", "--no-write-json", *exclusions, *chosen, *arguments)

    def narrow_to_models_of(self, source: str) -> None:
        """From now on, builds are of the models that this text names and of what they are made from, unless they choose
        for themselves. A text that names none leaves them as they are."""
        with variables_set(self.dbt_variables()):
            nodes = manifest().nodes.values()
        models = [node.name for node in nodes if node.resource_type == "model"]
        if named := [name for name in models if re.search(rf"\b{name}\b", source, re.IGNORECASE)]:
            self.selection = ("--select", *(f"+{name}" for name in named))

    def killed_build(self, after: int) -> None:
        """Start a build and kill it, inside a transaction, after this many of its models are done."""
        done = "select count(*) from OPS.BUILDS"
        before = self.value(done)
        process = self.start_dbt("run", *self.selection)
        while process.poll() is None and self.value(done) < before + after:
            time.sleep(0.01)
        assert process.poll() is None, "the build ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=slowdown.seconds(60))

    def query(self, sql: str) -> Rows:
        """Rows of a query, column names in lower case."""
        cursor = self.session.cursor()
        cursor.execute(sql)
        names = [column.name.lower() for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        (row,) = self.query(sql)
        (value,) = row.values()
        return value

    def question(self, name: str, **parameters: str) -> Rows:
        """Rows of a sample question; a parameter is a `SET` variable that the file gives a default."""
        text = (QUERIES / f"{name}.sql").read_text()
        for key, value in parameters.items():
            text = re.sub(rf"(?im)^set {key} = .*;$", f"set {key} = {value};", text)
        statements = [part for part in text.split(";") if part.strip()]
        for statement in statements[:-1]:
            self.session.cursor().execute(statement)
        return self.query(statements[-1])

    def tables(self, *schemas: str) -> list[str]:
        """Names of the tables of these schemas."""
        wanted = ", ".join(f"'{schema}'" for schema in schemas)
        rows = self.query(
            f"select table_schema || '.' || table_name as name from information_schema.tables "
            f"where table_schema in ({wanted}) and table_type = 'BASE TABLE' order by 1"
        )
        return [row["name"] for row in rows]

    def snapshot(self, *schemas: str) -> dict[str, list[str]]:
        """Each table's rows as text, sorted: equal snapshots are equal tables."""
        return {
            table: sorted(json.dumps(row, default=str, sort_keys=True) for row in self.query(f"select * from {table}"))
            for table in self.tables(*(schemas or ("SILVER", "GOLD")))
        }


def assert_same(found: dict[str, list[str]], wanted: dict[str, list[str]]) -> None:
    """Both snapshots have the same tables with the same rows."""
    assert found.keys() == wanted.keys()
    wrong = []
    for table in (table for table in wanted if found[table] != wanted[table]):
        gone, come = set(wanted[table]) - set(found[table]), set(found[table]) - set(wanted[table])
        wrong.append(f"{table}: removed {[*gone][:2]}, added {[*come][:2]}")
    assert not wrong, "\n".join(wrong)


@cache
def manifest() -> Any:
    """The project as dbt has read it, for the tests' database."""
    from dbt.cli.main import dbtRunner

    with variables_set({"SNOWFLAKE_DATABASE": DATABASE}):
        return dbtRunner().invoke(["parse", *FLAGS, *QUIET]).result


@contextmanager
def test_warehouse(settings: Settings, scratch: Path) -> Iterator[TestWarehouse]:
    """A fresh database; dropped at the end."""
    own = settings.model_copy(update={"snowflake_database": DATABASE})
    provision_warehouse(own)
    with connect(own) as session:
        yield TestWarehouse(own, scratch, session)
        session.cursor().execute(f"drop database if exists {DATABASE}")


test_warehouse.__test__ = False  # type: ignore[attr-defined]
