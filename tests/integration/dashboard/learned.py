"""Made-up versions of what is learned, from the users and songs of the simulation: training takes minutes.

Some of it is of fewer users than a page may show.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from music_platform.orchestration.assets.learned import (
    churn_risk,
    listener_segments,
    recommendations,
    songs_heard_together,
    suspicious_streams,
)
from music_platform.warehouse.model_versions import ModelTable, create_tables, publish
from tests.support.warehouse import Rows

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

MODELS = (recommendations, churn_risk, suspicious_streams, listener_segments, songs_heard_together)
TABLES: Mapping[str, ModelTable] = {each.TABLE.model: each.TABLE for each in MODELS}
#: By who was measured, then by measure.
METRICS = {
    "model": {"precision@10": 0.1789, "recall@20": 0.2238},
    "popular": {"precision@10": 0.0155, "recall@20": 0.02},
}
REASONS, RULES = ("again", "taste", "popular"), ("cut", "loop", "habit")


def as_of(listens: Rows) -> date:
    """The newest date, before which all was learned."""
    newest: date = max(row["activity_date"] for row in listens)
    return newest


def learned_of(listens: Rows) -> dict[str, Rows]:
    """The rows of each model's table."""
    users = sorted({row["user_id"] for row in listens} - {None})
    songs = [song for song, _ in sorted(Counter(row["song_key"] for row in listens).items(), key=lambda p: (-p[1], p))]
    end, many = as_of(listens), len(songs)
    return {
        "recommendations": [
            {"user_id": user, "rank": rank, "song_key": song, "score": 1 / rank, "reason": REASONS[(n + rank) % 3]}
            for n, user in enumerate(users)
            for rank, song in enumerate(
                dict.fromkeys([*songs[: 1 + n % 5], *(songs[(n * 7 + at * at) % many] for at in range(10))]), 1
            )
        ],
        # Three users are alone above 90 %.
        "churn_risk": [
            {"user_id": user, "as_of": end, "probability": 0.95 if n < 3 else (n * 37 % 90 + 0.5) / 100}
            for n, user in enumerate(users)
        ],
        # The first song is played by nine accounts, the second by eight, and so on: some have too few.
        "suspicious_streams": [
            {"user_id": user, "activity_date": end - timedelta(days=1 + n % 3), "song_key": songs[at], "plays": 12 + n,
             "streams": 10 + n, "rule": RULES[(n + at) % 3], "score": 0.9, "sentence": "Made up."}
            for at in range(7)
            for n, user in enumerate(users[: 9 - at])
        ],
        "listener_segments": [
            {"user_id": user, "segment": 1 + n % 3 if n > 2 else 4, "name": f"Taste {1 + n % 3 if n > 2 else 4}",
             "closeness": (n % 10 + 1) / 11}
            for n, user in enumerate(users)
        ],
        "songs_heard_together": [
            {"song_key": song, "rank": rank, "other_song_key": songs[(at + rank) % many], "score": 1 / rank,
             "sessions": 50 - at - 8 * rank, "lift": 1 + rank / 4}
            for at, song in enumerate(songs[:10])
            for rank in range(1, 6)
            if at + 8 * rank < 50
        ],
    }  # fmt: skip


def publish_rows(session: "SnowflakeConnection", model: str, rows: Rows, end: date, version: str = "v1") -> None:
    """Publish these rows as a version of the model."""
    table = TABLES[model]
    create_tables(session, table)
    publish(session, table, version, end, pa.Table.from_pylist(rows), METRICS)
