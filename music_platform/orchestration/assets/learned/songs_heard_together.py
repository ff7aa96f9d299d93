"""Which songs are heard together."""

from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import together as learning
from music_platform.learning.listens import day_number
from music_platform.learning.together import Sessions
from music_platform.orchestration.assets.learned.publication import (
    Learned,
    Learner,
    Unjudged,
    last_monday,
    version_of,
)
from music_platform.orchestration.keys import GOLD
from music_platform.warehouse.model_versions import ModelTable

T = ColumnType
TABLE = ModelTable(
    "songs_heard_together",
    "For each song the songs that are streamed in the same sessions more often than their popularity explains.",
    (
        Column("song_key", T.STRING, "Key of the song, as in silver.dim_songs."),
        Column("rank", T.BIGINT, "Place of the other song, from 1."),
        Column("other_song_key", T.STRING, "Key of the other song."),
        Column("score", T.DOUBLE, "Shrunk cosine over sessions, 0 to 1."),
        Column("sessions", T.BIGINT, "Sessions with both."),
        Column("lift", T.DOUBLE, "How many times as many as if the two had nothing to do with each other."),
    ),
)

#: Songs of each session, with its first date.
SESSIONS = """
    SELECT session_key, song_key, MIN(MIN(activity_date)) OVER (PARTITION BY session_key) AS activity_date
    FROM GOLD.STREAMS
    WHERE is_stream AND session_key IS NOT NULL
    GROUP BY session_key, song_key
"""


def learn(rows: pa.Table, newest: date) -> Learned | Unjudged:
    """Judge a week ago, and pair on the last Monday."""
    as_of = last_monday(newest)
    end = day_number(as_of)
    sessions = Sessions.of(rows).between(-(1 << 30), end)
    judged = learning.judge(sessions, end)
    if judged.verdict is None:
        return Unjudged(judged.why_not)
    return Learned(
        version=version_of(
            learning.CODE_VERSION, as_of, (sessions.sessions, sessions.songs),
            (sessions.session, sessions.song, sessions.day),
        ),
        as_of=as_of,
        verdict=judged.verdict,
        measures={name: ranking.means() for name, ranking in judged.measures.items()},
        moved=learning.drift(sessions, end),
        said=lambda: said_table(sessions, end),
    )  # fmt: skip


def said_table(sessions: Sessions, end: int) -> pa.Table:
    """The pairs, as rows of the table."""
    parts = []
    for found in learning.pairs(sessions, end):
        row, rank = np.nonzero(found.other >= 0)
        parts.append(pa.table({
            "song_key": sessions.songs[found.of[row]],
            "rank": rank + 1,
            "other_song_key": sessions.songs[found.other[row, rank]],
            "score": found.score[row, rank],
            "sessions": found.sessions[row, rank],
            "lift": found.lift[row, rank],
        }))  # fmt: skip
    return pa.concat_tables(parts)


LEARNER = Learner(
    table=TABLE,
    code_version=learning.CODE_VERSION,
    deps=(dg.AssetKey([GOLD, "streams"]),),
    description="Up to twenty songs for each song, from the sessions of the twelve weeks before the last Monday. "
    "Published as GOLD.SONGS_HEARD_TOGETHER if, a week earlier, they would have told better than what is popular what "
    "else a session has.",
    gate="On the last complete week the songs that go with a song of a session are better than popular ones by more "
    "than two standard errors. Otherwise nothing is published.",
    drift="Population stability index of the sessions of the last complete week against the four before, by the number "
    "of their songs. Above 0.25 people listen in other portions than before.",
    query=SESSIONS,
    learn=learn,
)
