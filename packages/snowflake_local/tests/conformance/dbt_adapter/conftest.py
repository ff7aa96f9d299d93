"""The connection and folders of dbt's adapter suites, which test_dbt_adapter.py runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlparse
from dbt.adapters.sql import SQLAdapter

from conformance.launcher import LOOPBACK


@pytest.fixture(scope="class")
def dbt_profile_target() -> dict[str, Any]:
    """The local warehouse that the caller started."""
    return {
        "type": "snowflake", "account": "local", "host": LOOPBACK, "port": int(os.environ["ADAPTER_SUITE_PORT"]),
        "protocol": "http", "user": "dbt", "password": "any", "database": "ADAPTER", "warehouse": "COMPUTE_WH",
        "threads": 2, "connect_retries": 0,
    }  # fmt: skip


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout, where dbt would write its logs."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session", autouse=True)
def one_statement_at_a_time() -> Iterator[None]:
    """Split the snapshot suites' set-up into single statements. Snowflake too refuses several in one."""
    run = SQLAdapter.run_sql_for_tests

    def singly(adapter: SQLAdapter, sql: str, fetch: str, connection: Any) -> Any:
        return [run(adapter, statement, fetch, connection) for statement in sqlparse.split(sql) if statement][-1]

    with patch.object(SQLAdapter, "run_sql_for_tests", singly):
        yield
