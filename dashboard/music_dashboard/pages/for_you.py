"""What is learned, counted over all users: recommendations, risk of leaving, tastes, songs that go together, fraud."""

from collections.abc import Mapping

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import day, moment, number, percent
from music_dashboard.page import LEAST_USERS, Control, Page, View
from music_dashboard.show import show
from music_dashboard.state import LEARNED
from music_dashboard.tables import titled
from music_dashboard.tile import Drawing, Figure, Number, Numbers, Table, Tile

NOTHING_LEARNED = """
**Nothing has been learned yet.** The other pages need none of it. For this one:

1. Install the extra, and start the platform again: `uv pip install -c constraints.txt -e '.[learning]'`
2. Learn at once, or wait for the schedule of the job `learning`: `dagster asset materialize --select 'group:ml'`
3. What beats its baselines is published, and this page follows by itself. It takes some weeks of streams
   (*docs/explanation/learning.md*).
"""


def values(_: View) -> Mapping[str, object]:
    """The floor of what is shown."""
    return {"least_users": LEAST_USERS}


def learned(frame: pd.DataFrame) -> list[Drawing]:
    """Each model beside its baselines, by each measure."""
    rows = []
    for (model, measure), group in frame.groupby(["model", "measure"], sort=False):
        said = {str(name): f"{value:.4f}" for name, value in zip(group["measured"], group["value"], strict=True)}
        first = group.iloc[0]
        rows.append({
            "Model": model, "Measure": measure, "Value": said.pop("model", "–"),
            "Baselines": " · ".join(f"{name} {value}" for name, value in said.items()),
            "Learned before": day(first["as_of"]), "Published": moment(first["published_at"]),
        })  # fmt: skip
    published = frame.groupby("model")["published_at"].max()
    return [
        Numbers((
            Number("Published models", number(len(published)), against=f"of {len(LEARNED)}"),
            Number("Latest", str(published.idxmax()), against=moment(published.max())),
        )),
        Table(pd.DataFrame(rows)),
    ]  # fmt: skip


def recommended(frame: pd.DataFrame) -> list[Drawing]:
    """Songs in most lists."""
    titles = {"song_title": "Song", "artist": "Artist", "users": "Users", "again_share": "Again",
              "taste_share": "Taste", "popular_share": "Popular"}  # fmt: skip
    return [
        Numbers((Number("Users with a list", number(frame.iloc[0]["users_with_a_list"])),)),
        Table(titled(frame, **titles), shares=("Again", "Taste", "Popular"), links=("Artist",)),
    ]


def risk(frame: pd.DataFrame) -> list[Drawing]:
    """Users by their risk."""
    bands = ["other" if pd.isna(low) else f"{low:.0f}–{low + 10:.0f} %" for low in frame["percent_from"]]
    users, lost = frame["users"].sum(), frame["expected_lost"].sum()
    return [
        Numbers((
            Number("Users at risk", number(users), against="streamed in the 28 days before"),
            Number("Expected to be lost", number(lost), against=f"{percent(lost / users)} within 28 days"),
        )),
        Figure(charts.bars(frame.assign(band=bands), "band", "users"), "Users by the chance that they are lost"),
    ]  # fmt: skip


def segments(frame: pd.DataFrame) -> list[Drawing]:
    """Segments, the largest first."""
    titles = {"segment": "#", "name": "Streams more than others do", "users": "Users", "closeness": "Closeness"}
    return [
        Numbers((
            Number("Segments", number(len(frame))),
            Number("Users in them", number(frame["users"].sum())),
        )),
        Table(titled(frame, **titles)),
    ]  # fmt: skip


def together(frame: pd.DataFrame) -> list[Drawing]:
    """Songs that go with the chosen one."""
    titles = {"place": "#", "song_title": "Song", "artist": "Artist", "sessions": "Sessions", "lift": "Lift"}
    return [Table(titled(frame, **titles), links=("Artist",))]


def suspicious(frame: pd.DataFrame) -> list[Drawing]:
    """Songs with suspicious streams, and by which rule."""
    titles = {"song_title": "Song", "artist": "Artist", "suspicious_streams": "Suspicious",
              "suspicious_share": "Share", "accounts": "Accounts", "cut_streams": "Cut", "looped_streams": "Looped",
              "habit_streams": "Habit"}  # fmt: skip
    first = frame.iloc[0]
    share = first["all_suspicious_streams"] / first["all_streams"]
    return [
        Numbers((
            Number("Suspicious streams", number(first["all_suspicious_streams"]),
                   against=f"{percent(share)} of all streams"),
            Number("Songs", number(len(frame)), against=f"the first 40 at most, of {LEAST_USERS} accounts or more"),
        )),
        Table(titled(frame, **titles), shares=("Share",), links=("Artist",)),
    ]  # fmt: skip


PAGE = Page(
    name="for_you",
    title="For you",
    icon=":material/recommend:",
    order=7,
    about="What is learned: recommendations, risk of leaving, tastes, songs that go together, suspicious streams. "
    "Estimates, counted over all users.",
    dated=False,
    controls=(
        Control("song", "Song", query="paired_songs", models=("songs_heard_together", "dim_songs"), is_open=True),
    ),
    values=values,
    needs=LEARNED,
    without=NOTHING_LEARNED,
    tiles=(
        (
            Tile("recommended_songs", "Recommended to most users", ("recommendations", "dim_songs"), "recommendations",
                 recommended, empty=f"No song is in the lists of {LEAST_USERS} users or more."),
            Tile("churn_bands", "Risk of leaving", ("churn_risk",), "churn_risk", risk, empty="Nobody is at risk."),
        ),
        (
            Tile("segments", "Tastes", ("listener_segments",), "listener_segments", segments,
                 empty=f"No segment has {LEAST_USERS} users or more."),
            Tile("songs_together", "Songs that go with this song", ("songs_heard_together", "dim_songs"),
                 "songs_heard_together", together,
                 empty=f"No other song shares {LEAST_USERS} sessions or more with this one."),
        ),
        (
            Tile("suspicious_songs", "Suspicious streams", ("suspicious_streams", "top_songs_daily"),
                 "suspicious_streams", suspicious,
                 empty=f"No song has suspicious streams from {LEAST_USERS} accounts or more."),
        ),
        (Tile("learned", "How good it is", LEARNED, "learned", learned, is_partial=True),),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
