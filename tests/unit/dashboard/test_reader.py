"""What is asked of the warehouse, and what is not."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from music_dashboard.reader import MOST_RESULTS, STATE_SECONDS, Reader, Request
from music_dashboard.source import NotSetUpError, Rows, UnavailableError

NOW = datetime(2026, 6, 30)


class Warehouse:
    """A source that counts what it is asked."""

    look_seconds = 2.0
    parallel = links = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.build, self.changed, self.error = "b1", 0, None
        self.error: Exception | None

    def rows(self, statement: str, values: Sequence[object] = ()) -> tuple[list[str], Rows]:
        if self.error:
            raise self.error
        is_state = "OPS.FRESHNESS" in statement
        self.asked.append("state" if is_state else f"{statement} {values}")
        if is_state:
            return ["kind"], [("model", "songs", self.build, NOW, NOW, 0, None, None, None)]
        return ["n"], [(len(self.asked),)]

    def signal(self) -> object:
        return self.changed

    def dagster_url(self) -> str | None:
        return None


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reader() -> tuple[Reader, Warehouse, Clock]:
    warehouse, clock = Warehouse(), Clock()
    return Reader(lambda: warehouse, clock), warehouse, clock


SONGS = Request("select songs", (1,), ("songs",))


def fetched(found: Reader, *requests: Request) -> list[Any]:
    look = found.look()
    assert look.state is not None
    return found.fetch(requests, look.state)


def test_a_result_is_read_once_for_each_build_of_its_models() -> None:
    found, warehouse, clock = reader()
    first, again = fetched(found, SONGS)[0], fetched(found, SONGS)[0]
    assert first is again
    assert warehouse.asked == ["state", "select songs (1,)"]
    # Something changed, but not these marts.
    warehouse.changed += 1
    assert fetched(found, SONGS)[0] is first
    warehouse.build, warehouse.changed = "b2", 2
    assert fetched(found, SONGS)[0] is not first
    assert warehouse.asked == ["state", "select songs (1,)", "state", "state", "select songs (1,)"]
    clock.now += 0


def test_an_open_page_asks_nothing_while_nothing_changes() -> None:
    found, warehouse, clock = reader()
    fetched(found, SONGS)
    asked = len(warehouse.asked)
    for _ in range(300):
        clock.now += 2.0
        assert not found.changed_since(0)
    assert len(warehouse.asked) == asked
    warehouse.changed = 1
    assert found.changed_since(0)


def test_a_person_who_clicks_sees_what_a_dbt_in_a_shell_has_built() -> None:
    """Nobody says so, so the state is read again once it is some seconds old."""
    found, warehouse, clock = reader()
    fetched(found, SONGS)
    clock.now += STATE_SECONDS / 2
    fetched(found, SONGS)
    assert warehouse.asked.count("state") == 1
    clock.now += STATE_SECONDS
    fetched(found, SONGS)
    assert warehouse.asked.count("state") == 2


def test_a_warehouse_that_is_down_leaves_what_was_known_and_is_asked_again() -> None:
    found, warehouse, clock = reader()
    (known,) = fetched(found, SONGS)
    warehouse.error, clock.now = UnavailableError("It does not answer."), 100.0
    look = found.look()
    assert look.complaint == "It does not answer."
    assert look.state is not None
    assert found.fetch([SONGS], look.state)[0] is known
    (other,) = found.fetch([Request("select others", (), ("songs",))], look.state)
    assert isinstance(other, UnavailableError)
    assert found.changed_since(0), "the page is drawn again until the warehouse answers"
    warehouse.error = None
    assert found.look().complaint is None
    assert not found.changed_since(0)


def test_a_warehouse_that_was_never_there_and_one_without_tables() -> None:
    found, warehouse, _ = reader()
    warehouse.error = UnavailableError("It does not answer.")
    assert (found.look().state, found.look().complaint) == (None, "It does not answer.")
    warehouse.error = NotSetUpError("no such view")
    assert not found.look().is_set_up
    assert found.look().complaint is None


def test_one_that_fails_takes_no_other_with_it_and_is_not_kept() -> None:
    found, warehouse, _ = reader()

    def rows(statement: str, values: Sequence[object] = ()) -> tuple[list[str], Rows]:
        if "broken" in statement:
            raise ValueError(statement)
        return Warehouse.rows(warehouse, statement, values)

    warehouse.rows = rows  # type: ignore[method-assign]
    broken = Request("select broken", (), ("songs",))
    bad, good = fetched(found, broken, SONGS)
    assert isinstance(bad, ValueError)
    assert isinstance(good, pd.DataFrame)
    state = found.look().state
    assert state is not None
    assert not found.kept(broken, state)


def test_results_are_bounded_and_equal_questions_are_asked_once() -> None:
    found, warehouse, _ = reader()
    fetched(found, SONGS, SONGS)
    assert warehouse.asked.count("select songs (1,)") == 1
    fetched(found, *(Request("select", (n,), ("songs",)) for n in range(MOST_RESULTS + 5)))
    state = found.look().state
    assert state is not None
    assert not found.kept(SONGS, state)
