"""The metrics of the semantic layer, through MetricFlow, against the marts."""

import pytest

from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED
from tests.support.lake import Lake, records_of, rows_of
from tests.support.metrics import metric_names, query
from tests.support.truth import plain
from tests.support.warehouse import Rows, TestWarehouse

#: Metrics → (dimensions, the mart's rows under the same names).
EQUAL: dict[str, tuple[list[str], list[str], str]] = {
    "a genre's day": (
        ["plays", "streams", "listeners"],
        ["metric_time__day", "listen__genre"],
        "select activity_date, genre, plays, streams, unique_listeners from GOLD.TOP_GENRES_DAILY",
    ),
    "a song's day": (
        ["heard_seconds", "known_plays", "skip_30s_rate", "completion_rate", "streams_per_listener"],
        ["metric_time__day", "listen__song_key", "listen__country", "listen__level"],
        "select activity_date, song_key, country, level, heard_seconds, known_plays, skip_30s_rate, completion_rate,"
        " streams_per_listener from GOLD.SONG_PERFORMANCE_DAILY",
    ),
    "active users": (
        ["active_users_1d", "active_users_7d", "active_users_30d"],
        ["metric_time__day"],
        "select activity_date, daily_active_users, active_users_7d, active_users_30d from GOLD.ACTIVE_USERS_DAILY"
        " where daily_active_users > 0",
    ),
    "stickiness": (
        ["stickiness"],
        ["metric_time__day"],
        "select activity_date, stickiness from GOLD.ACTIVE_USERS_DAILY where stickiness > 0",
    ),
    "royalties": (
        ["eligible_streams"],
        ["metric_time__month", "listen__country", "listen__level"],
        "select activity_month, country, plan, sum(streams) from SILVER.ROYALTY_STREAMS group by all",
    ),
    "sessions": (
        ["sessions"],
        ["metric_time__day", "session__session_level"],
        "select session_start::date, level, count(*) from GOLD.LISTENING_SESSIONS group by all",
    ),
    "activation": (
        ["registrations", "activations", "upgrades_30d", "activation_rate", "free_to_paid_30d"],
        ["metric_time__week", "user__registered_country"],
        "select cohort_week, country, users, activated, upgraders, activated / users, upgraders / users"
        " from GOLD.ACTIVATION_WEEKLY",
    ),
    **{
        f"D{day} retention": (
            [f"d{day}_retention"],
            ["metric_time__day", "user_return__cohort_country"],
            "select cohort_week, country, retained / eligible from GOLD.RETENTION_BY_DAY"
            f" where day_number = {day} and eligible > 0",
        )
        for day in (1, 7, 28)
    },
    "subscribers": (
        ["subscribers", "mrr_cents", "new_subscribers", "lost_subscribers"],
        ["subscription__plan", "subscription__subscription_country"],
        "select plan, country, max_by(closing, activity_date), max_by(mrr_cents, activity_date),"
        " sum(new + reactivated), sum(downgraded + cancelled) from GOLD.SUBSCRIPTION_MOVEMENTS_DAILY group by all",
    ),
    "churn": (
        ["paid_churn"],
        ["metric_time__month"],
        "select activity_month, lost / opening from GOLD.CHURN_MONTHLY where opening > 0",
    ),
    "growth": (
        ["quick_ratio"],
        ["metric_time__day"],
        "select activity_date, quick_ratio from GOLD.GROWTH_ACCOUNTING_DAILY where quick_ratio is not null",
    ),
}  # fmt: skip


def keyed(rows: Rows, keys: int) -> dict[tuple[object, ...], list[object]]:
    """Rows as key → measures, by the order of their columns."""
    found = {}
    for row in rows:
        values = [plain(value) for value in row.values()]
        found[tuple(str(value).removesuffix("T00:00:00") for value in values[:keys])] = values[keys:]
    assert len(found) == len(rows)
    return found


def in_order(rows: Rows, columns: list[str]) -> Rows:
    """The rows with their columns in this order; MetricFlow has one of its own."""
    return [{column: row[column] for column in columns} for row in rows]


def test_every_metric_equals_the_mart_that_has_it(warehouse: TestWarehouse, simulation: Simulation) -> None:
    lake = Lake(warehouse.scratch / "lake")
    lake.append(rows_of(records_of(simulation.folder, PRODUCED)))
    warehouse.load_reference(simulation.folder / "reference")
    warehouse.load(lake.root)
    warehouse.build()
    for name, (metrics, by, mart) in EQUAL.items():
        wanted = keyed(warehouse.query(mart), len(by))
        found = keyed(in_order(query(warehouse, metrics, by), by + metrics), len(by))
        assert wanted, name
        # A metric over a window or a cohort has rows where the mart has not, or says NULL.
        assert wanted.keys() <= found.keys(), name
        for key, measures in wanted.items():
            for metric, value, have in zip(metrics, measures, found[key], strict=True):
                assert have == (None if value is None else pytest.approx(value, rel=1e-9)), (name, metric, key)
        if name in ("a genre's day", "a song's day", "royalties", "sessions", "subscribers"):
            assert found.keys() == wanted.keys(), name
    compared = {metric for metrics, _, _ in EQUAL.values() for metric in metrics}
    others = [name for name in metric_names() if name not in compared]
    (totals,) = query(warehouse, [name for name in others if name not in ("users_old_enough", "users_who_returned")])
    assert all(value is not None for value in totals.values()), totals
    (share,) = warehouse.query(
        "select count_if(is_eligible) / count_if(is_stream) as eligible_share, sum(heard_seconds) / 3600 as heard_hours"
        " from GOLD.STREAMS"
    )
    assert [totals[name] for name in share] == pytest.approx([float(value) for value in share.values()], rel=1e-9)
    (minutes,) = warehouse.query(
        "select avg(datediff('millisecond', session_start, session_end)) / 60000 as minutes"
        " from GOLD.LISTENING_SESSIONS"
    )
    assert float(totals["minutes_per_session"]) == pytest.approx(float(minutes["minutes"]), rel=1e-9)
