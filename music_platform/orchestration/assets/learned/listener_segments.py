"""Segments of listeners by taste."""

from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import segments as learning
from music_platform.learning.listens import Listens, day_number
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
    "listener_segments",
    "The segment of each listener of whom enough is known, by the artists that they stream.",
    (
        Column("user_id", T.STRING, "Id of the user."),
        Column("segment", T.BIGINT, "Number of the segment, from 1; the largest first. Another version has others."),
        Column("name", T.STRING, "The artists that its members stream more than others do."),
        Column("closeness", T.DOUBLE, "How close the user's taste is to the middle of the segment: cosine, at most 1."),
    ),
)

#: Streams by user, artist and date, with the names that the learning room uses for songs.
ARTISTS = """
    SELECT user_id, artist_name AS song_key, activity_date, FALSE AS is_collected, COUNT(*) AS plays
    FROM GOLD.STREAMS
    WHERE is_stream AND user_id IS NOT NULL AND artist_name IS NOT NULL
    GROUP BY ALL
"""


def learn(rows: pa.Table, newest: date) -> Learned | Unjudged:
    """Judge a week ago, and segment on the last Monday."""
    as_of = last_monday(newest)
    end = day_number(as_of)
    artists = Listens.of(rows).between(-(1 << 30), end)
    judged = learning.judge(artists, end)
    if judged.verdict is None:
        return Unjudged(judged.why_not)
    found = learning.segments(artists, end)
    return Learned(
        version=version_of(
            learning.CODE_VERSION, as_of, (artists.users, artists.songs),
            (artists.user, artists.song, artists.day, artists.plays),
        ),
        as_of=as_of,
        verdict=judged.verdict,
        measures={name: ranking.means() for name, ranking in judged.measures.items()},
        moved=learning.drift(artists, found, end),
        said=lambda: said_table(artists, found),
    )  # fmt: skip


def said_table(artists: Listens, found: learning.Segments) -> pa.Table:
    """The segment of each user, as rows of the table."""
    names = [" · ".join(artists.songs[row[: learning.NAMED_BY]].tolist()) for row in found.characteristic]
    return pa.table({
        "user_id": artists.users[found.users],
        "segment": found.segment + 1,
        "name": np.array(names)[found.segment],
        "closeness": found.closeness,
    })  # fmt: skip


LEARNER = Learner(
    table=TABLE,
    code_version=learning.CODE_VERSION,
    deps=(dg.AssetKey([GOLD, "streams"]),),
    description="Up to forty segments of listeners, from the artists that they streamed before the last Monday, each "
    "named by the artists that are typical of it. Published as GOLD.LISTENER_SEGMENTS if, a week earlier, the artists "
    "of the segments would have told better than those of everybody whom their members stream.",
    gate="On the last complete week the most streamed artists of a user's segment are better than everybody's by more "
    "than two standard errors. Otherwise nothing is published.",
    drift="Population stability index of the last complete week against the four before: streams by segment. Above "
    "0.25 other segments listen than before.",
    query=ARTISTS,
    learn=learn,
)
