"""The SQL that the platform uses, through Snowflake's own connector.

The connection comes from a fixture: where CONFORMANCE_SNOWFLAKE names a connection of Snowflake's connections.toml, the
suite runs against that account instead of a local warehouse, without the tests marked `local_only`.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from tests.conformance.launcher import LocalWarehouse

ACCOUNT = os.environ.get("CONFORMANCE_SNOWFLAKE")

# The connector looks for cloud machines by name at each login: seconds, where there is no network.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")

Connect = Callable[..., SnowflakeConnection]
Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "local_only: looks at the local warehouse's process; not for a real account")


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
            connection = snowflake.connector.connect(connection_name=ACCOUNT, **settings)
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
