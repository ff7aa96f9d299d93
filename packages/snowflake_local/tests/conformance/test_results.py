"""Result values and bound parameters."""

import datetime as dt
import json
from decimal import Decimal

import pandas as pd
import pytest
from snowflake.connector.pandas_tools import write_pandas

from conformance.conftest import Connect, Query

UTC = dt.UTC


def test_types_are_returned_as_snowflakes(query: Query) -> None:
    (row,) = query(
        "select 1::number(38,0), 1.5::number(10,2), 1.5::float, 'x', true, '2024-05-01'::date, "
        "'2024-05-01 10:00:00.123456'::timestamp_ntz, '2024-05-01 10:00:00 +0000'::timestamp_tz, '10:00:01'::time, "
        "to_binary('ab', 'utf-8'), null"
    )
    assert row == (
        1, Decimal("1.50"), 1.5, "x", True, dt.date(2024, 5, 1), dt.datetime(2024, 5, 1, 10, 0, 0, 123456),
        dt.datetime(2024, 5, 1, 10, tzinfo=UTC), dt.time(10, 0, 1), b"ab", None,
    )  # fmt: skip


def test_nulls_stay_null_and_times_before_1970_keep_their_fraction(query: Query) -> None:
    query("create table T (ID number, AT timestamp_ntz, TZ timestamp_tz, D date, N number(10,2), V variant)")
    query("insert into T (ID) values (1)")
    query("insert into T (ID, AT, TZ) select 2, '1969-12-31 23:59:59.5', '1969-12-31 23:59:59.25 +0000'::timestamp_tz")
    assert query("select AT, TZ, D, N, V from T order by ID") == [
        (None,) * 5,
        (
            dt.datetime(1969, 12, 31, 23, 59, 59, 500000),
            dt.datetime(1969, 12, 31, 23, 59, 59, 250000, UTC),
            *[None] * 3,
        ),
    ]


def test_times_of_a_column_are_formatted(query: Query) -> None:
    query("create table T as select '2024-05-01 10:02:03.456'::timestamp_ntz as AT, '2024-05-01'::date as D")
    assert query("select to_varchar(AT, 'YYYY-MM-DD HH24:MI:SS'), to_char(D, 'YYYY/MM') from T") == [
        ("2024-05-01 10:02:03", "2024/05")
    ]


def test_sums_keep_their_type(query: Query) -> None:
    query("create table T as select 1::number(38,0) as I, 0.1::number(10,1) as D from table(generator(rowcount => 30))")
    (total, exact, average) = query("select sum(I), sum(D), avg(I) from T")[0]
    assert (total, exact, average) == (30, Decimal("3.0"), 1)
    assert isinstance(total, int)
    assert isinstance(exact, Decimal)


def test_arrays_and_objects_are_returned_as_json(query: Query) -> None:
    (row,) = query("select array_construct(1, 2), object_construct('a', 1), array_agg(1), split('a-b', '-'), [1, 2]")
    assert [json.loads(value) for value in row] == [[1, 2], {"a": 1}, [1], ["a", "b"], [1, 2]]


def test_variant_paths(query: Query) -> None:
    query('create table T as select parse_json(\'{"a": {"b": "x", "n": 1.5}, "list": [{"k": 1}, {"k": 2}]}\') as V')
    assert query("select V:a.b::string, V:a.n::float, V['a']['b']::string, V:absent::string from T") == [
        ("x", 1.5, "x", None)
    ]
    assert query("select F.VALUE:k::int, F.INDEX from T, lateral flatten(input => V:list) F order by 2") == [
        (1, 0),
        (2, 1),
    ]
    assert query("select try_parse_json('{broken') is null") == [(True,)]


def test_computed_columns_are_titled_by_their_text(connect: Connect) -> None:
    cursor = connect().cursor()
    cursor.execute("select count(*), max(ID), ID + 1, ID, 7 as seven from (select 1 as ID) group by ID")
    assert [column.name for column in cursor.description] == ["COUNT(*)", "MAX(ID)", "ID + 1", "ID", "SEVEN"]


def test_group_by_all_and_words_that_duckdb_reserves(query: Query) -> None:
    query("create table T (AT number, POSITIONAL varchar, ANALYSE varchar)")
    query("insert into T (AT, POSITIONAL) values (1, 'b'), (2, 'a'), (3, 'a')")
    assert query("select POSITIONAL, sum(AT) from T group by all order by all") == [("a", 5), ("b", 1)]
    assert query("select T.AT, ANALYSE from T where AT = 1") == [(1, None)]


def test_parameters(connect: Connect) -> None:
    cursor = connect(paramstyle="qmark").cursor()
    values = (1, Decimal("1.50"), 2.5, "it's", None, True, dt.date(2024, 5, 1), dt.datetime(2024, 5, 1, 0, 0, 0, 1))
    assert cursor.execute("select " + ", ".join("?" * len(values)), values).fetchall() == [values]
    numbered = connect(paramstyle="numeric").cursor()
    assert numbered.execute("select :2, :1", ("a", "b")).fetchall() == [("b", "a")]
    formatted = connect().cursor()
    assert formatted.execute("select %s, %s", ("it's", 5)).fetchall() == [("it's", 5)]


def test_a_large_result_is_complete(connect: Connect) -> None:
    frame = connect().cursor().execute(
        "select SEQ4() as I, 'row ' || SEQ4() as S from table(generator(rowcount => 200000))"
    ).fetch_pandas_all()  # fmt: skip
    assert len(frame) == 200000
    assert frame["I"].nunique() == 200000


def test_a_result_without_rows_is_a_table_with_columns(connect: Connect) -> None:
    cursor = connect().cursor().execute("select 1 as N, 'x' as S, current_date as D from (select 1) where 1 = 0")
    assert cursor.fetch_arrow_all(force_return_table=True).column_names == ["N", "S", "D"]
    assert cursor.execute("select 1 as N where 1 = 0").fetch_pandas_all().columns.tolist() == ["N"]
    assert cursor.execute("select 1 as N where 1 = 0").fetchall() == []


def test_describe_without_running(connect: Connect) -> None:
    described = connect().cursor().describe("select 1 as A, 'x' as B from (select 1/0)")
    assert [column.name for column in described] == ["A", "B"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_write_pandas(connect: Connect, database: str, overwrite: bool) -> None:
    frame = pd.DataFrame({"A": [1, 2], "B": ["x", None], "AT": pd.to_datetime(["2024-05-01", None])})
    connection = connect()
    for _ in range(2):
        ok, _, rows, _ = write_pandas(
            connection, frame, "WRITTEN", database=database, schema="RAW", auto_create_table=True, overwrite=overwrite,
            use_logical_type=True,
        )  # fmt: skip
        assert (ok, rows) == (True, 2)
    assert connection.cursor().execute("select count(*) from WRITTEN").fetchall() == [(2 if overwrite else 4,)]
    assert connection.cursor().execute("select A, B, AT from WRITTEN where A = 1 limit 1").fetchall() == [
        (1, "x", dt.datetime(2024, 5, 1))
    ]


def test_results_can_be_scanned_again(query: Query) -> None:
    query("select 1 as ID union all select 2")
    assert query("select sum(ID) from table(result_scan(last_query_id()))") == [(3,)]
