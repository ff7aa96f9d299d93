"""The SQL that the platform uses, through Snowflake's own connector.

The connection comes from a fixture. Where SNOWFLAKE_ACCOUNT is set, with the platform's other SNOWFLAKE_* settings, or
CONFORMANCE_SNOWFLAKE names a connection of Snowflake's connections.toml, the suite runs against that account instead of
a local warehouse, without the tests marked `local_only`, and ends with a list of what differs.
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from music_platform.settings import Settings
from music_platform.warehouse.connection import connection_arguments
from tests.conformance.launcher import LocalWarehouse
from tests.support.stack import ACCOUNT_ENVIRONMENT

#: Connection of connections.toml, and account of the environment, either of which takes the local warehouse's place.
NAMED = os.environ.get("CONFORMANCE_SNOWFLAKE")
ACCOUNT = NAMED or ACCOUNT_ENVIRONMENT.get("SNOWFLAKE_ACCOUNT")

# The connector looks for cloud machines by name at each login: seconds, where there is no network.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")

Connect = Callable[..., SnowflakeConnection]
Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "local_only: looks at the local warehouse's process; not for a real account")


def account_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a connection to the account, with the account's own session parameters unless some are given."""
    if NAMED:
        return {"connection_name": NAMED, **given}
    settings = Settings(_env_file=None, **{k.lower(): v for k, v in ACCOUNT_ENVIRONMENT.items()})  # type: ignore
    return {**connection_arguments(settings), "session_parameters": {}, "paramstyle": "pyformat", **given}


def differences(failed: Iterable[Any]) -> list[str]:
    """A line for each test that fails at the account and passes locally: its name, and how it failed."""
    lines = []
    for report in failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = str(crash.message if crash else report.longrepr).strip().splitlines()
        lines.append(f"{report.nodeid.partition('tests/conformance/')[2]}: {said[0] if said else 'no message'}")
    return lines


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Against an account: what differs from the local warehouse, where all of these pass."""
    if not ACCOUNT:
        return
    found = differences(r for kind in ("failed", "error") for r in terminalreporter.stats.get(kind, []))
    terminalreporter.section(f"Snowflake account {ACCOUNT}: {len(found)} differences from the local warehouse")
    for line in found:
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _local_only(request: pytest.FixtureRequest) -> None:
    if ACCOUNT and request.node.get_closest_marker("local_only"):
        pytest.skip("for the local warehouse only")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWarehouse | None]:
    """The suite's warehouse; None for a real account."""
    if ACCOUNT:
        yield None
        return
    warehouse = LocalWarehouse(tmp_path_factory.mktemp("warehouse") / "root", "--memory-limit", "1GB")
    yield warehouse
    warehouse.stop()


@pytest.fixture
def database() -> str:
    """Name of the test's own database."""
    return f"CONFORMANCE_{uuid.uuid4().hex[:12].upper()}"


@pytest.fixture
def connect(server: LocalWarehouse | None, database: str) -> Iterator[Connect]:
    """Opens connections to the test's database, in its schema RAW."""
    opened: list[SnowflakeConnection] = []

    def open_one(**settings: Any) -> SnowflakeConnection:
        settings = {"database": database, "schema": "RAW", **settings}
        if server is None:
            connection = snowflake.connector.connect(**account_arguments(settings))
        else:
            connection = server.connect(**settings)
        opened.append(connection)
        return connection

    first = open_one(schema=None)
    first.cursor().execute(f"create database if not exists {database}")
    first.cursor().execute(f"create schema if not exists {database}.RAW")
    yield open_one
    first.cursor().execute("rollback")
    first.cursor().execute(f"drop database if exists {database}")
    for connection in opened:
        connection.close()


@pytest.fixture
def cursor(connect: Connect) -> SnowflakeCursor:
    """A cursor of the test's main connection."""
    return connect().cursor()


@pytest.fixture
def query(cursor: SnowflakeCursor) -> Query:
    """Runs a statement on the main connection and returns its rows."""
    return lambda sql, *args, **more: list(cursor.execute(sql, *args, **more).fetchall())
