"""Songs for each user."""

from datetime import date

import dagster as dg
import numpy as np
import pyarrow as pa

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import recommendations as learning
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
    "recommendations",
    "Songs for each user, best first. A user's songs are those of the last version that passed its gate.",
    (
        Column("user_id", T.STRING, "Id of the user."),
        Column("rank", T.BIGINT, "Place in the user's list, from 1."),
        Column("song_key", T.STRING, "Key of the song, as in silver.dim_songs."),
        Column("score", T.DOUBLE, "Score of the song for the user; greater is better."),
        Column("reason", T.STRING, "Why: 'again' (the user streamed it), 'taste' (people of that taste stream it), "
               "'popular' (nothing is known of the user)."),
    ),
)  # fmt: skip

#: Streams by user, song, date and whether they are from the library.
STREAMS = """
    SELECT user_id, song_key, activity_date, COALESCE(source = 'library', FALSE) OR source = 'Unknown' AS is_collected,
        COUNT(*) AS plays
    FROM GOLD.STREAMS
    WHERE is_stream AND user_id IS NOT NULL
    GROUP BY ALL
"""


def learn(rows: pa.Table, newest: date) -> Learned | Unjudged:
    """Judge a week ago, and rank for everybody until now."""
    as_of = last_monday(newest)
    listens, end = Listens.of(rows), day_number(as_of)
    judged = learning.judge(listens, end)
    if judged.verdict is None:
        return Unjudged(judged.why_not)
    return Learned(
        version=version_of(
            learning.CODE_VERSION, as_of, (listens.users, listens.songs),
            (listens.user, listens.song, listens.day, listens.collected, listens.plays),
        ),
        as_of=as_of,
        verdict=judged.verdict,
        measures={name: ranking.means() for name, ranking in judged.measures.items()},
        moved=learning.drift(listens, end),
        said=lambda: said_table(learning.with_newcomers(learning.train(listens, end), day_number(newest) + 1)),
        metadata={"streams": len(listens), "users": len(listens.users)},
    )  # fmt: skip


def said_table(model: learning.Model) -> pa.Table:
    """The lists of all users whom the model knows, as rows of the table."""
    users = np.flatnonzero(np.asarray(model.history.getnnz(axis=1)) > 0)
    parts = []
    for found in learning.lists(model, users):
        length = found.songs.shape[1]
        parts.append(pa.table({
            "user_id": np.repeat(model.listens.users[found.users], length),
            "rank": np.tile(np.arange(1, length + 1, dtype=np.int64), len(found.users)),
            "song_key": model.listens.songs[found.songs.ravel()],
            "score": found.scores.ravel().astype(np.float64),
            "reason": np.array(learning.REASONS)[found.reasons.ravel()],
        }))  # fmt: skip
    return pa.concat_tables(parts)


LEARNER = Learner(
    table=TABLE,
    code_version=learning.CODE_VERSION,
    deps=(dg.AssetKey([GOLD, "streams"]),),
    description="Twenty songs for each user, learned from the streams before the last Monday; users who are new since "
    "then are folded in. Published as GOLD.RECOMMENDATIONS if, trained a week earlier, it would have beaten what is "
    "popular and what the user repeats on the last complete week; otherwise the last version stays.",
    gate="On the last complete week the model is better than each baseline by more than two standard errors. Otherwise "
    "nothing is published.",
    drift="Population stability index of the last complete week against the four before: streams per user, and streams "
    "by the popularity of the songs. Above 0.25 something else is heard than before.",
    query=STREAMS,
    learn=learn,
)
