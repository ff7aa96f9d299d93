"""Which streams are artificial, and charts and royalties with and without them."""

from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import suspicion
from music_platform.learning.listens import day_number
from music_platform.learning.plays import COUNTS, Plays
from music_platform.orchestration.assets.learned.publication import Learned, Learner, Unjudged, version_of
from music_platform.orchestration.keys import GOLD
from music_platform.warehouse.model_versions import ModelTable, View

T = ColumnType
#: Streams that count, with the name of the period they count in, and whether they are artificial.
_COUNTED = """
    WITH counted AS (
        SELECT streams.song_key, streams.song_title, streams.artist_id, streams.artist_name, {period} AS {name},
            said.user_id IS NOT NULL AS is_suspicious
        FROM GOLD.STREAMS AS streams
        LEFT JOIN GOLD.SUSPICIOUS_STREAMS AS said
            ON said.user_id = streams.user_id AND said.activity_date = streams.activity_date
            AND said.song_key = streams.song_key
        WHERE streams.is_eligible
    ),
    songs AS (
        SELECT {name}, song_key, MAX(song_title) AS song_title, MAX(artist_id) AS artist_id,
            MAX(artist_name) AS artist_name, COUNT(*) AS streams, COUNT_IF(is_suspicious) AS suspicious_streams
        FROM counted
        GROUP BY {name}, song_key
    )
"""
#: Friday to Thursday, as in charts_weekly.
_WEEK = "DATEADD('day', -MOD(DAYOFWEEKISO(streams.activity_date) + 2, 7), streams.activity_date)::DATE"
_MONTH = "DATE_TRUNC('month', streams.activity_date)::DATE"
VIEWS = (
    View(
        "GOLD.CHARTS_WITHOUT_SUSPICIOUS",
        "Songs of each chart week, all countries and genres, by eligible streams: with and without suspicious ones.",
        _COUNTED.format(period=_WEEK, name="chart_week")
        + """
    SELECT chart_week, song_key, song_title, artist_id, artist_name, streams, suspicious_streams,
        streams - suspicious_streams AS organic_streams,
        RANK() OVER (PARTITION BY chart_week ORDER BY streams DESC) AS chart_rank,
        CASE WHEN streams > suspicious_streams THEN
            RANK() OVER (PARTITION BY chart_week ORDER BY streams - suspicious_streams DESC)
        END AS organic_rank
    FROM songs
    """,
    ),
    View(
        "GOLD.ROYALTIES_WITHOUT_SUSPICIOUS",
        "Each song's share of a month's eligible streams, and so of a pro-rata pool: with and without suspicious ones.",
        _COUNTED.format(period=_MONTH, name="activity_month")
        + """
    SELECT activity_month, song_key, song_title, artist_id, artist_name, streams, suspicious_streams,
        streams::FLOAT / NULLIF(SUM(streams) OVER (PARTITION BY activity_month), 0) AS share,
        (streams - suspicious_streams)::FLOAT
            / NULLIF(SUM(streams - suspicious_streams) OVER (PARTITION BY activity_month), 0) AS organic_share
    FROM songs
    """,
    ),
    View(
        "GOLD.SUSPICIOUS_SONGS",
        "Songs with suspicious streams: how many, from how many accounts, which share of all their streams, in words.",
        """
    WITH heard AS (
        SELECT song_key, MAX(song_title) AS song_title, MAX(artist_name) AS artist_name, COUNT_IF(is_stream) AS streams
        FROM GOLD.STREAMS GROUP BY song_key
    ),
    accused AS (
        SELECT song_key, SUM(streams) AS suspicious_streams, COUNT(DISTINCT user_id) AS accounts, MAX(score) AS score
        FROM GOLD.SUSPICIOUS_STREAMS GROUP BY song_key
    )
    SELECT song_key, song_title, artist_name, heard.streams, suspicious_streams, accounts,
        suspicious_streams / NULLIF(heard.streams, 0) AS share, score,
        suspicious_streams || ' of ' || heard.streams || ' streams of this song are suspicious, from '
            || accounts || ' accounts.' AS sentence
    FROM accused JOIN heard USING (song_key)
    """,
    ),
)
TABLE = ModelTable(
    "suspicious_streams",
    "What a user played of a song on a date and is artificial, by evidence. What is not here is not suspicious.",
    (
        Column("user_id", T.STRING, "Id of the user."),
        Column("activity_date", T.DATE, "The date, UTC."),
        Column("song_key", T.STRING, "Key of the song, as in silver.dim_songs."),
        Column("plays", T.BIGINT, "The user's plays of the song on the date."),
        Column("streams", T.BIGINT, "Those that are streams."),
        Column("rule", T.STRING, "Which rule: 'cut' (left without a skip just after 30 seconds), 'loop' (one song over "
               "and over), 'habit' (an account that does so on other dates)."),
        Column("score", T.DOUBLE, "How sure it is, 0 to 1."),
        Column("sentence", T.STRING, "The evidence in words."),
    ),
    VIEWS,
)  # fmt: skip

