"""Sessions, their parameters, timeouts, and errors."""

import datetime as dt
import threading
import time

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from conformance.conftest import Connect, Query
from conformance.launcher import LocalWarehouse


@pytest.mark.local_only
@pytest.mark.parametrize(
    "statement",
    [
        "alter session set TIMEZONE = 'UTC', WEEK_START = 1",
        "alter session set QUERY_TAG = 'run 7'",
        "alter session unset QUERY_TAG",
        "use role ANALYST",
        "use warehouse SMALL",
        "use secondary roles all",
        "create role if not exists ANALYST",
        "create warehouse if not exists SMALL warehouse_size = xsmall",
        "create masking policy if not exists RAW.HIDDEN as (V varchar) returns varchar -> iff(true, V, '*')",
        "create storage integration if not exists LAKE type = external_stage storage_provider = 'GCS' enabled = true "
        "storage_allowed_locations = ('gcs://bucket/lake/')",
        "alter warehouse SMALL resume if suspended",
        "grant select on all tables in schema RAW to role ANALYST",
        "revoke select on all tables in schema RAW from role ANALYST",
    ],
)
def test_statements_about_what_a_local_warehouse_lacks_are_accepted(query: Query, statement: str) -> None:
    assert query(statement) == [("Statement executed successfully.",)]


@pytest.mark.local_only
def test_dbt_can_read_the_query_tag(query: Query) -> None:
    query("alter session set QUERY_TAG = 'run 7'")
    assert query("show parameters like 'query_tag' in session")[0][:2] == ("QUERY_TAG", "run 7")
    query("alter session unset QUERY_TAG")
    assert query("show parameters like 'query_tag' in session")[0][:2] == ("QUERY_TAG", "")


def test_context_functions(query: Query, database: str) -> None:
    assert query("select current_database(), current_schema()") == [(database, "RAW")]
    (row,) = query("select current_warehouse(), current_role(), current_user(), current_account(), current_session()")
    assert len(row) == 5
    assert query("select sysdate() <= dateadd(minute, 1, sysdate()), current_date() is not null") == [(True, True)]


def test_a_session_can_be_in_utc_whatever_the_default_is(connect: Connect) -> None:
    """An account's default time zone is Los Angeles; here it is UTC. SYSDATE() is in UTC in every time zone."""
    cursor = connect(session_parameters={"TIMEZONE": "UTC", "WEEK_START": 1}).cursor()
    shown = cursor.execute("show parameters like 'TIMEZONE' in session").fetchall()
    assert shown[0][1].upper() in ("UTC", "ETC/UTC")
    ((zoned, now),) = cursor.execute("select current_timestamp()::timestamp_ntz, sysdate()").fetchall()
    assert abs((zoned - now).total_seconds()) < 60
    for session in (cursor, connect().cursor()):
        ((now,),) = session.execute("select sysdate()").fetchall()
        assert abs((dt.datetime.now(dt.UTC).replace(tzinfo=None) - now).total_seconds()) < 60
    # A Monday, and the Sunday before it.
    ((monday, sunday),) = cursor.execute(
        "select date_trunc('week', '2026-06-01'::date)::date, date_trunc('week', '2026-05-31'::date)::date"
    ).fetchall()
    assert (monday, sunday) == (dt.date(2026, 6, 1), dt.date(2026, 5, 25))


def test_session_variables_are_not_replaced_in_strings(query: Query) -> None:
    query("set THRESHOLD = 5")
    assert query("select $THRESHOLD + 1, '$THRESHOLD', '$nothing', $$ $nothing $$") == [
        (6, "$THRESHOLD", "$nothing", " $nothing ")
    ]


@pytest.mark.parametrize(
    ("statement", "errno", "sqlstate", "words"),
    [
        ("select * from ABSENT", 2003, "42S02", "does not exist or not authorized"),
        ("drop table ABSENT", 2003, "42S02", "does not exist or not authorized"),
        ("select ABSENT from (select 1 as ID)", 904, "42000", "invalid identifier 'ABSENT'"),
        ("select absent_function(1)", 2140, "42601", "Unknown function"),
        ("selec 1", 1003, "42000", "SQL compilation error"),
        ("select 'x'::number", 100038, "22018", "Numeric value 'x' is not recognized"),
        ("create table T (ID number)", 2002, "42710", "already exists"),
        ("insert into T values (null)", 100072, "22000", "NULL result in a non-nullable column"),
        ("use schema ABSENT", 2043, "02000", "does not exist"),
        ("copy into T from @ABSENT file_format = (type = parquet)", 2003, "02000", "does not exist or not authorized"),
    ],
)
def test_errors_have_snowflakes_numbers(query: Query, statement: str, errno: int, sqlstate: str, words: str) -> None:
    query("create table T (ID number not null)")
    started = time.monotonic()
    with pytest.raises(Error, match=words) as raised:
        query(statement)
    assert (raised.value.errno, raised.value.sqlstate) == (errno, sqlstate)
    assert time.monotonic() - started < 5, "the connector retried"


def test_two_statements_in_one_are_refused(query: Query) -> None:
    with pytest.raises(ProgrammingError, match="Actual statement count 2 did not match"):
        query("select 1; select 2")


def test_a_timeout_stops_the_statement(query: Query, connect: Connect) -> None:
    started = time.monotonic()
    with pytest.raises(Error) as raised:
        query("select count(*) from table(generator(rowcount => 100000000)) a, table(generator(rowcount => 100000)) b",
              timeout=1)  # fmt: skip
    assert raised.value.errno == 604
    assert time.monotonic() - started < 10
    query("create table T as select 1 as N")
    holder = connect().cursor()
    holder.execute("begin")
    holder.execute("update T set N = 2")
    with pytest.raises(Error):
        query("update T set N = 3", timeout=1)
    holder.execute("commit")
    assert query("select N from T") == [(2,)]


@pytest.mark.local_only
def test_many_waiting_clients_do_not_block_the_holder(query: Query, connect: Connect) -> None:
    query("create table T as select 0 as N")
    holder = connect().cursor()
    holder.execute("begin")
    holder.execute("update T set N = 100")
    clients = [connect().cursor() for _ in range(60)]
    threads = [threading.Thread(target=c.execute, args=("update T set N = N + 1",)) for c in clients]
    for thread in threads:
        thread.start()
    time.sleep(1)
    holder.execute("commit")
    for thread in threads:
        thread.join(60)
    assert query("select N from T") == [(160,)]


def test_a_heavy_query_does_not_stall_others(query: Query, connect: Connect) -> None:
    busy = connect().cursor()
    large = "select SEQ4() as I, 'some text ' || SEQ4() as S from table(generator(rowcount => 2000000))"
    heavy = threading.Thread(target=lambda: busy.execute(large))
    heavy.start()
    slowest = 0.0
    while heavy.is_alive():
        started = time.monotonic()
        query("select 1")
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 2


@pytest.mark.local_only
def test_the_latest_statements_are_shown_with_their_tags(server: LocalWarehouse, connect: Connect) -> None:
    """With the tag of the login, then that of ALTER SESSION, as in Snowflake's QUERY_HISTORY."""
    connection = connect(session_parameters={"QUERY_TAG": "of the login"})
    connection.cursor().execute("select 'statement of this test', 1")
    connection.cursor().execute("alter session set QUERY_TAG = 'set later'")
    connection.cursor().execute("select 'statement of this test', 2")
    shown = [said for said in server.statements() if said["text"].startswith("select 'statement of this test'")]
    assert [(said["text"][-1], said["query_tag"]) for said in shown] == [("1", "of the login"), ("2", "set later")]
