"""The server process: restarts, kill -9, dead clients, and what it refuses."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import Error

from conformance.launcher import COMMAND, LOOPBACK, LocalWarehouse

pytestmark = pytest.mark.local_only

ROWS = 2_000_000
COPY = (
    "copy into T (ID, NAME) from (select $1:id::number(38,0), $1:name::varchar from @S/) files = ('big.parquet') "
    "file_format = (type = parquet)"
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[LocalWarehouse]:
    """The test's own warehouse, which rolls transactions back after one idle second."""
    started = LocalWarehouse(tmp_path / "root", "--transaction-idle-seconds", "1", "--memory-limit", "1500MB")
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.fixture
def loaded(warehouse: LocalWarehouse, tmp_path: Path) -> LocalWarehouse:
    """A warehouse with a large staged file and an empty table T."""
    table = pa.table({"id": pa.array(range(ROWS)), "name": pa.array([f"name {i % 1000}" for i in range(ROWS)])})
    pq.write_table(table, tmp_path / "big.parquet")
    with warehouse.connect(database="M") as connection:
        cursor = connection.cursor()
        cursor.execute("create table T (ID number(38,0), NAME varchar)")
        cursor.execute("create stage S")
        cursor.execute(f"put 'file://{tmp_path}/big.parquet' @S auto_compress=false")
    return warehouse


def ask(warehouse: LocalWarehouse, sql: str) -> Any:
    """The first value of a query."""
    with warehouse.connect(database="M") as connection:
        return connection.cursor().execute(sql).fetchall()[0][0]


def kill_during(warehouse: LocalWarehouse, statements: list[str], seconds: float) -> None:
    """Run statements, kill the server that many seconds after sending the last one, and restart it."""
    connection = warehouse.connect(database="M", login_timeout=5, network_timeout=5)
    cursor = connection.cursor()
    for sql in statements[:-1]:
        cursor.execute(sql)

    def last() -> None:
        with contextlib.suppress(Exception):  # the server is killed
            cursor.execute(statements[-1])

    thread = threading.Thread(target=last, daemon=True)
    thread.start()
    time.sleep(seconds)
    warehouse.kill()
    warehouse.start_again()
    thread.join(30)


@pytest.mark.parametrize("seconds", [0.05, 0.3])
def test_kill_in_the_middle_of_copy(loaded: LocalWarehouse, seconds: float) -> None:
    kill_during(loaded, [COPY], seconds)
    rows = ask(loaded, "select count(*) from T")
    assert rows in (0, ROWS)
    assert ask(loaded, "select count(*) from INFORMATION_SCHEMA.LOAD_HISTORY") == (1 if rows else 0)
    ask(loaded, COPY)
    assert ask(loaded, "select count(*) from T") == ROWS, "the repeat loads the file once"


