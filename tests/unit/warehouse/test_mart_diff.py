"""The comparison of marts: its SQL on small tables, and the report."""

from collections.abc import Iterator

import duckdb
import pytest

from music_platform.warehouse.mart_diff import MartDiff, by_key, by_row, report, sentences

COLUMNS = {"k": "NUMBER", "n": "NUMBER", "f": "FLOAT", "t": "TEXT"}


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        for name in ("a1", "b1"):
            opened.execute(f"CREATE TABLE {name} (k INT, n INT, f DOUBLE, t TEXT)")
        yield opened


def test_rows_with_the_same_key_are_compared_column_by_column(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("INSERT INTO a1 VALUES (1, 1, 0.3, 'x'), (2, 2, 1, NULL), (3, 3, 1, 'z'), (NULL, 5, 5, 'n')")
    engine.execute("INSERT INTO b1 VALUES (1, 1, 0.1+0.2, 'x'), (2, 9, 1.1, 'y'), (4, 4, 1, 'w'), (NULL, 5, 5, 'n')")
    assert engine.execute(by_key("a1", "b1", ["k"], COLUMNS)).fetchall() == [(1, 1, 1, 1, 1)]


def test_rows_without_a_key_are_counted_as_often_as_they_are_there(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("INSERT INTO a1 VALUES (1, 1, 1, 'x'), (1, 1, 1, 'x'), (2, 2, 2, NULL)")
    engine.execute("INSERT INTO b1 VALUES (1, 1, 1, 'x'), (2, 2, 2, NULL), (2, 2, 2, NULL), (3, 3, 3, 'z')")
    assert engine.execute(by_row("a1", "b1", ["k", "n", "f", "t"])).fetchall() == [(1, 2)]


def test_a_difference_is_said_in_words() -> None:
    diff = MartDiff("m", added=("a",), removed=("r",), retyped=("t",), only_base=1, only_head=2, changed={"c": 3000})
    assert sentences(diff) == [
        "columns added: a", "columns removed: r", "another type: t", "1 rows only before", "2 rows only now",
        "c differs in 3,000 rows",
    ]  # fmt: skip
    assert sentences(MartDiff("m", where="head")) == ["the mart is new"]
    assert sentences(MartDiff("m", where="base")) == ["the mart is gone"]


def test_the_report_counts_what_is_the_same() -> None:
    same, other = MartDiff("one", base_rows=5, head_rows=5), MartDiff("two", base_rows=5, head_rows=4, only_base=1)
    assert report([same]) == "1 of 1 marts are the same."
    assert report([same, other]).splitlines()[1:] == ["two: 5 → 4 rows", "  1 rows only before"]
    assert report([same, other], markdown=True).splitlines()[-1] == "| `two` | 5 → 4 | 1 rows only before |"


@pytest.mark.parametrize("change", [{"where": "head"}, {"added": ("x",)}, {"only_head": 1}, {"changed": {"c": 1}}])
def test_whatever_differs_is_not_the_same(change: dict[str, object]) -> None:
    assert MartDiff("m").is_same
    assert not MartDiff("m", **change).is_same  # type: ignore[arg-type]
