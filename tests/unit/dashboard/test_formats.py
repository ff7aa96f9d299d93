"""Numbers and times as people read them."""

from datetime import date, datetime

import pandas as pd
import pytest

from music_dashboard import formats


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (0, "0"), (2.5, "2"), (None, "–"), (float("nan"), "–"), (pd.NA, "–"), (pd.NaT, "–")],
)
def test_numbers_have_commas_and_nothing_is_a_dash(value: object, shown: str) -> None:
    assert formats.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 s"), (0.2, "0.2 s"), (12, "12 s"), (60, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min"),
     (356_400, "4 d 3 h"), (None, "–")],
)  # fmt: skip
def test_durations_have_their_two_largest_units(value: object, shown: str) -> None:
    assert formats.seconds(value) == shown


def test_shares_money_and_changes() -> None:
    assert formats.percent(0.3579) == "35.8 %"
    assert formats.percent(None) == "–"
    assert formats.money(123456) == "1,234.56"
    assert formats.change(1200) == "+1,200"
    assert formats.change(-3.0) == "-3"
    assert formats.change(None) is None


def test_times_are_utc_and_dates_are_iso() -> None:
    assert formats.moment(datetime(2026, 6, 30, 1, 2, 3)) == "2026-06-30 01:02:03 UTC"
    assert formats.day(date(2026, 6, 30)) == "2026-06-30"
    assert formats.day(pd.NaT) == formats.moment(None) == "–"


def test_a_place_moves_up_when_its_number_falls() -> None:
    assert formats.movement(2, 5) == "▲ 3"
    assert formats.movement(5, 2) == "▼ 3"
    assert formats.movement(1, 1) == "="
    assert formats.movement(1, None) == formats.movement(1, pd.NA) == "new"
