"""The connection and the folders of dbt's own adapter suites; test_dbt_adapter.py starts them."""

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
    """The local warehouse that the caller has started."""
    return {
        "type": "snowflake", "account": "local", "host": LOOPBACK, "port": int(os.environ["ADAPTER_SUITE_PORT"]),
        "protocol": "http", "user": "dbt", "password": "any", "database": "ADAPTER", "warehouse": "COMPUTE_WH",
        "threads": 2, "connect_retries": 0,
    }  # fmt: skip


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt would write its logs into the checkout."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session", autouse=True)
def one_statement_at_a_time() -> Iterator[None]:
    """The snapshot suites prepare their tables with several statements in one, which Snowflake too refuses."""
    run = SQLAdapter.run_sql_for_tests

    def singly(adapter: SQLAdapter, sql: str, fetch: str, connection: Any) -> Any:
        return [run(adapter, statement, fetch, connection) for statement in sqlparse.split(sql) if statement][-1]

    with patch.object(SQLAdapter, "run_sql_for_tests", singly):
        yield
