"""How many people listen, whether they stay, what they subscribe to, on what and who they are."""

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import change, day, number, percent
from music_dashboard.page import Page
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import OF_LISTENS, Drawing, Figure, Note, Number, Numbers, Table, Tile

DAY = "%Y-%m-%d"
STEPS = {
    "guests": "Visits as a guest",
    "registrations": "Registrations",
    "upgrade_viewers_30d": "Looked at an upgrade within 30 days",
    "upgraders_30d": "Subscribed within 30 days",
}


def actives(frame: pd.DataFrame) -> list[Drawing]:
    """Active users, and how often they come."""
    complete = frame[frame["is_complete"]]
    drawn = complete if len(complete) else frame
    latest = drawn.iloc[-1]
    at = day(latest["activity_date"]) + ("" if latest["is_complete"] else ", still running")
    series = {"daily_active_users": "Daily", "active_users_7d": "7 days", "active_users_30d": "30 days"}
    return [
        Numbers((
            Number("Daily active users", number(latest["daily_active_users"]), against=at),
            Number("7 days", number(latest["active_users_7d"]), against=at),
            Number("30 days", number(latest["active_users_30d"]), against=at),
        )),
        Figure(charts.lines(drawn, "activity_date", series, at=DAY), "Daily, weekly and monthly active users"),
    ]  # fmt: skip


def stickiness(frame: pd.DataFrame) -> list[Drawing]:
    """Daily users as a share of monthly ones."""
    known = frame.dropna(subset=["stickiness"])
    if known.empty:
        return [Note("Known from the 30th date on: until then the window is not full.")]
    latest = known.iloc[-1]
    chart = charts.lines(known, "activity_date", {"stickiness": "Stickiness"}, number=".0%", at=DAY)
    return [
        Numbers((Number("Stickiness", percent(latest["stickiness"]), against=day(latest["activity_date"])),)),
        Figure(chart, "Daily active users as a share of those of 30 days"),
    ]


def lifecycle(frame: pd.DataFrame) -> list[Drawing]:
    """Who came, came back and left."""
    complete = frame[frame["is_complete"]]
    known = complete if len(complete) else frame
    latest = known.iloc[-1]
    drawn = known.assign(churned=-known["churned"])
    at = day(latest["activity_date"])
    moved = latest["closing"] - latest["opening"]
    ratio = None if pd.isna(latest["quick_ratio"]) else f"{latest['quick_ratio']:.2f}"
    return [
        Numbers((
            Number("Active in 28 days", number(latest["closing"]), change(moved), f"{at}, against the day before"),
            Number("New", number(latest["new"]), against=at),
            Number("Came back", number(latest["resurrected"]), against=at),
            Number("Left", number(latest["churned"]), against=at),
            Number("Quick ratio", ratio or "–", against=at),
        )),
        Figure(
            charts.stacked(drawn, "activity_date", {"new": "New", "resurrected": "Came back", "churned": "Left"}),
            "Users who came, came back and left, on each date",
        ),
    ]  # fmt: skip


def cohorts(frame: pd.DataFrame) -> list[Drawing]:
    """Retention as a heat map."""
    drawn = frame.assign(
        Registered=[
            f"{week:%Y-%m-%d} ({users:,})" for week, users in zip(frame["cohort_week"], frame["users"], strict=True)
        ],
        Week=frame["week_number"],
    )
    chart = charts.heat(drawn, "Week", "Registered", "retention_rate")
    height = 26 * frame["cohort_week"].nunique() + 40
    return [Figure(chart, "Share of each week's registered users who listen in each later week", height)]


def retention_days(frame: pd.DataFrame) -> list[Drawing]:
    """Retention of the first days."""
    titles = {"day_number": "Day", "eligible": "Users", "retained": "Listen on it", "retention_rate": "Share",
              "retained_or_later": "On it or later", "rolling_retention_rate": "Share or later"}  # fmt: skip
    return [Table(titled(frame, **titles), shares=("Share", "Share or later"))]


