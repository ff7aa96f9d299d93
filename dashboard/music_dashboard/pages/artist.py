"""One artist: streams, monthly listeners, where they are, new and returning ones, songs, saves and skips."""

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import number, percent, seconds
from music_dashboard.page import LEAST_USERS, Control, Page, View
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import OF_JOINED_LISTENS, Drawing, Figure, Number, Numbers, Table, Tile

DAY = "%Y-%m-%d"


def values(view: View) -> Mapping[str, object]:
    """The Monday of the first week, and the floor of a place's listeners."""
    start = view.filters.start or view.first_date
    return {"first_week": start - timedelta(days=start.weekday()), "least_users": LEAST_USERS}


def days(frame: pd.DataFrame) -> list[Drawing]:
    """Streams of each date."""
    series = {"plays": "Plays", "streams": "Streams", "listeners": "Listeners"}
    drawn = frame[frame["is_complete"]] if frame["is_complete"].any() else frame
    return [
        Numbers((
            Number("Streams", number(frame["streams"].sum()), against="of these dates"),
            Number("Plays", number(frame["plays"].sum()), against="of these dates"),
            Number("Heard", seconds(frame["heard_seconds"].sum()), against="of these dates"),
        )),
        Figure(charts.lines(drawn, "activity_date", series, at=DAY), "Plays, streams and listeners of each date"),
    ]  # fmt: skip


def audience(frame: pd.DataFrame) -> list[Drawing]:
    """Listeners of 28 days."""
    latest = frame.iloc[-1]
    at = f"28 days to {latest['activity_date']:%Y-%m-%d}"
    segments = {"super_listeners": "Super", "moderate_listeners": "Moderate", "light_listeners": "Light"}
    top = " · ".join(str(latest[name]) for name in ("top_country", "top_state") if not pd.isna(latest[name]))
    return [
        Numbers((
            Number("Monthly listeners", number(latest["listeners_28d"]), against=at),
            Number("Super listeners", number(latest["super_listeners"]), against="on 5 or more days"),
            Number("Most listeners in", top or "–", against=at),
        )),
        Figure(
            charts.stacked(frame, "activity_date", segments),
            "Super, moderate and light listeners of the 28 days that end on each date",
        ),
    ]  # fmt: skip


def places(frame: pd.DataFrame) -> list[Drawing]:
    """Where the artist is heard."""
    drawn = frame.rename(columns={"plays": "Plays"})
    return [Figure(charts.states(drawn, "Plays"), "Plays of the artist in each state", 340)]


def returning(frame: pd.DataFrame) -> list[Drawing]:
    """New and returning listeners of each week."""
    latest = frame.iloc[-1]
    at = f"week of {latest['activity_week']:%Y-%m-%d}"
    series = {"new_listeners": "New", "returning_listeners": "Returning"}
    return [
        Numbers((
            Number("New listeners", number(latest["new_listeners"]), against=at),
            Number("Returning listeners", number(latest["returning_listeners"]), against=at),
        )),
        Figure(charts.stacked(frame, "activity_week", series), "New and returning listeners of each week"),
    ]  # fmt: skip


def songs(frame: pd.DataFrame) -> list[Drawing]:
    """The artist's songs."""
    totals = frame[["savers", "known_plays", "skips_before_30s"]].sum()
    rate = totals["skips_before_30s"] / totals["known_plays"] if totals["known_plays"] else None
    titles = {"song_title": "Song", "plays": "Plays", "streams": "Streams", "savers": "Saves",
              "skip_rate": "Skipped in 30 s", "completion_rate": "Completed"}  # fmt: skip
    return [
        Numbers((
            Number("Saves", number(totals["savers"]), against="savers of each date, added up"),
            Number("Skipped in 30 s", percent(rate), against=f"of {number(totals['known_plays'])} known plays"),
        )),
        Table(titled(frame, **titles), shares=("Skipped in 30 s", "Completed")),
    ]  # fmt: skip


PAGE = Page(
    name="artist",
    title="Artist",
    icon=":material/artist:",
    order=3,
    about="One artist's streams, audience and songs. The address of this page can be sent.",
    dimensions=("country", "state", "level", "device_type"),
    controls=(
        Control("artist", "Artist", query="known_artists", models=("artist_audience_daily", "daily_summary"),
                is_open=True),
    ),
    values=values,
    tiles=(
        (
            Tile("artist_days", "Streams by day", ("top_artists_daily",), "top_artists_daily", days),
            Tile("artist_audience", "Monthly listeners", ("artist_audience_daily",), "artist_audience_daily", audience),
        ),
        (
            Tile("artist_places", "Where the artist is heard", ("listens", "dim_songs"), "streams", places,
                 by=OF_JOINED_LISTENS),
            Tile("artist_returning", "New and returning listeners", ("listens", "dim_songs"), "streams", returning,
                 by=OF_JOINED_LISTENS),
        ),
        (
            Tile("artist_songs", "Songs, saves and skips", ("song_performance_daily",), "song_performance_daily", songs,
                 by={"country": "country", "level": "level"}),
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
