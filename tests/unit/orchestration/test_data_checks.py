"""The data checks' outcomes for given answers of the warehouse."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from music_platform.contracts import events
from music_platform.environment import project_root
from music_platform.orchestration.data_checks import (
    ADDITIVE,
    HOURS,
    ID_HASH,
    MOST_BATCHES,
    MOST_DATES,
    Outcome,
    distribution,
    distribution_outcome,
    drift_outcome,
    inferred_outcome,
    quarantine_outcome,
    same_id,
    totals,
    totals_outcome,
    volume,
    volume_outcome,
)
from music_platform.settings import Settings

COLUMNS = {column.column for column in events.raw_columns()}


@pytest.mark.parametrize(("bad", "passed"), [(0, True), (2, True), (3, False)])
def test_the_quarantined_share_has_a_limit(bad: int, passed: bool) -> None:
    outcome = quarantine_outcome(100, [("ts: missing", bad, "listen_events/0/7")] if bad else [], 0.02)
    assert outcome.passed is passed
    assert outcome.figures["quarantined"] == bad
    assert not bad or outcome.samples == [f"listen_events/0/7: ts: missing ({bad} like it)"]


def test_nothing_loaded_is_nothing_wrong() -> None:
    assert quarantine_outcome(0, [], 0.02).passed
    assert drift_outcome(0, [], COLUMNS, 0.05).passed
    assert inferred_outcome(0, 0, [], 0.05).passed


def test_unknown_fields_and_foreign_columns_are_drift() -> None:
    assert drift_outcome(100, [("mood", 5, "listen_events/0/7")], COLUMNS, 0.05).passed
    assert not drift_outcome(100, [("mood", 6, "listen_events/0/7")], COLUMNS, 0.05).passed
    many = ", ".join(f"{'x' * 400}{n}" for n in range(300))
    (sample,) = drift_outcome(100, [(many, 1, "listen_events/0/7")], COLUMNS, 0.05).samples
    assert len(sample) < 300, "a producer chooses the names, and how many"
    assert sample.endswith("and 295 more (1 like it)")
    outcome = drift_outcome(100, [], COLUMNS - {"song"} | {"mood"}, 0.05)
    assert not outcome.passed
    assert "mood, song" in outcome.summary


def weeks(last: int, before: tuple[int, int, int, int]) -> dict[int, int]:
    """Listens an hour in the last day and in the same hours of four weeks before; 10 in every other hour."""
    plays = dict.fromkeys(range(4 * 168 + HOURS + 1), 10)
    for week, count in enumerate((last, *before)):
        plays |= dict.fromkeys(range(1 + week * 168, HOURS + 1 + week * 168), count)
    return plays


def test_a_day_far_from_its_weekday_is_an_anomaly() -> None:
    assert volume_outcome(weeks(100, (100, 110, 95, 105))).passed
    assert not volume_outcome(weeks(30, (100, 110, 95, 105))).passed
    assert not volume_outcome(weeks(300, (100, 110, 95, 105))).passed
    assert "no baseline" in volume_outcome({0: 5, 1: 1000}).summary


def test_listens_that_move_between_states_are_an_anomaly() -> None:
    assert distribution_outcome({"CA": (1000, 1000), "NY": (1000, 1100)}).passed
    outcome = distribution_outcome({"CA": (1900, 1000), "NY": (100, 1000)})
    assert not outcome.passed
    assert outcome.figures["moved"] == pytest.approx(0.45)
    assert set(outcome.samples) == {"CA: +45.0%", "NY: -45.0%"}


def test_marts_add_up_or_are_named() -> None:
    assert totals_outcome(10, {"daily_summary": 10, "top_songs_daily": 10}).passed
    outcome = totals_outcome(10, {"daily_summary": 10, "top_songs_daily": 12})
    assert not outcome.passed
    assert outcome.samples == ["top_songs_daily: 12 plays, +2"]


LATEST = datetime(2026, 6, 30, 12)
SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]


class Warehouse:
    """Answers by the first of these beginnings that a statement has, and keeps the statements."""

    def __init__(self, answers: dict[str, list[tuple[Any, ...]]]) -> None:
        self.answers, self.statements = answers, list[str]()

    def __call__(self, statement: str) -> list[tuple[Any, ...]]:
        self.statements.append(statement)
        return next(rows for beginning, rows in self.answers.items() if statement.startswith(beginning))


def test_what_a_check_reads_is_bounded_by_literals() -> None:
    """With a query in their place the warehouse would read the whole table, every quarter of an hour."""
    hours = [(LATEST - timedelta(hours=n), 10) for n in range(1, 4 * 168 + HOURS + 1)]
    ask = Warehouse({"SELECT MAX": [(LATEST,)], "SELECT activity_hour": hours, "SELECT state": []})
    outcome = volume(ask, SETTINGS)
    assert outcome.figures == {"plays": 240}, outcome.summary
    distribution(ask, SETTINGS)
    asked = [statement for statement in ask.statements if not statement.startswith("SELECT MAX")]
    assert [re.findall(r"'(2026-\S+) 12:00:00'::TIMESTAMP_NTZ", text) for text in asked] == [
        ["2026-06-30", "2026-06-01"],
        ["2026-06-29"],
    ]
    assert not [text for text in asked if "(SELECT" in text]
    for check in (volume, distribution):
        assert check(Warehouse({"SELECT MAX": [(None,)]}), SETTINGS).passed


@pytest.mark.parametrize(
    ("first", "built", "earlier", "condition"),
    [
        (90, 95, [3, 41], "(batch_id >= 90 OR batch_id IN (3, 41))"),
        (90, 70, [3], "(batch_id >= 71 OR batch_id IN (3))"),
        (90, 95, [], "batch_id >= 90"),
        (90, -1, [], "TRUE"),
        (None, 95, [], "FALSE"),
        (5_000, 5_000, range(7, 8 + MOST_BATCHES), "batch_id >= 7"),
    ],
)
def test_ids_are_compared_in_the_batches_that_have_them(
    first: int | None, built: int, earlier: list[int], condition: str
) -> None:
    answers = {
        "SELECT MAX": [(LATEST,)],
        "SELECT MIN(batch_id)": [(first,)],
        "SELECT COALESCE(MAX(version)": [(built,)],
        "SELECT DISTINCT earlier": [(batch,) for batch in earlier],
        "SELECT MIN(COALESCE": [],
    }
    ask = Warehouse(answers)
    assert same_id(ask, SETTINGS).passed
    assert f" FROM RAW.EVENTS WHERE {condition} AND quarantine_reason IS NULL" in ask.statements[-1]


def test_copies_of_an_event_may_have_been_enriched_from_other_reference_data() -> None:
    """A user who is new in it between a record and its copy is not another content."""
    answers = {
        "SELECT MAX": [(LATEST,)],
        "SELECT MIN(batch_id)": [(None,)],
        "SELECT COALESCE": [(-1,)],
        "SELECT MIN(COALESCE": [],
    }
    ask = Warehouse(answers)
    assert same_id(ask, SETTINGS).passed
    (compared,) = re.findall(r"HASH\((.*?)\)", ask.statements[-1])
    said = {column.strip() for column in compared.split(",")}
    assert {"ts", "user_id", "song"} <= said
    assert not said & {column.column for column in events.ENRICHMENT_COLUMNS}


def test_ids_are_looked_up_as_silver_notes_them() -> None:
    assert (
        f"{ID_HASH}::number(38, 0) as id_hash"
        in (project_root() / "dbt_project/models/silver/event_dates.sql").read_text()
    )


def compared(after: int, reached: dict[str, int], dates: list[date], plays: int) -> tuple[Outcome, list[str]]:
    """The verdict on totals, and the statements that counted."""
    ask = Warehouse({
        "SELECT COALESCE(MAX(last_batch)": [(after,)],
        "SELECT model": list(reached.items()),
        "SELECT DISTINCT activity_date": [(day,) for day in dates],
        "SELECT COUNT(*) FROM SILVER.LISTENS": [(10,)],
        "SELECT COALESCE(SUM(plays)": [(plays,)],
    })  # fmt: skip
    outcome = totals(ask, SETTINGS)
    return outcome, [text for text in ask.statements if "LISTENS" in text or "GOLD." in text]


def test_totals_are_compared_on_the_dates_of_batches_that_have_not_passed() -> None:
    level = dict.fromkeys(["listens", *ADDITIVE], 9)
    days = [date(2026, 6, 2), date(2026, 5, 1)]
    outcome, asked = compared(5, level, days, plays=10)
    assert outcome.passed
    assert [re.findall(r"'(\S+)'::DATE", text) for text in asked] == [["2026-05-01", "2026-06-02"]] * 11
    assert "SELECT 'totals', 6, 9, True" in outcome.notes[-1]
    # What is wrong stays wrong until it is right: the batches have not passed.
    outcome, _ = compared(5, level, days, plays=12)
    assert (outcome.passed, outcome.notes) == (False, ())
    # A mart that is behind is neither compared nor passed over.
    outcome, asked = compared(5, level | {"demographics_daily": 7}, days, plays=10)
    assert (outcome.passed, outcome.notes, len(asked)) == (True, (), 10)
    # The first time, and where there are very many dates, whole tables and whole ranges.
    assert all("WHERE" not in text for text in compared(-1, level, days, plays=10)[1])
    many = [date(2026, 1, 1) + timedelta(days=n) for n in range(MOST_DATES + 1)]
    assert all("BETWEEN '2026-01-01'::DATE AND '2027-02-05'::DATE" in text for text in compared(5, level, many, 10)[1])
    assert compared(9, level, days, plays=99)[0].summary == "every date was compared before"