#: What each user played of each song on each date. Cut: for another song before second 80 and 80 % of the song.
PLAYS = """
    SELECT user_id, activity_date, song_key, COUNT(*) AS plays, COUNT_IF(is_stream) AS streams,
        COUNT_IF(is_stream AND ended_by = 'next' AND heard_seconds < 80 AND heard_seconds < 0.8 * nominal_seconds)
            AS cut,
        COUNT_IF(ended_by = 'skip') AS skips, COUNT_IF(source = 'library') AS collected,
        ROUND(SUM(ZEROIFNULL(heard_seconds)))::NUMBER(38, 0) AS seconds
    FROM GOLD.STREAMS
    WHERE user_id IS NOT NULL
    GROUP BY user_id, activity_date, song_key
"""


def learn(rows: pa.Table, newest: date) -> Learned | Unjudged:
    """Judge all that was played before the newest date, which is not over."""
    plays, end = Plays.of(rows), day_number(newest)
    plays = plays.where(plays.day < end)
    judged = suspicion.judge(plays)
    if judged.verdict is None or judged.verdicts is None:
        return Unjudged(judged.why_not)
    verdicts = judged.verdicts
    return Learned(
        version=version_of(
            suspicion.CODE_VERSION, newest, (plays.users, plays.songs),
            (plays.user, plays.day, plays.song, *(getattr(plays, name) for name in COUNTS)),
        ),
        as_of=newest,
        verdict=judged.verdict,
        measures={name: {"share of made-up plays found": float(of.mean())} for name, of in judged.found.items()},
        moved=suspicion.drift(plays, end),
        said=lambda: said_table(plays, verdicts),
        metadata={
            "share of streams": judged.share,
            "suspicious accounts": len(np.unique(plays.user[verdicts.rows])),
            "suspicious songs": len(np.unique(plays.song[verdicts.rows])),
        },
    )  # fmt: skip


def said_table(plays: Plays, verdicts: suspicion.Verdicts) -> pa.Table:
    """The verdicts, as rows of the table."""
    rows = verdicts.rows
    return pa.table({
        "user_id": plays.users[plays.user[rows]],
        "activity_date": pa.array(plays.day[rows], pa.int32()).cast(pa.date32()),
        "song_key": plays.songs[plays.song[rows]],
        "plays": plays.plays[rows].astype(np.int64),
        "streams": plays.streams[rows].astype(np.int64),
        "rule": np.array(["", "cut", "loop", "habit"])[verdicts.rule],
        "score": verdicts.scores(),
        "sentence": pa.array(suspicion.sentences(verdicts), pa.string()),
    })  # fmt: skip


LEARNER = Learner(
    table=TABLE,
    code_version=suspicion.CODE_VERSION,
    deps=(dg.AssetKey([GOLD, "streams"]),),
    description="What accounts play for the count: rules give evidence, isolation forests corroborate where it is "
    "weak, a sentence says why. All dates before the newest. GOLD.CHARTS_WITHOUT_SUSPICIOUS, "
    "GOLD.ROYALTIES_WITHOUT_SUSPICIOUS and GOLD.SUSPICIOUS_SONGS read it.",
    gate="Of the plays of made-up accounts, put among the real ones, more is found than by a cap of 50 streams of a "
    "song, user and date, by more than two standard errors; and no more than half of all streams is suspicious.",
    drift="Population stability index of users' dates of the last week against the four before: plays, share that was "
    "cut, share of one song. Above 0.25 something else goes on than before.",
    query=PLAYS,
    learn=learn,
)
