"""Who gets which share of the money, by both ways of sharing; plans, and subscribers lost and gained."""

from collections.abc import Mapping
from datetime import date

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import change, money, number, percent
from music_dashboard.page import Control, Page, View
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import Drawing, Figure, Number, Numbers, Table, Tile

#: The mart is a view of the others.
STATEMENT = ("royalty_shares_monthly", "royalty_amounts", "dim_songs", "dim_dates")
BY_PLAN = {"country": "country", "level": "plan"}
NO_STATEMENT = "There is no statement yet: it needs eligible streams of subscribers and others in a month."


def values(view: View) -> Mapping[str, object]:
    """The first date of the statement's month."""
    month = view.chosen["month"]
    return {"statement_month": date.fromisoformat(f"{month}-01") if month else None}


def totals(frame: pd.DataFrame) -> list[Drawing]:
    """What the statement gives out."""
    shown = frame.assign(
        pool=frame["pro_rata_cents"].map(money),
        state=["closed" if closed else "open" for closed in frame["is_closed"]],
    )
    titles = {"country": "Country", "plan": "Plan", "streams": "Streams", "pool": "Given out",
              "adjusted_streams": "Adjusted", "state": "Statement"}  # fmt: skip
    return [
        Numbers((
            Number("Given out", money(frame["pro_rata_cents"].sum())),
            Number("Eligible streams", number(frame["streams"].sum())),
            Number("Streams of earlier months", number(frame["adjusted_streams"].sum())),
        )),
        Table(titled(shown, **titles)),
    ]  # fmt: skip


def royalty_songs(frame: pd.DataFrame) -> list[Drawing]:
    """Both shares of each song."""
    shown = frame.assign(
        pro_rata=frame["pro_rata_cents"] / 100,
        user_centric=frame["user_centric_cents"] / 100,
        difference=frame["difference_cents"] / 100,
    )
    titles = {"song_title": "Song", "streams": "Streams", "pro_rata": "Pro rata", "user_centric": "User-centric",
              "difference": "Difference"}  # fmt: skip
    return [Table(titled(shown, **titles))]


def moves(frame: pd.DataFrame) -> list[Drawing]:
    """Who gains and who loses by the other way of sharing."""
    shown = frame.assign(difference=frame["difference_cents"] / 100)
    chart = charts.differences(shown, "song_title", "difference")
    return [
        Figure(
            chart,
            "Difference between the user-centric and the pro rata share of the songs that differ most",
            20 * len(shown) + 30,
        )
    ]


def plans(frame: pd.DataFrame) -> list[Drawing]:
    """Subscribers of each plan."""
    wide = frame.pivot_table(index="activity_date", columns="plan", values="subscribers", aggfunc="sum").reset_index()
    names = {str(plan): str(plan) for plan in wide.columns if plan != "activity_date"}
    latest, first = wide.iloc[-1], wide.iloc[0]
    figures = tuple(
        Number(
            name.capitalize(),
            number(latest[name]),
            change(latest[name] - first[name]),
            "since the first of these dates",
        )
        for name in list(names)[:4]
    )
    chart = charts.lines(wide, "activity_date", names, at="%Y-%m-%d")
    return [Numbers(figures), Figure(chart, "Subscribers of each plan at the end of each date")]


def churn(frame: pd.DataFrame) -> list[Drawing]:
    """Subscribers lost and gained by month."""
    months = zip(frame["activity_month"], frame["is_complete"], strict=True)
    shown = frame.assign(month=[f"{month:%Y-%m}" + ("" if done else ", running") for month, done in months])
    known = frame.dropna(subset=["churn_rate"])
    rate = percent(known.iloc[0]["churn_rate"]) if len(known) else "–"
    at = f"{known.iloc[0]['activity_month']:%Y-%m}" if len(known) else "known after the second month"
    titles = {"month": "Month", "opening": "Opening", "gained": "Gained", "lost": "Lost", "closing": "Closing",
              "churn_rate": "Churn"}  # fmt: skip
    return [Numbers((Number("Churn", rate, against=at),)), Table(titled(shown, **titles), shares=("Churn",))]


PAGE = Page(
    name="money",
    title="Money",
    icon=":material/payments:",
    order=5,
    about="A month's statement by both ways of sharing, in the pool's currency; subscribers by plan.",
    dimensions=("country", "level"),
    controls=(
        Control("month", "Statement", query="statement_months", models=STATEMENT),
    ),
    values=values,
    tiles=(
        (
            Tile("royalty_totals", "The statement", STATEMENT, "royalty_shares_monthly", totals,
                 by=BY_PLAN, dated=False, empty=NO_STATEMENT),
            Tile("royalty_moves", "Who gains by user-centric shares", STATEMENT, "royalty_shares_monthly",
                 moves, by=BY_PLAN, dated=False, empty=NO_STATEMENT),
        ),
        (
            Tile("royalty_songs", "Pro rata beside user-centric", STATEMENT, "royalty_shares_monthly",
                 royalty_songs, by=BY_PLAN, dated=False, empty=NO_STATEMENT),
        ),
        (
            Tile("plans", "Subscribers by plan", ("subscription_movements_daily",), "subscription_movements_daily",
                 plans, by=BY_PLAN),
            Tile("churn", "Lost and gained by month", ("churn_monthly",), "churn_monthly", churn, dated=False),
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
