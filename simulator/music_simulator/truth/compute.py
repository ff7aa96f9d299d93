"""Computes the truth file from the log."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import orjson
import pyarrow as pa

from music_platform.contracts.events import TOPICS
from music_simulator.accounts import KINDS as KINDS_OF_ACCOUNTS
from music_simulator.behaviour import SOURCES, STATES
from music_simulator.disturbances import INVALID, KINDS, LATE, MALFORMED, OUT_OF_ORDER
from music_simulator.generation import World
from music_simulator.places import COUNTRY, places
from music_simulator.truth.planted import ARTIFICIAL, planted_songs, planted_users
from music_simulator.users import GENDERS

_SQL = Path(__file__).parent
#: The marts, in the order of the truth file. Each has an .sql file of its name.
MARTS = (
    "top_songs_daily", "top_artists_daily", "top_genres_daily", "user_engagement_daily", "active_users_daily",
    "daily_summary", "hourly_metrics", "location_metrics_daily", "demographics_daily", "device_metrics_daily",
    "conversion_funnel_daily", "subscription_movements_daily", "churn_monthly", "retention_cohorts",
    "retention_by_day", "activation", "activation_weekly", "user_activity", "growth_accounting_daily",
    "user_activity_tiers", "listening_sessions",
    "song_of_the_year", "artist_of_the_year", "traffic_anomalies",
    "streams", "song_performance_daily", "charts_weekly", "royalty_shares_monthly",
    "artist_audience_daily",
)  # fmt: skip
#: Record counts by topic: name in the truth file → condition on the log.
_COUNTS = {
    "records": "true",
    "valid_records": "fault = 0",
    "malformed": f"fault = {MALFORMED}",
    "invalid": f"fault = {INVALID}",
    "duplicates": "copy = 1",
    "late": f"delay = {LATE} and copy = 0",
    "out_of_order": f"delay = {OUT_OF_ORDER} and copy = 0",
    "version_2": "version = 2",
    "version_3": "version = 3",
    "unknown_fields": "unknown",
}
_ROWS_AT_ONCE = 20_000
_MEMORY = "1500MB"


def write_truth(
    file: Path, log: Path, lost: set[int], world: World, stopped: bool, registered: Mapping[int, int],
    left: Mapping[int, int],
) -> None:  # fmt: skip
    """Compute the truth from the log, without the records `lost`. Moves the file into place when it is complete.

    `registered`: number of each guest who registered during the run → second. `left`: number of each user who left for
    good → second.
    """
    with duckdb.connect() as connection:
        _load(connection, log, lost, world, registered)
        unfinished = file.with_name(f".{file.name}.tmp")
        with unfinished.open("wb") as out:
            head = {
                "seed": world.options.seed,
                "options": world.options.described(),
                "stopped_early": stopped,
                "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "counts": _counts(connection),
            }
            out.write(orjson.dumps(head)[:-1] + b',\n"marts": {')
            sql = {mart: (_SQL / f"{mart}.sql").read_text(encoding="utf-8") for mart in MARTS}
            _write_lists(out, {mart: _rows(connection, statement) for mart, statement in sql.items()})
            out.write(b'\n},\n"planted": {')
            _write_lists(out, {
                "songs": planted_songs(world),
                "users": planted_users(world, registered, left),
                "artificial": _rows(connection, ARTIFICIAL),
            })  # fmt: skip
            out.write(b"\n}}\n")
        os.replace(unfinished, file)


def _write_lists(out: BinaryIO, lists: Mapping[str, Iterator[dict[str, Any]]]) -> None:
    """Write the members of a JSON object, each a list with a row on each line."""
    for number, (name, rows) in enumerate(lists.items()):
        out.write((b"," if number else b"") + b'\n"' + name.encode() + b'": [')
        for at, row in enumerate(rows):
            out.write((b",\n" if at else b"\n") + orjson.dumps(row))
        out.write(b"\n]")


def _load(
    connection: duckdb.DuckDBPyConnection, log: Path, lost: set[int], world: World, registered: Mapping[int, int]
) -> None:
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"set memory_limit = '{_MEMORY}'")
    connection.execute("set preserve_insertion_order = false")
    connection.execute("set temp_directory = ?", [str(log.parent)])
    songs = world.catalogue
    artists = songs.artist_of.tolist()
    tables: dict[str, dict[str, Any]] = {
        "lost": {"number": pa.array(sorted(lost), pa.int64())},
        "registered": {
            "who": pa.array(list(registered), pa.int64()),
            "second": pa.array(list(registered.values()), pa.int64()),
        },
        "clock": {
            "start_epoch": [world.clock.start_epoch],
            "records_have_times": [world.options.wrong_clocks > 0],
            "made_at": [datetime.now(UTC).replace(tzinfo=None)],
        },
        "kinds": {"number": range(len(KINDS)), "name": KINDS},
        "sources": {"number": range(len(SOURCES)), "name": list(SOURCES)},
        "kinds_of_accounts": {
            "number": range(1, len(KINDS_OF_ACCOUNTS) + 1),
            "name": [kind.name for kind in KINDS_OF_ACCOUNTS],
            "honest": [kind.honest for kind in KINDS_OF_ACCOUNTS],
        },
        "genders": {"number": range(len(GENDERS)), "name": GENDERS},
        "states": {
            "number": range(len(STATES)),
            "page": [s.page for s in STATES],
            "auth": [s.auth for s in STATES],
            "level": [s.level for s in STATES],
            "knows_user": [s.knows_user for s in STATES],
        },
        "places": {
            "number": range(len(places())),
            "city": [p.city for p in places()],
            "state": [p.state for p in places()],
            "country": [COUNTRY] * len(places()),
            "time_zone": [p.time_zone for p in places()],
        },
        "devices": {
            "number": range(len(world.population.devices.kinds)),
            "type": [d.type for d in world.population.devices.kinds],
            "os": [d.os for d in world.population.devices.kinds],
        },
        "songs": {
            "number": range(len(songs.titles)),
            "song_id": songs.song_ids,
            "title": songs.titles,
            "artist_id": [songs.artist_ids[artist] for artist in artists],
            "artist_name": [songs.artist_names[artist] for artist in artists],
            "genre": songs.genres,
            "label": songs.labels,
            "duration_e5": songs.duration_e5,
        },
    }
    for name, columns in tables.items():
        connection.register(
            "columns", pa.table({k: v if isinstance(v, pa.Array) else list(v) for k, v in columns.items()})
        )
        connection.execute(f"create table {name} as select * from columns")
    connection.execute(f"create view log as select * from read_parquet('{str(log).replace(chr(39), chr(39) * 2)}')")
    connection.execute((_SQL / "base.sql").read_text(encoding="utf-8"))


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Records and events by topic (names without prefix), at each stage."""
    counted = ", ".join(f"count(*) filter (where {condition}) as {name}" for name, condition in _COUNTS.items())
    rows = connection.execute(
        f"select kind, {counted} from log where number not in (select number from lost) group by kind"
    ).fetchall()
    by_kind = {KINDS[row[0]]: row[1:] for row in rows}
    none = (0,) * len(_COUNTS)
    counts: dict[str, Any] = {
        name: {TOPICS[kind]: by_kind.get(kind, none)[at] for kind in KINDS} for at, name in enumerate(_COUNTS)
    }
    events = dict(connection.execute("select kind, count(*) from event group by kind").fetchall())
    counts["events"] = {TOPICS[kind]: events.get(kind, 0) for kind in KINDS}
    return counts


def _rows(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(statement)
    names = [column[0] for column in cursor.description or ()]
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            yield dict(zip(names, row, strict=True))
