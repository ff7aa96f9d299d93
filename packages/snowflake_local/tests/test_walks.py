"""A statement is translated as by all of fakesnow's functions, though most of them are left out."""

from collections.abc import Iterator

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from snowflake_local._fakesnow import CATALOGUE_DATABASE, Connection, TranslatingCursor, catalogue_sql, database_sql
from snowflake_local.walks import Transform, Walks, called, looked_for

STATEMENTS = (
    "select 1",
    "select to_date(a), to_timestamp(b), try_parse_json(c), to_number(d, 10, 2), to_variant(e) from t",
    "select v:key.other::varchar, upper(v:name), v[0], split(x, ',')[0] from t where v:n::int > 3",
    "select f.value:id::varchar as id from t, lateral flatten(input => t.v) f where f.value:id is not null",
    "select regexp_replace(a, 'b', 'c'), regexp_substr(a, 'b+'), sha2(a, 256), trim(a::number) from t",
    "select dateadd('day', 1, '2026-01-01'::date), datediff('hour', '2026-01-01', ts), dateadd('day', 1, d) from t",
    "select array_agg(a) within group (order by b), object_agg(k, v), array_size(x), sum(n)::float from t",
    "select a as x, x + 1 as y from t join u on t.id = u.id where x > 1 qualify row_number() over (order by y) = 1",
    "select object_construct('a', 1), array_construct_compact(1, null), haversine(1, 2, 3, 4) from t sample (10)",
    "select x'0a'",
    "select column1 from values (1), (2)",
    "create or replace table t (a number(10, 2), b varchar(20), c variant, d timestamp_ntz, e float) comment = 'x'",
    "create table u as select to_date(a) as a from t",
    "create table w clone t",
    "alter table t cluster by (a)",
    "alter table t add column z object",
    "drop schema s",
    "insert into t (a) select a from u where a in (select max(b) from w)",
    "update t set a = 1 where b = random()",
    "delete from t using u where t.a = u.a",
    "show terse schemas in database db",
    "show primary keys in table t",
    "show users",
    "set x = 3",
    "use schema s",
)


@pytest.fixture(scope="module")
def cursor() -> Iterator[TranslatingCursor]:
    """A cursor of a session with a database and a schema."""
    with duckdb.connect() as duck:
        for database, texts in ((CATALOGUE_DATABASE, catalogue_sql()), ("DB", database_sql("DB"))):
            duck.execute(f"attach ':memory:' as {database}")
            for text in texts:
                duck.execute(text)
        duck.execute("create schema DB.S; set schema = 'DB.S'")
        connection = Connection(duck, {}, "DB", "S", create_database=False, create_schema=False)
        yield TranslatingCursor(connection, duck)


@pytest.mark.parametrize("text", STATEMENTS)
def test_the_translation_is_the_same(cursor: TranslatingCursor, text: str) -> None:
    def translated(by_all: bool) -> str:
        # Whole statements, as the server gets them: the functions change the tree in place.
        tree = sqlglot.parse_one(text, read="snowflake")
        found = cursor._transform(tree, None) if by_all else cursor.translate(tree, None)
        return found.sql(dialect="duckdb") + str(sorted(found.args))

    assert translated(by_all=False) == translated(by_all=True)


def test_most_functions_are_left_out(cursor: TranslatingCursor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of fakesnow that asks in another form would make every statement as slow as before."""
    given: list[Transform] = []

    def transform(self: Walks, function: Transform, **_: object) -> Walks:
        given.append(called(function))
        return self

    monkeypatch.setattr(Walks, "transform", transform)
    cursor.translate(sqlglot.parse_one("select 1"), None)
    assert sum(looked_for(function) != () for function in given) / len(given) > 0.75


def _any(expression: exp.Expr) -> exp.Expr:
    if expression.name == "a":
        return exp.column("b")
    return expression


def _one(expression: exp.Expr) -> exp.Expr:
    """Ask in the first form."""
    if isinstance(expression, (exp.Add, exp.Sub)) and expression.this:
        return exp.Neg(this=expression)
    return expression


def _other(expression: exp.Expr) -> exp.Expr:
    if not isinstance(expression, exp.Column) or not expression.name:
        return expression
    found = expression.copy()
    return exp.Paren(this=found)


def _either(expression: exp.Expr) -> exp.Expr:
    if isinstance(expression, exp.Add) or expression.name == "a":
        return exp.column("b")
    return expression


def test_what_a_function_looks_for_is_read_in_its_source() -> None:
    assert looked_for(_one) == (exp.Add, exp.Sub)
    assert looked_for(_other) == (exp.Column,)
    assert looked_for(_any) == looked_for(_either) == ()
    assert Walks(sqlglot.parse_one("select a")).transform(_either).tree.sql() == "SELECT b"
