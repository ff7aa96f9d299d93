"""The connection and the folders of dbt's own adapter suites; test_dbt_adapter.py starts them."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.launcher import LOOPBACK


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
