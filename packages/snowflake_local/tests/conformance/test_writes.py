"""MERGE and other writes, transactions, and concurrent writers."""

import threading
import time
from collections.abc import Callable

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from conformance.conftest import Connect, Query

MERGE = (
    "merge into T using ({source}) S on T.ID = S.ID when matched and S.N is null then delete "
    "when matched then update set T.N = S.N when not matched then insert (ID, N) values (S.ID, S.N)"
)


@pytest.fixture
def table(query: Query) -> Query:
    """A table T with the rows (1, 10) and (2, 20)."""
    query("create table T (ID number, N number)")
    query("insert into T values (1, 10), (2, 20)")
    return query


def at_once(*work: Callable[[], None]) -> None:
    """Run callables in threads at the same time, and raise the first exception."""
    errors: list[BaseException] = []

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def test_merge_inserts_updates_and_deletes(table: Query) -> None:
    source = "select 1 ID, 11 N union all select 2, null union all select 3, 30"
    assert table(MERGE.format(source=source)) == [(1, 1, 1)]
    assert table("select * from T order by ID") == [(1, 11), (3, 30)]


def test_merge_refuses_two_source_rows_for_one_target_row(table: Query) -> None:
    with pytest.raises(ProgrammingError, match="Duplicate row detected during DML action") as refused:
        table(MERGE.format(source="select 1 ID, 11 N union all select 1, 12"))
    assert refused.value.errno == 100090
    assert table("select * from T order by ID") == [(1, 10), (2, 20)]


def test_dbts_merge_with_quoted_names(table: Query) -> None:
    table(
        "merge into T as DBT_INTERNAL_DEST using (select 2 as ID, 9 as N) as DBT_INTERNAL_SOURCE "
        'on (DBT_INTERNAL_SOURCE.ID = DBT_INTERNAL_DEST.ID) when matched then update set "N" = DBT_INTERNAL_SOURCE."N" '
        'when not matched then insert ("ID", "N") values ("ID", "N")'
    )
    assert table("select N from T where ID = 2") == [(9,)]


def test_update_from_delete_using_and_insert_overwrite(table: Query) -> None:
    table("create table S as select 1 as ID, 100 as N")
    assert table("update T set N = S.N from S where T.ID = S.ID")[0][0] == 1
    assert table("delete from T using S where T.ID = S.ID") == [(1,)]
    table("insert overwrite into T select 5, 50")
    assert table("select * from T") == [(5, 50)]


def test_a_statement_counts_its_rows(connect: Connect, table: Query) -> None:
    assert table("select count(*) from T") == [(2,)]
    cursor = connect().cursor()
    cursor.execute("update T set N = N + 1")
    assert cursor.rowcount == 2
    assert cursor.stats.num_rows_updated == 2
    cursor.execute("create table COPIED as select * from T")
    assert cursor.stats.num_rows_inserted == 2


def test_executemany_is_one_transaction(connect: Connect, table: Query) -> None:
    cursor = connect(paramstyle="qmark").cursor()
    cursor.executemany("insert into T values (?, ?)", [(i, i) for i in range(100)])
    assert cursor.rowcount == 100
    with pytest.raises(Error):
        cursor.executemany("insert into T values (?, ?)", [("7", "1"), ("x", "1")])
    assert table("select count(*) from T") == [(102,)]


def test_commit_and_rollback(table: Query, connect: Connect) -> None:
    other = connect().cursor()
    table("begin transaction")
    table("update T set N = 0")
    assert other.execute("select max(N) from T").fetchall() == [(20,)]
    table("commit")
    assert other.execute("select max(N) from T").fetchall() == [(0,)]
    table("start transaction")
    table("delete from T")
    table("rollback")
    assert table("select count(*) from T") == [(2,)]
    table("commit")
    table("rollback")


def test_without_autocommit_a_write_opens_a_transaction(table: Query, connect: Connect) -> None:
    manual = connect(autocommit=False)
    manual.cursor().execute("delete from T")
    assert table("select count(*) from T") == [(2,)]
    manual.rollback()
    manual.cursor().execute("delete from T where ID = 1")
    manual.commit()
    assert table("select count(*) from T") == [(1,)]


