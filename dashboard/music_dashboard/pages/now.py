"""What is going on now: the last hours, the songs of the hour, where people listen, and how far behind we are."""

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import change, number, seconds
from music_dashboard.grid import TILES
from music_dashboard.page import Page
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import OF_LISTENS, Drawing, Figure, Number, Numbers, Table, Tile

#: Minutes whose mean is shown as plays a minute: one minute alone jumps.
MINUTES = 5


def minutes(frame: pd.DataFrame) -> list[Drawing]:
    """Plays and streams by minute. The last minute is still running, so the figures are of those before it."""
    known = frame.set_index("minute")[["plays", "streams"]]
    whole = known.reindex(pd.date_range(known.index.min(), known.index.max(), freq="min"), fill_value=0)
    full = whole.iloc[:-1].tail(MINUTES) if len(whole) > 1 else whole
    against = f"mean of {len(full)} min"
    drawn = whole.rename_axis("minute").reset_index()
    chart = charts.lines(drawn, "minute", {"plays": "Plays", "streams": "Streams"}, time="%H:%M", at="%Y-%m-%d %H:%M")
    return [
        Numbers((
            Number("Plays a minute", number(full["plays"].mean(), 1), against=against),
            Number("Streams a minute", number(full["streams"].mean(), 1), against=against),
        )),
        Figure(chart, "Plays and streams of each minute of the latest two hours"),
    ]  # fmt: skip


def hours(frame: pd.DataFrame) -> list[Drawing]:
    """Each hour of the latest date beside the day before."""
    latest = frame[frame["plays"] > 0].iloc[-1] if (frame["plays"] > 0).any() else frame.iloc[-1]
    before = latest["plays_previous_day"]
    difference = None if pd.isna(before) else latest["plays"] - before
    at = f"{latest['activity_hour']:%H:%M} UTC"
    running = "" if latest["is_complete"] else ", still running"
    series = {"plays": "This day", "plays_previous_day": "The day before"}
    # A line that ends in an hour that has only begun would look like a collapse.
    drawn = frame.assign(plays=frame["plays"].where(frame["is_complete"]))
    chart = charts.lines(drawn, "activity_hour", series, time="%H:%M", at="%Y-%m-%d %H:%M", points=True)
    return [
        Numbers((
            Number("Plays of the hour", number(latest["plays"]), change(difference),
                   f"{at}{running}, by the day before"),
            Number("Listeners of the hour", number(latest["listeners"]), against=f"{at}{running}"),
        )),
        Figure(chart, "Plays of each hour of the latest date and of the date before"),
    ]  # fmt: skip


def songs(frame: pd.DataFrame) -> list[Drawing]:
    """The songs of the hour."""
    return [
        Table(titled(frame, song_title="Song", artist="Artist", plays="Plays", streams="Streams"), links=("Artist",))
    ]


def places(frame: pd.DataFrame) -> list[Drawing]:
    """Where people listen."""
    drawn = frame.rename(columns={"plays": "Plays"})
    elsewhere = frame.loc[~frame["state"].isin(TILES), "plays"].sum()
    says = "Plays of the latest date in each state"
    numbers = [Number("Plays of the date", number(frame["plays"].sum()))]
    if elsewhere:
        numbers.append(Number("Elsewhere or unknown", number(elsewhere)))
    return [Numbers(tuple(numbers)), Figure(charts.states(drawn, "Plays"), says, 340)]


def latency(frame: pd.DataFrame) -> list[Drawing]:
    """Seconds from a record's production to the live marts."""
    latest = frame.iloc[0]
    drawn = frame.sort_values("built_at").dropna(subset=["marts_seconds_p95"])
    figures: list[Drawing] = [
        Numbers((
            Number("Record to marts, median", seconds(latest["marts_seconds_p50"]), against="of the latest batch"),
            Number("Record to marts, p95", seconds(latest["marts_seconds_p95"]), against="of the latest batch"),
            Number("Records", number(latest["events"] + latest["late_events"]), against="in the latest batch"),
        ))
    ]  # fmt: skip
    if len(drawn) > 1:
        series = {"lake_seconds_p95": "In the lake", "raw_seconds_p95": "In RAW", "marts_seconds_p95": "In the marts"}
        above = drawn.assign(**{name: drawn[name].clip(lower=0.1) for name in series})
        chart = charts.lines(
            above, "built_at", series, number=",.1f", time="%H:%M", at="%Y-%m-%d %H:%M:%S", points=True, log=True
        )
        figures.append(Figure(chart, "95th percentile of the seconds from a record to each stage, batch by batch"))
    return figures


PAGE = Page(
    name="now",
    title="Now",
    icon=":material/pulse_alert:",
    order=1,
    about="The latest hours, as far as they are known. The page follows each build by itself.",
    dated=False,
    dimensions=("country", "state", "level", "device_type"),
    tiles=(
        (
            Tile("minutes", "Plays and streams a minute", ("listens",), "streams", minutes, by=OF_LISTENS),
            Tile("hours", "By hour, against the day before", ("hourly_metrics",), "hourly_metrics", hours,
                 narrowed_by=OF_LISTENS),
        ),
        (
            Tile("hour_songs", "Top songs of the hour", ("listens", "dim_songs"), "top_songs_daily", songs,
                 by=OF_LISTENS),
            Tile("places", "Where people listen today", ("demographics_daily",), "demographics_daily", places,
                 by={"state": "state", "level": "level"}, narrowed_by=OF_LISTENS),
        ),
        (
            Tile("latency", "How long an event takes", ("pipeline_latency", "events"), "pipeline_latency", latency,
                 dated=False, empty="No batch has been measured yet: that takes a build after the batch."),
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