def test_kill_in_the_middle_of_merge_and_commit(loaded: LocalWarehouse) -> None:
    ask(loaded, COPY)
    merge = (
        f"merge into T using (select ID + {ROWS // 2} as ID, 'merged' as NAME from T) S on T.ID = S.ID "
        "when matched then update set NAME = S.NAME when not matched then insert (ID, NAME) values (S.ID, S.NAME)"
    )
    kill_during(loaded, [merge], 0.5)
    merged = ask(loaded, "select count(*) from T where NAME = 'merged'")
    assert (ask(loaded, "select count(*) from T"), merged) in ((ROWS, 0), (ROWS + ROWS // 2, ROWS))
    before = ask(loaded, "select count(*) from T")
    kill_during(loaded, ["begin", "delete from T where ID < 500000", "insert into T values (-1, 'x')", "commit"], 0.01)
    assert (ask(loaded, "select count(*) from T"), ask(loaded, "select count(*) from T where ID = -1")) in (
        (before, 0), (before - 500_000 + 1, 1)
    )  # fmt: skip


def test_everything_is_there_after_a_restart(loaded: LocalWarehouse) -> None:
    ask(loaded, COPY)
    ask(loaded, "create table NAMED (ID number comment 'the id', NAME varchar(30)) comment = 'kept'")
    ask(loaded, "create file format F type = parquet")
    ask(loaded, "create database OTHER")
    stale = loaded.connect(database="M")
    assert loaded.stop() == 0
    loaded.start_again()
    assert {"M", "OTHER"} <= set(loaded.health()["databases"])
    assert ask(loaded, "select count(*) from T") == ROWS
    assert ask(loaded, "select COMMENT from INFORMATION_SCHEMA.TABLES where TABLE_NAME = 'NAMED'") == "kept"
    assert ask(loaded, "list @S") == "s/big.parquet"
    ask(loaded, COPY)
    assert ask(loaded, "select count(*) from T") == ROWS
    with loaded.connect(database="M") as connection:
        described = connection.cursor().execute("describe table NAMED").fetchall()
    assert [(row[0], row[1], row[9]) for row in described] == [
        ("ID", "NUMBER(38,0)", "the id"), ("NAME", "VARCHAR(30)", None)
    ]  # fmt: skip
    started = time.monotonic()
    with pytest.raises(Error):
        stale.cursor().execute("select 1")
    assert time.monotonic() - started < 5, "an old session must fail at once, without retries"


def test_the_transaction_of_a_dead_client_is_rolled_back(warehouse: LocalWarehouse) -> None:
    ask(warehouse, "create table T as select 1 as N")
    dead = warehouse.connect(database="M").cursor()
    dead.execute("begin")
    dead.execute("update T set N = 2")
    with warehouse.connect(database="M") as connection:
        connection.cursor().execute("update T set N = N + 10", timeout=20)
    assert ask(warehouse, "select N from T") == 11
    with pytest.raises(Error, match="idle for too long"):
        dead.execute("update T set N = 99")
    dead.execute("rollback")
    dead.execute("update T set N = 100")
    assert ask(warehouse, "select N from T") == 100


def test_health_counts_statements_but_not_itself(warehouse: LocalWarehouse) -> None:
    before = warehouse.health()
    assert before["status"] == "ok"
    assert warehouse.health()["statements"] == before["statements"]
    ask(warehouse, "select 1")
    assert warehouse.health()["statements"] == before["statements"] + 1


def test_other_host_names_are_refused(warehouse: LocalWarehouse) -> None:
    request = urllib.request.Request(f"http://{LOOPBACK}:{warehouse.port}/health", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=5)


def _run(*arguments: str, code: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, *arguments] if code is None else [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))


def test_a_failed_start_is_explained_in_one_sentence(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    taken = _run("--root", str(tmp_path / "other"), "--port", str(warehouse.port))
    assert taken.returncode == 1
    assert str(warehouse.port) in taken.stderr
    assert "--port" in taken.stderr
    assert len(taken.stderr.strip().splitlines()) == 1
    opened = _run("--root", str(warehouse.root), "--port", "0")
    assert opened.returncode == 1
    assert "Another process" in opened.stderr
    unexpected = _run("--root", str(tmp_path / "other"), "--port", "0", code=(
        "from snowflake_local import versions; versions.EXPECTED['duckdb'] = '0.0.1';"
        "import sys; from snowflake_local.__main__ import main; sys.exit(main())"
    ))  # fmt: skip
    assert unexpected.returncode == 1
    assert "duckdb" in unexpected.stderr
    assert "needs 0.0.1" in unexpected.stderr


def test_each_request_runs_once(warehouse: LocalWarehouse) -> None:
    """A client that did not get the answer repeats its request with the same id."""
    ask(warehouse, "create table T (N number)")
    connection = warehouse.connect(database="M")
    same = {"requestId": "11111111-2222-4333-8444-555555555555"}
    for _ in range(2):
        connection.cursor().execute("insert into T values (1)", _statement_params=same)
    assert ask(warehouse, "select count(*) from T") == 1