def funnel(frame: pd.DataFrame) -> list[Drawing]:
    """From a look to a subscription."""
    row = frame.iloc[0]
    steps = pd.DataFrame({"step": list(STEPS.values()), "count": [int(row[name] or 0) for name in STEPS]})
    rate = row["registrations"] / row["guests"] if row["guests"] else None
    running = int(row["running_dates"])
    notes: list[Drawing] = []
    if running:
        notes.append(
            Note(f"{running} of these dates are less than 30 days ago, so their last two steps can still grow.")
        )
    return [
        Numbers((
            Number("Visitors", number(row["visitors"]), against="visitors of each date, added up"),
            Number("Guests who register", percent(rate)),
        )),
        Figure(charts.bars(steps, "step", "count"), "How many take each step"),
        *notes,
    ]  # fmt: skip


def movements(frame: pd.DataFrame) -> list[Drawing]:
    """Subscribers who come and go."""
    series = {"first_seen": "First seen", "new": "New", "reactivated": "Reactivated", "downgraded": "Downgraded",
              "cancelled": "Cancelled"}  # fmt: skip
    gone = -(frame["downgraded"].sum() + frame["cancelled"].sum())
    latest = frame.iloc[-1]
    return [
        Numbers((
            Number("Subscribers", number(latest["closing"]), change(latest["closing"] - frame.iloc[0]["opening"]),
                   "since before these dates"),
            Number("New", number(frame["new"].sum()), against="in these dates"),
            Number("Gone", number(gone), against="in these dates"),
        )),
        Figure(charts.stacked(frame, "activity_date", series), "Subscribers who came and went on each date"),
    ]  # fmt: skip


def devices(frame: pd.DataFrame) -> list[Drawing]:
    """What people listen on."""
    shown = frame.assign(device=frame["device_type"] + " · " + frame["device_os"]).head(12)
    return [Figure(charts.bars(shown, "device", "plays"), "Plays on each kind of device", 26 * len(shown) + 20)]


def demographics(frame: pd.DataFrame) -> list[Drawing]:
    """Who listens."""
    names = {"F": "Women", "M": "Men"}
    shown = frame.assign(gender=frame["gender"].map(lambda value: names.get(value, value)))
    return [
        Figure(charts.bars(shown, "gender", "plays", colour="level"), "Plays by gender and level"),
        Table(titled(shown, gender="Gender", level="Level", plays="Plays", streams="Streams")),
    ]


PAGE = Page(
    name="listeners",
    title="Listeners",
    icon=":material/group:",
    order=4,
    about="How many people listen, whether they stay, and what they listen with.",
    dimensions=("country", "state", "level", "device_type"),
    tiles=(
        (
            Tile("actives", "Active users", ("active_users_daily",), "active_users_daily", actives),
            Tile("stickiness", "Stickiness", ("active_users_daily",), "active_users_daily", stickiness,
                 query="actives"),
        ),
        (Tile("lifecycle", "Life cycle", ("growth_accounting_daily",), "growth_accounting_daily", lifecycle),),
        (
            Tile("cohorts", "Retention by week", ("retention_cohorts",), "retention_cohorts", cohorts, dated=False,
                 empty="No cohort has a complete week yet."),
            Tile("retention_days", "Retention by day", ("retention_by_day",), "retention_by_day", retention_days,
                 dated=False, empty="No cohort is complete yet."),
        ),
        (
            Tile("funnel", "Activation", ("conversion_funnel_daily",), "conversion_funnel_daily", funnel),
            Tile("movements", "Subscriptions", ("subscription_movements_daily",), "subscription_movements_daily",
                 movements, by={"country": "country", "level": "plan"}),
        ),
        (
            Tile("devices", "Devices", ("device_metrics_daily",), "device_metrics_daily", devices,
                 by={"device_type": "device_type"}, narrowed_by=OF_LISTENS),
            Tile("demographics", "Demographics", ("demographics_daily",), "demographics_daily", demographics,
                 by={"state": "state", "level": "level"}, narrowed_by=OF_LISTENS),
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
