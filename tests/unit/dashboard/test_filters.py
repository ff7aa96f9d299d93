"""What a page is narrowed to is in its address, and an address that makes no sense narrows nothing."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from music_dashboard.filters import DIMENSIONS, Filters, conditions

DATES = st.dates(date(2020, 1, 1), date(2030, 1, 1))
TEXTS = st.one_of(st.none(), st.text(min_size=1, max_size=12))


@given(days=st.tuples(DATES, DATES), values=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
def test_an_address_and_back_are_the_same_filters(days: tuple[date, date], values: tuple[str | None, ...]) -> None:
    filters = Filters(min(days), max(days), *values)
    assert Filters.of(filters.address()) == filters


def test_what_cannot_be_read_is_left_out() -> None:
    assert Filters.of({"from": "yesterday", "to": "", "state": "CA", "colour": "red"}) == Filters(state="CA")
    turned = Filters.of({"from": "2026-06-09", "to": "2026-06-01"})
    assert (turned.start, turned.end) == (date(2026, 6, 1), date(2026, 6, 9))


@given(start=st.one_of(st.none(), DATES), end=st.one_of(st.none(), DATES), days=st.tuples(DATES, DATES))
def test_dates_are_within_those_that_there_are(start: date | None, end: date | None, days: tuple[date, date]) -> None:
    first, last = min(days), max(days)
    found = Filters(start, end).within(first, last)
    assert found.start is not None
    assert found.end is not None
    assert first <= found.start <= found.end <= last


def test_the_usual_dates_follow_the_data() -> None:
    found = Filters().within(date(2026, 1, 1), date(2026, 6, 30))
    assert (found.start, found.end) == (date(2026, 6, 3), date(2026, 6, 30))


def test_a_page_has_only_its_own_filters() -> None:
    filters = Filters(country="US", state="CA", level="paid", device_type="mobile")
    assert filters.only(("level",)).narrowed() == {"level": "paid"}
    assert tuple(filters.narrowed()) == DIMENSIONS


def test_values_never_become_sql() -> None:
    sql, values = conditions({"state": "CA' or 1=1 --", "level": "paid"}, {"state": "state", "level": ""})
    assert sql == " and state = ?"
    assert values == ("CA' or 1=1 --",)
