"""What Snowflake's grammar refuses is noticed, and statements that differ in values only are looked at once."""

from pathlib import Path

import pytest

from snowflake_local.server import LONGEST_SHOWN
from tests.support.snowflake_grammar import LONGEST, Sent, not_begun, refused, shape


def test_a_reserved_word_as_a_name_is_noticed() -> None:
    statement = "SELECT LAG(kafka_offset) OVER (ORDER BY kafka_offset) AS following FROM RAW.EVENTS"
    (found,) = refused([statement])
    assert "following" in found
    assert refused([statement.replace("following", "next_offset")]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 1 FROM t WHERE d IN ('2026-01-01', '2026-01-02')", "SELECT 17 FROM t WHERE d IN ('2026-01-01')"),
        ("COPY INTO t FROM @s FILES = ('a''b.parquet')", "/* run 7 */ COPY INTO t\n  FROM @s FILES = ('c', 'd')"),
        ("REMOVE @T12AB34CD.RAW.LAKE/events/v1/", "REMOVE @TFFFFFFFF.RAW.LAKE/events/v27/"),
        ("SELECT a -- 1\nFROM t", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = ? AND c IN (?, ?)", "SELECT a FROM t WHERE b = 7 AND c IN (1)"),
    ],
)
def test_statements_with_other_values_are_one(one: str, other: str) -> None:
    assert shape(one) == shape(other)


def test_statements_that_differ_are_two() -> None:
    assert shape("SELECT a1 FROM t") != shape("SELECT a2 FROM t")


def test_each_statement_is_of_one_worker(tmp_path: Path) -> None:
    first, second = not_begun(["SELECT 1", "SELECT 2", "SELECT 3"], tmp_path), not_begun(["SELECT 2"], tmp_path)
    assert [next(first), *second, *first] == ["SELECT 1", "SELECT 2", "SELECT 3"]


def test_a_statement_that_is_too_long_is_noticed_and_one_that_is_cut_is_not_parsed() -> None:
    sent = Sent()
    sent.add([{"text": "SELECT 1", "characters": 8}, {"text": "SELECT 'x", "characters": LONGEST_SHOWN + 1}])
    assert (list(sent.shapes), sent.too_long) == (["SELECT 1"], [])
    sent.add([{"text": "SELECT 'x", "characters": LONGEST + 1}])
    assert sent.too_long == [f"{LONGEST + 1:,} characters: SELECT 'x"]
