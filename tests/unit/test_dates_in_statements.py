"""Dates in dbt's statements: written as ranges, so that no statement grows with the dates that it is about."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from dbt_common.clients.jinja import get_environment
from dbt_common.exceptions.macros import MacroReturn

from music_platform.environment import project_root

MACROS = project_root() / "dbt_project" / "macros"
START = datetime.date(2016, 1, 1)
#: Snowflake takes a million; its compiler works for minutes on far less.
MOST_CHARACTERS = 256 * 1024


def macros(**variables: Any) -> dict[str, Callable[..., Any]]:
    """The project's macros about dates, which call each other as in dbt."""
    context: dict[str, Any] = {
        "modules": {"datetime": datetime},
        "var": lambda name, default=None: variables.get(name, default),
        "return": _return,
    }
    for file in ("dates.sql", "changes.sql", "spine.sql", "events.sql", "sessions.sql"):
        module = get_environment(None).from_string((MACROS / file).read_text(), globals=context).module
        for name in [name for name in vars(module) if name.startswith("dbt_macro__")]:
            context[name.removeprefix("dbt_macro__")] = _called(getattr(module, name))
    return context


def _return(value: Any) -> None:
    raise MacroReturn(value)


def _called(macro: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any, **named: Any) -> Any:
        try:
            return macro(*values, **named)
        except MacroReturn as returned:
            return returned.value

    return call


def days(*numbers: int) -> list[str]:
    return [str(START + datetime.timedelta(days=n)) for n in numbers]


@pytest.mark.parametrize(
    ("dates", "condition"),
    [
        (None, "true"),
        ([], "false"),
        (days(4), "d in ('2016-01-05'::date)"),
        (days(4, 6, 4), "d in ('2016-01-05'::date, '2016-01-07'::date)"),
        (days(*range(366)), "d between '2016-01-01'::date and '2016-12-31'::date"),
        (
            days(9, 2, 3, 0),
            "(d in ('2016-01-01'::date, '2016-01-10'::date) or d between '2016-01-03'::date and '2016-01-04'::date)",
        ),
    ],
)
def test_dates_in_a_row_are_a_range(dates: list[str] | None, condition: str) -> None:
    assert " ".join(macros()["on_dates"]("d", dates).split()) == condition


def test_few_ranges_hold_every_date_and_close_the_smallest_gaps() -> None:
    dates = days(0, 1, 5, 7, 30, 90)
    known = macros(most_date_ranges=3)
    assert known["date_ranges"](known["in_few_ranges"](dates)) == [
        ("2016-01-01", "2016-01-08"), ("2016-01-31", "2016-01-31"), ("2016-03-31", "2016-03-31"),
    ]  # fmt: skip
    assert macros()["in_few_ranges"](dates) == dates, "few enough"
    every_other = days(*range(0, 3650, 2))
    few = macros()["in_few_ranges"](every_other)
    assert set(every_other) <= set(few)
    assert len(macros()["date_ranges"](few)) <= 200


@pytest.mark.parametrize("step", [1, 2, 7, 18])
def test_ten_years_of_dates_make_a_short_statement(step: int) -> None:
    known = macros()
    dates = known["in_few_ranges"](days(*range(0, 3650, step)))
    assert len(known["on_dates"]("activity_date", dates)) < MOST_CHARACTERS / 8
    assert len(known["near_dates"](dates, "30")) < MOST_CHARACTERS / 4
    assert len(known["every_date"](dates[0], dates[-1])) < 2000
