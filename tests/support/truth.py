"""The truth file against the marts of a database."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.warehouse import Rows, TestWarehouse

#: Key of each mart, by docs/reference/marts.md.
KEYS = {
    "top_songs_daily": ("activity_date", "song_key"),
    "top_artists_daily": ("activity_date", "artist_id"),
    "top_genres_daily": ("activity_date", "genre"),
    "user_engagement_daily": ("activity_date", "user_id", "device_type", "state"),
    "active_users_daily": ("activity_date",),
    "daily_summary": ("activity_date",),
    "hourly_metrics": ("activity_hour",),
    "location_metrics_daily": ("activity_date", "country", "state", "city"),
    "demographics_daily": ("activity_date", "gender", "level", "state"),
    "device_metrics_daily": ("activity_date", "device_type", "device_os"),
    "conversion_funnel_daily": ("activity_date",),
    "subscription_movements_daily": ("activity_date", "plan", "country"),
    "churn_monthly": ("activity_month",),
    "retention_cohorts": ("cohort_week", "activity_week"),
    "retention_by_day": ("cohort_week", "country", "day_number"),
    "activation": ("user_id",),
    "activation_weekly": ("cohort_week", "country"),
    "user_activity": ("user_id",),
    "growth_accounting_daily": ("activity_date",),
    "user_activity_tiers": ("user_id",),
    "listening_sessions": ("session_key",),
    "song_of_the_year": ("activity_year", "song_key"),
    "artist_of_the_year": ("activity_year", "artist_id"),
    "traffic_anomalies": ("activity_hour", "state"),
    "streams": (
        "activity_date",
        "local_hour",
        "country",
        "state",
        "level",
        "device_type",
        "source",
        "genre",
        "ended_by",
        "is_estimated",
        "is_stream",
        "ineligible_reason",
    ),
    "artist_audience_daily": ("activity_date", "artist_id"),
    "charts_weekly": ("chart_week", "country", "genre", "edition", "song_key"),
    "royalty_shares_monthly": ("statement_month", "activity_month", "country", "plan", "song_key"),
    "song_performance_daily": ("activity_date", "song_key", "country", "level"),
}


#: What the truth has of a mart, where that is not its rows: a row for each listen would be most of the file.
STATEMENTS = {
    "streams": f"""
        select {", ".join(KEYS["streams"])}, count(*) as plays, count(distinct user_id) as users,
            count(distinct session_key) as sessions, sum(heard_seconds) as heard_seconds,
            sum(nominal_seconds) as nominal_seconds
        from GOLD.STREAMS group by all
    """,
}


def rows_of_mart(warehouse: TestWarehouse, mart: str) -> Rows:
    """Rows of the mart, as the truth has them."""
    return warehouse.query(STATEMENTS.get(mart, f"select * from GOLD.{mart}"))


def load_truth(file: Path) -> dict[str, Any]:
    """The truth file as it is."""
    truth: dict[str, Any] = json.loads(file.read_text())
    return truth


def differences(mart: str, found: Rows, wanted: Rows, key: tuple[str, ...] | None = None) -> list[str]:
    """What is wrong with the mart's rows, a line for each; none if it equals the truth."""
    key = key or KEYS[mart]
    have = {tuple(plain(row[k]) for k in key): row for row in found}
    want = {tuple(row[k] for k in key): row for row in wanted}
    wrong = [] if len(have) == len(found) else [f"{mart}: {len(found) - len(have)} rows share a key with another"]
    wrong += [f"{mart}: missing {k}" for k in want.keys() - have.keys()]
    wrong += [f"{mart}: not in the truth {k}" for k in have.keys() - want.keys()]
    for k in have.keys() & want.keys():
        if have[k].keys() != want[k].keys():
            return [f"{mart}: columns {sorted(have[k])} instead of {sorted(want[k])}"]
        wrong += [
            f"{mart} {k}: {column} is {have[k][column]!r}, must be {value!r}"
            for column, value in want[k].items()
            if not _equal(have[k][column], value)
        ]
    return wrong


def assert_truth(warehouse: TestWarehouse, truth: dict[str, Any]) -> None:
    """Every mart equals the truth: integers and texts exactly, floats within 1e-9."""
    wrong: list[str] = []
    for mart in KEYS:
        found = differences(mart, rows_of_mart(warehouse, mart), truth["marts"][mart])
        wrong += found[:3] + ([f"{mart}: {len(found)} differences"] if found else [])
    assert not wrong, "\n".join(wrong)
    events = {row["event_kind"]: row["n"] for row in warehouse.query(
        "select event_kind, count(*) as n from SILVER.EVENTS group by 1"
    )}  # fmt: skip
    assert sum(events.values()) == sum(truth["counts"]["events"].values())


def plain(value: Any) -> Any:
    """A value as the truth file has it."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def _equal(have: Any, want: Any) -> bool:
    have = plain(have)
    if have is None or want is None:
        return have is want
    if isinstance(want, float) or isinstance(have, float):
        return bool(float(have) == pytest.approx(want, rel=1e-9, abs=1e-12))
    return bool(have == want)
