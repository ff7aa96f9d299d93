"""Songs, artists and genres by day, week and year; the weekly chart as published and as known now."""

from collections.abc import Mapping
from datetime import date, timedelta

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import movement, number
from music_dashboard.page import Control, Page, View
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import OF_JOINED_LISTENS, OF_LISTENS, Drawing, Figure, Number, Numbers, Table, Tile

PERIODS = {"day": "Day", "week": "Week", "year": "Year"}
EDITIONS = {"current": "As known now", "published": "As published"}


def period(name: str | None, end: date) -> tuple[date, date, date, date]:
    """First and last date of the day, week (from Monday) or calendar year with this date, and of the one before."""
    if name == "year":
        return date(end.year, 1, 1), date(end.year, 12, 31), date(end.year - 1, 1, 1), date(end.year - 1, 12, 31)
    if name == "week":
        monday = end - timedelta(days=end.weekday())
        return monday, monday + timedelta(days=6), monday - timedelta(days=7), monday - timedelta(days=1)
    return end, end, end - timedelta(days=1), end - timedelta(days=1)


def values(view: View) -> Mapping[str, object]:
    """The two periods of the page, and the week and country of the chart."""
    end, week = view.filters.end or view.last_date, view.chosen["week"]
    names = ("period_start", "period_end", "before_start", "before_end")
    return {
        **dict(zip(names, period(view.chosen["period"], end), strict=True)),
        "chart_week": date.fromisoformat(week) if week else None,
        "chart_country": view.filters.country or "All",
    }


def says(view: View) -> str:
    """The period and the one that it is compared with."""
    first, last, before_first, before_last = period(view.chosen["period"], view.filters.end or view.last_date)
    span = f"{first}" if first == last else f"{first} to {last}"
    before = f"{before_first}" if before_first == before_last else f"{before_first} to {before_last}"
    return f"**{span}**{' so far' if last >= view.last_date else ''}, compared with {before}."


def _moved(frame: pd.DataFrame) -> pd.DataFrame:
    moves = [movement(*pair) for pair in zip(frame["chart_rank"], frame["previous_rank"], strict=True)]
    return frame.assign(moved=moves)


def songs(frame: pd.DataFrame) -> list[Drawing]:
    """Songs with rank and movement."""
    titles = {"chart_rank": "#", "moved": "±", "song_title": "Song", "artist": "Artist", "plays": "Plays",
              "streams": "Streams"}  # fmt: skip
    return [Table(titled(_moved(frame), **titles), links=("Artist",))]


def artists(frame: pd.DataFrame) -> list[Drawing]:
    """Artists with rank and movement."""
    titles = {"chart_rank": "#", "moved": "±", "artist": "Artist", "plays": "Plays", "streams": "Streams"}
    return [Table(titled(_moved(frame), **titles), links=("Artist",))]


def genres(frame: pd.DataFrame) -> list[Drawing]:
    """Genres as bars."""
    shown = frame[frame["plays"] > 0].head(15)
    total = Number("Plays of the period", number(frame["plays"].sum()))
    before = Number("Plays of the period before", number(frame["plays_before"].sum()))
    return [
        Numbers((total, before)),
        Figure(charts.bars(shown, "genre", "plays"), "Plays of each genre", 26 * len(shown) + 20),
    ]


def weekly(frame: pd.DataFrame) -> list[Drawing]:
    """The chart of a week."""
    titles = {"chart_rank": "#", "moved": "±", "song_title": "Song", "artist": "Artist", "points": "Points",
              "peak_rank": "Peak", "weeks_on_chart": "Weeks"}  # fmt: skip
    return [Table(titled(_moved(frame).round({"points": 4}), **titles), links=("Artist",))]


def corrections(frame: pd.DataFrame) -> list[Drawing]:
    """What has changed since the publication."""
    titles = {"song_title": "Song", "artist_name": "Artist", "published_rank": "Published", "current_rank": "Now",
              "published_streams": "Streams then", "current_streams": "Streams now", "reason": "Why"}  # fmt: skip
    return [Numbers((Number("Places that differ", number(len(frame))),)), Table(titled(frame, **titles))]


def songs_of_years(frame: pd.DataFrame) -> list[Drawing]:
    """Songs of the Year."""
    titles = {"activity_year": "Year", "song_rank": "#", "song_title": "Song", "artist": "Artist", "plays": "Plays"}
    return [*_winner(frame, "song_title"), Table(titled(_years(frame), **titles), links=("Artist",))]


def artists_of_years(frame: pd.DataFrame) -> list[Drawing]:
    """Artists of the Year."""
    titles = {"activity_year": "Year", "artist_rank": "#", "artist": "Artist", "plays": "Plays"}
    return [*_winner(frame, "artist_name"), Table(titled(_years(frame), **titles), links=("Artist",))]


def _winner(frame: pd.DataFrame, name: str) -> list[Drawing]:
    first = frame.iloc[0]
    so_far = "" if first["is_complete"] else " so far"
    return [Numbers((Number(f"Of {first['activity_year']}{so_far}", str(first[name])),))]


def _years(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(activity_year=frame["activity_year"].astype(str))


PAGE = Page(
    name="charts",
    title="Charts",
    icon=":material/leaderboard:",
    order=2,
    about="Songs, artists and genres of the day, week or year that the last of the dates is in, and the weekly chart.",
    dimensions=("country", "state", "level", "device_type"),
    controls=(
        Control("period", "Period", PERIODS),
        Control("week", "Week of the chart (from Friday)", query="chart_weeks", models=("charts_weekly",)),
        Control("edition", "Edition", EDITIONS),
    ),
    values=values,
    says=says,
    tiles=(
        (
            Tile("songs", "Songs of the period", ("top_songs_daily",), "top_songs_daily", songs,
                 narrowed_by=OF_LISTENS, narrowed_models=("listens", "dim_songs")),
            Tile("artists", "Artists of the period", ("top_artists_daily",), "top_artists_daily", artists,
                 narrowed_by=OF_JOINED_LISTENS, narrowed_models=("listens", "dim_songs")),
        ),
        (
            Tile("genres", "Genres of the period", ("top_genres_daily",), "top_genres_daily", genres,
                 narrowed_by=OF_JOINED_LISTENS, narrowed_models=("listens", "dim_songs")),
            Tile("weekly_chart", "Weekly chart", ("charts_weekly",), "charts_weekly", weekly, dated=False,
                 by={"country": ""}, empty="No week has been published yet: a chart needs a whole week, from Friday."),
        ),
        (
            Tile("corrections", "Corrected since the publication", ("charts_weekly",), "charts_weekly", corrections,
                 dated=False, by={"country": ""}, empty="Nothing has changed since this chart was published."),
        ),
        (
            Tile("songs_of_years", "Song of the Year", ("song_of_the_year",), "song_of_the_year", songs_of_years,
                 dated=False),
            Tile("artists_of_years", "Artist of the Year", ("artist_of_the_year",), "artist_of_the_year",
                 artists_of_years, dated=False),
        ),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
