"""What balances, what does not, and what it costs to find out where transactions leave markers."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_platform.ingestion.conservation import (
    NO_ROWS,
    Counted,
    FileRows,
    Read,
    Rows,
    judge,
    judge_files,
    since,
    start_of,
)
from music_platform.ingestion.gaps import Partition
from music_platform.ingestion.intake import Batch, IntakeFile
from music_platform.ingestion.intervals import Interval, length, without
from music_platform.ingestion.reconciled import ROWS_AT_ONCE, Ledger, Reconciled, statements
from music_platform.lake.paths import checkpoint_path
from music_platform.lake.progress import Progress, read_progress
from tests.support import slowdown

intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=12)


def numbers(ranges: list[Interval]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def apart(ranges: list[Interval]) -> list[Interval]:
    """Ranges of the same numbers that do not overlap."""
    found = numbers(ranges)
    starts = sorted(number for number in found if number - 1 not in found)
    return [(first, next(n for n in range(first, 100) if n + 1 not in found)) for first in starts]


@given(intervals.map(apart), intervals)
def test_what_is_left_of_ranges_is_what_no_other_covers(ranges: list[Interval], known: list[Interval]) -> None:
    left = list(without(ranges, known))
    assert numbers(left) == numbers(ranges) - numbers(known)
    assert left == sorted(left)
    assert length(left) == len(numbers(left))


def test_ranges_are_swept_once_however_many_there_are() -> None:
    """Comparing each range with each other took 3.2 s for 2,000 of them."""
    markers = [(offset, offset) for offset in range(10, 2_000_000, 10)]
    began = time.process_time()
    assert list(without(markers, markers[1:])) == [(10, 10)]
    assert time.process_time() - began < slowdown.seconds(2)


BEFORE = Reconciled(first=0, end=10, rows=8, offsets=8, batch=3)


@pytest.mark.parametrize(
    ("read", "before", "found", "missing", "said"),
    [
        (Read(0, 5), None, Rows(5, 5, 0, 4), [], None),
        (Read(0, 0), None, NO_ROWS, [], None),
        (Read(100, 100), None, NO_ROWS, [], None),
        (Read(0, 5), None, NO_ROWS, [(0, 4)], "5 rows are missing (offsets 0–4)"),
        (Read(2, 5), None, Rows(2, 2, 3, 4), [(2, 2)], "1 rows are missing (offsets 2–2)"),
        (Read(0, 5), None, Rows(6, 5, 0, 4), [], "1 duplicate rows"),
        (Read(0, 5), None, Rows(6, 6, 0, 5), [], "rows up to offset 5, but only offsets before 5 were read"),
        (Read(None, 9), None, Rows(5, 5, 4, 8), [], None),
        (Read(0, 15), BEFORE, Rows(5, 5, 10, 14), [], None),
        (Read(0, 10), BEFORE, NO_ROWS, [], None),
        (Read(0, 7), BEFORE, NO_ROWS, [], "rows up to offset 9, but only offsets before 7 were read"),
    ],
)
def test_new_rows_balance_with_what_was_read(
    read: Read, before: Reconciled | None, found: Rows, missing: list[Interval], said: str | None
) -> None:
    assert judge(read, before, Counted(after=found), missing, 5, whole=False).complaint == said


def test_what_balanced_once_is_compared_with_its_number_of_rows() -> None:
    """Two of the ten offsets held markers; whether the broker still knows does not matter."""
    read = Read(0, 12)

    def said(before: Rows, whole: bool) -> str | None:
        return judge(read, BEFORE, Counted(before, Rows(2, 2, 10, 11)), [], 5, whole).complaint

    assert said(Rows(8, 8, 0, 9), True) is None
    assert said(Rows(7, 7, 0, 9), True) == "1 rows are missing"
    assert said(Rows(9, 8, 0, 9), True) == "1 duplicate rows"
    assert said(Rows(8, 7, 0, 9), True) == "1 rows are missing"
    assert said(NO_ROWS, False) is None
    assert said(Rows(1, 1, 4, 4), False) == "1 duplicate rows", "a new row of an offset that has its row"
    for found, whole in ((Rows(8, 8, 0, 9), True), (NO_ROWS, False)):
        state = judge(read, BEFORE, Counted(found, Rows(2, 2, 10, 11)), [], 5, whole).state
        assert state == Reconciled(0, 12, 10, 10, 5)


def test_a_partition_is_accounted_for_from_its_beginning() -> None:
    later = Counted(after=Rows(3, 3, 7, 9))
    assert start_of(Read(4, 10), None, later) == 4, "what is lost before the first row is missed"
    assert start_of(Read(None, 10), None, later) == 7
    assert start_of(Read(8, 10), None, later) == 7, "a beginning that a new generation gave is not the first"
    assert start_of(Read(4, 10), BEFORE, later) == 10
    assert start_of(Read(None, 10), None, Counted()) == 10


def batch(number: int, **lines: int) -> Batch:
    files = tuple(IntakeFile("playback", name, count, 0) for name, count in lines.items())
    return Batch("intake-1", number, 0, files, ended=True)


def test_rows_are_lines() -> None:
    found = {"a": FileRows(2, 2), "b": FileRows(2, 2), "d": FileRows(2, 2), "x": FileRows(1, 1), "e": FileRows(2, 1)}
    judged = judge_files([batch(0, a=2, b=3, c=0, d=1, e=2)], None, {f"playback/{n}": r for n, r in found.items()}, 5,
                         whole=False)  # fmt: skip
    assert judged.wrong == [
        ("playback/b", "3 lines, 2 rows"),
        ("playback/d", "1 lines, 2 rows"),
        ("playback/e", "1 duplicate rows"),
        ("playback/x", "rows of a file that was never ingested"),
    ]
    assert judged.rows == {"playback/b": 2, "playback/d": 2, "playback/e": 2}


def test_only_new_files_are_counted_and_all_of_them_again_where_the_table_is_another() -> None:
    rows = {"playback/a": FileRows(2, 2), "playback/b": FileRows(3, 3)}
    first = judge_files([batch(0, a=2), batch(1, b=3)], None, rows, 5, whole=False)
    assert (first.wrong, first.state) == ([], Reconciled(0, 2, 5, 5, 5))
    new = judge_files([batch(2, c=1)], first.state, {"playback/c": FileRows(1, 1)}, 9, whole=False)
    assert (new.wrong, new.state) == ([], Reconciled(0, 3, 6, 6, 9))
    # The first batch is forgotten since.
    rows = {"playback/a": FileRows(2, 2, is_recent=False), "playback/b": FileRows(3, 3), "playback/c": FileRows(1, 1)}
    again = judge_files([batch(1, b=3), batch(2, c=1)], new.state, rows, 12, whole=True)
    assert (again.wrong, again.state) == ([], Reconciled(0, 3, 6, 6, 12))
    lost = judge_files([batch(1, b=3), batch(2, c=1)], new.state, {n: r for n, r in rows.items() if n != "playback/a"},
                       12, whole=True)  # fmt: skip
    assert lost.wrong == [("files that are not kept any more", "2 lines, 0 rows")]
    unknown = judge_files([batch(1, b=3), batch(2, c=1)], None, rows, 12, whole=True)
    assert unknown.wrong == [], "rows of forgotten files are nobody's"


def test_the_ledger_is_counted_from_its_oldest_batch_and_a_new_partition_from_the_first() -> None:
    a, b = Partition("a", 0, "1"), Partition("b", 0, "1")
    ledger = Ledger({a: Reconciled(0, 5, 5, 5, 7), b: Reconciled(0, 5, 5, 5, 4)})
    assert since(ledger, [a, b]) == 4
    assert since(ledger, [a]) == 7
    assert since(ledger, [a, b, Partition("c", 0, "1")]) == -1
    assert since(Ledger(), []) == -1


def test_no_statement_of_the_ledger_grows_with_the_partitions() -> None:
    many = {Partition("listen_events" * 4, number, "x" * 22): BEFORE for number in range(1_200)}
    sent = statements(Ledger(many, "intake-1", BEFORE))
    assert len(sent) == 1 + -(-1_201 // ROWS_AT_ONCE)
    assert max(map(len, sent)) < 128 * 1024


def offsets(checkpoint: str, kind: str, number: int, content: str) -> None:
    file = Path(checkpoint) / kind / str(number)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_where_partitions_were_begun_outlives_their_generation(tmp_path: Path) -> None:
    root = str(tmp_path)
    first = Progress(root, {"a": "1", "b": "2"})
    offsets(first.checkpoint, "sources/0", 0, '\0v1\n{"a":{"0":3},"b":{"0":0}}')
    assert first.beginnings() == {}, "planned, but the records may expire before they are in the lake"
    # A second partition of a was added meanwhile.
    offsets(first.checkpoint, "offsets", 0, 'v1\n{}\n{"a":{"0":9,"1":4},"b":{"0":6}}')
    offsets(first.checkpoint, "commits", 0, "v1\n{}")
    assert first.beginnings() == {"a": {0: 3, 1: 0}, "b": {0: 0}}
    # b is adopted: it is read from its first record.
    old = first.retired_topic("b", {0: 6})
    assert (old.topic_id, old.began) == ("2", {0: 0})
    first.next_generation({"a": {0: 9, 1: 4}}, {"b": "3"}, (old,))
    second = read_progress(root)
    assert second.checkpoint == checkpoint_path(root, 1)
    offsets(second.checkpoint, "sources/0", 0, '\0v1\n{"a":{"0":9,"1":4},"b":{"0":2}}')
    offsets(second.checkpoint, "offsets", 0, 'v1\n{}\n{"a":{"0":9,"1":4},"b":{"0":3}}')
    offsets(second.checkpoint, "commits", 0, "v1\n{}")
    assert second.beginnings() == {"a": {0: 3, 1: 0}, "b": {0: 2}}
    assert second.retired[0].began == {0: 0}
