"""Snowflake's SQL, sent by Snowflake's own connector.

By default the suite runs against a local warehouse. It runs against an account if SNOWFLAKE_ACCOUNT is set, with the
other variables of `ACCOUNT_VARIABLES`, or if CONFORMANCE_SNOWFLAKE names a connection of Snowflake's connections.toml.
Then it skips the tests marked `local_only` and ends with a list of differences.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from conformance.launcher import LocalWarehouse

#: Environment variables that describe a Snowflake account → arguments of the connector.
ACCOUNT_VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_PASSWORD": "password",
    "SNOWFLAKE_PRIVATE_KEY_PATH": "private_key_file",
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "private_key_file_pwd",
    "SNOWFLAKE_ROLE": "role",
    "SNOWFLAKE_WAREHOUSE": "warehouse",
}
#: Read at import, because a project's own conftest may clear these variables before its tests.
ACCOUNT_ARGUMENTS = {argument: os.environ[name] for name, argument in ACCOUNT_VARIABLES.items() if os.environ.get(name)}
#: The account to test instead of a local warehouse: a connection of connections.toml, or one from the environment.
NAMED = os.environ.get("CONFORMANCE_SNOWFLAKE")
ACCOUNT = NAMED or ACCOUNT_ARGUMENTS.get("account")

# At each login the connector looks up cloud hosts by name, which takes seconds without a network.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")

Connect = Callable[..., SnowflakeConnection]
Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and let a terminated session stop its warehouse."""
    config.addinivalue_line("markers", "local_only: tests the local warehouse itself; skipped for an account")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def account_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a connection to the account. It has the account's session parameters unless others are given."""
    if NAMED:
        return {"connection_name": NAMED, **given}
    key_pair = {"authenticator": "SNOWFLAKE_JWT"} if "private_key_file" in ACCOUNT_ARGUMENTS else {}
    return {**ACCOUNT_ARGUMENTS, **key_pair, "session_parameters": {}, "paramstyle": "pyformat", **given}


def differences(failed: Iterable[Any]) -> list[str]:
    """One line for each test that fails on the account: its name and its error."""
    lines = []
    for report in failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = str(crash.message if crash else report.longrepr).strip().splitlines()
        lines.append(f"{report.nodeid.partition('tests/conformance/')[2]}: {said[0] if said else 'no message'}")
    return lines


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the differences of an account from the local warehouse, where all tests pass."""
    if not ACCOUNT:
        return
    found = differences(r for kind in ("failed", "error") for r in terminalreporter.stats.get(kind, []))
    terminalreporter.section(f"Snowflake account {ACCOUNT}: {len(found)} differences from the local warehouse")
    for line in found:
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _local_only(request: pytest.FixtureRequest) -> None:
    if ACCOUNT and request.node.get_closest_marker("local_only"):
        pytest.skip("tests the local warehouse only")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWarehouse | None]:
    """The suite's local warehouse; None for an account."""
    if ACCOUNT:
        yield None
        return
    warehouse = LocalWarehouse(tmp_path_factory.mktemp("warehouse") / "root", "--memory-limit", "1GB")
    yield warehouse
    warehouse.stop()


@pytest.fixture
def database() -> str:
    """The name of the test's own database."""
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
