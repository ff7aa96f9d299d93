"""Statements that must not be sent to Snowflake, or that the local warehouse would answer otherwise, are noticed."""

import pytest

from music_platform.contracts import events
from music_platform.environment import project_root
from music_platform.settings import Settings
from music_platform.warehouse.account import Account, setup
from music_platform.warehouse.copy import copy_statement
from music_platform.warehouse.schema import create_table, quarantine_view, tables
from tests.support.sql_lint import problems, problems_of


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("select current_timestamp()", "SYSDATE"),
        ("select current_timestamp", "SYSDATE"),
        ("select getdate()", "SYSDATE"),
        ("select current_date", "SYSDATE"),
        ("select localtimestamp()", "SYSDATE"),
        ("select systimestamp()", "SYSDATE"),
        ("select dayofweek(d) from t", "DAYOFWEEKISO"),
        ("select week(d) from t", "WEEKISO"),
        ("select weekofyear(d) from t", "WEEKISO"),
        ("select yearofweek(d) from t", "YEAROFWEEKISO"),
        ("select dayname(d) from t", "DAYNAME"),
        ("select date_part('dow', d) from t", "WEEK_START"),
        ("select extract(week from d) from t", "WEEK_START"),
        ("select date_trunc('week', d)::date from t", "WEEK_START"),
        ("select datediff('week', a, b) from t", "WEEK_START"),
        ("select convert_timezone('UTC', d) from t", "UTC everywhere"),
        ("select d::timestamp_tz from t", "TIMESTAMP_NTZ"),
        ("create table t (d timestamp_ltz)", "TIMESTAMP_NTZ"),
        ("select a / b from t", "division"),
        ("select case when a > 0 then a / b end from t", "division"),
        ("select a / 0 from t", "division"),
        ("select date_trunc('month', d) from t", "cast"),
        ('select "city" from t', "quoted"),
        ("select typeof(v) from t", "VARIANT"),
        ("select * from t at (offset => -60)", "time travel"),
        ("create or replace table RAW.EVENTS as select 1 as n", "never deleted"),
        ("drop table if exists MUSIC.OPS.LOAD_STATE", "never deleted"),
        ("truncate table GOLD.TOP_SONGS_DAILY", "TRUNCATE"),
        ("create stream s on table t", "local warehouse has none"),
        ("create task t schedule = '1 minute' as select 1", "local warehouse has none"),
        ("create function f(a number) returns number as 'a + 1'", "FUNCTION"),
        ("insert all into a values (1) into b values (2) select 1", "INSERT ALL"),
        ("copy into t from @s pattern = '.*'", "PATTERN"),
        ("copy into t from @s file_format = (type = parquet) purge = true", "PURGE"),
        ("copy into t from @s file_format = (type = parquet) on_error = continue", "ON_ERROR"),
        ("select uuid_string()", "same rows"),
    ],
)
def test_what_differs_or_is_dangerous_is_noticed(statement: str, word: str) -> None:
    found = problems(statement)
    assert found, statement
    assert any(word in said for said in found), found


@pytest.mark.parametrize(
    "statement",
    [
        "select sysdate(), dayofweekiso(d), weekiso(d), yearofweekiso(d) from t",
        "select a / 7, a / nullif(b, 0), a / greatest(b, 1), case when b > 0 then a / b end, iff(b > 0, a / b, null) "
        "from t",
        "select case when sum(b) > 0 then sum(a)::float / sum(b) end from t",
        "select date_trunc('month', d)::date, date_trunc('hour', d)::timestamp_ntz from t",
        "select d::timestamp_ntz, 'current_timestamp', \"CITY\" from t -- dayofweek(d)",
        "select hour(convert_timezone('UTC', zone, d)) from t",
        "create or replace table SILVER.EVENTS as select 1 as n",
        "drop table if exists RAW.EVENTS_REBUILT",
        'select "name" from table(result_scan(last_query_id()))',
    ],
)
def test_what_the_platform_writes_instead_is_not(statement: str) -> None:
    assert problems(statement) == []


def test_the_platforms_own_statements_are_clean() -> None:
    """Those that can be had without a session; those that are sent are looked at where they arrive (integration)."""
    copy = copy_statement("RAW.EVENTS", events.raw_columns(), "RAW.LAKE/events/v1", ["a.parquet"], {"batch_id": "1"})
    creates = [create_table(name, about, columns) for name, (about, columns) in tables().items()]
    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    steps = setup(account, "KEY", None, 1, None)
    queries = [file.read_text() for file in sorted((project_root() / "queries").glob("*.sql"))]
    assert len(queries) >= 8
    script = [statement for step in steps for statement in step.statements]
    assert problems_of([copy, quarantine_view(), *creates, *script, *queries]) == []