def test_reads_of_a_transaction_see_what_others_commit(table: Query, connect: Connect) -> None:
    table("begin")
    assert table("select N from T where ID = 1") == [(10,)]
    connect().cursor().execute("update T set N = 11 where ID = 1")
    assert table("select N from T where ID = 1") == [(11,)]
    table("update T set N = N + 1 where ID = 1")
    table("commit")
    assert table("select N from T where ID = 1") == [(12,)]


def test_no_update_is_lost(table: Query, connect: Connect) -> None:
    """100 single statements and 40 read-then-write transactions, each from 10 clients at once."""

    def alone() -> None:
        cursor = connect().cursor()
        for _ in range(10):
            cursor.execute("update T set N = N + 1 where ID = 1")

    def in_transactions() -> None:
        cursor = connect().cursor()
        for _ in range(4):
            cursor.execute("begin")
            cursor.execute("select * from T").fetchall()
            cursor.execute("update T set N = N + 1 where ID = 1")
            cursor.execute("commit")

    at_once(*[alone] * 10)
    at_once(*[in_transactions] * 10)
    assert table("select N from T where ID = 1") == [(150,)]


def test_one_of_many_loaders_moves_the_watermark(table: Query, connect: Connect) -> None:
    moved = []

    def load() -> None:
        cursor = connect().cursor()
        cursor.execute("begin")
        cursor.execute("update T set N = 11 where ID = 1 and N = 10")
        if cursor.rowcount == 1:
            cursor.execute("insert into T values (99, 99)")
            moved.append(1)
        cursor.execute("commit")

    at_once(*[load] * 8)
    assert len(moved) == 1
    assert table("select count(*) from T where ID = 99") == [(1,)]


def test_inserts_do_not_wait_for_each_other(table: Query, connect: Connect) -> None:
    first, second = connect().cursor(), connect().cursor()
    first.execute("begin")
    first.execute("insert into T values (3, 3)")
    second.execute("insert into T values (4, 4)", timeout=10)
    first.execute("commit")
    assert table("select count(*) from T") == [(4,)]


def test_lock_timeout_bounds_the_wait(table: Query, connect: Connect) -> None:
    holder, waiting = connect().cursor(), connect().cursor()
    holder.execute("begin")
    holder.execute("update T set N = 1 where ID = 1")
    waiting.execute("alter session set LOCK_TIMEOUT = 2")
    started = time.monotonic()
    with pytest.raises(Error) as raised:
        waiting.execute("update T set N = 2 where ID = 1")
    assert raised.value.errno == 625
    assert 1.5 < time.monotonic() - started < 30
    holder.execute("commit")
    waiting.execute("update T set N = 3 where ID = 1")
    assert table("select N from T where ID = 1") == [(3,)]


def test_a_deadlock_ends_with_an_error_for_one(table: Query, connect: Connect) -> None:
    table("create table U as select 1 as N")
    first, second = connect().cursor(), connect().cursor()
    for cursor, mine in ((first, "T"), (second, "U")):
        cursor.execute("begin")
        cursor.execute(f"update {mine} set N = 1")
    waiting = threading.Thread(target=first.execute, args=("update U set N = 2",))
    waiting.start()
    time.sleep(0.5)
    with pytest.raises(Error, match="deadlock"):
        second.execute("update T set N = 2")
    second.execute("rollback")
    waiting.join(30)
    first.execute("commit")
    assert table("select N from U") == [(2,)]


@pytest.mark.local_only
def test_a_transaction_with_a_failed_statement_is_not_committed_in_part(table: Query) -> None:
    """Snowflake would commit the rest. DuckDB would roll back and report success."""
    table("begin")
    table("insert into T values (3, 30)")
    with pytest.raises(Error):
        table("insert into T values ('x', 1)")
    with pytest.raises(Error, match="Roll it back"):
        table("commit")
    assert table("select count(*) from T") == [(2,)]


def test_of_many_that_create_the_same_object_at_once_none_fails(connect: Connect) -> None:
    clients = [connect().cursor() for _ in range(4)]
    for n in range(10):
        for statement in (f"create stage if not exists S{n}", f"create table if not exists T{n} (ID number)"):
            at_once(*(lambda c=client, s=statement: c.execute(s) for client in clients))  # type: ignore[misc]
    (stages,) = (
        clients[0].execute("select count(*) from information_schema.tables where table_name like 'T_'").fetchone()
    )
    assert stages == 10
    assert len(clients[0].execute("show stages").fetchall()) == 10
