"""Enrich: what the reference data says of a record's song, user and place, for those who read the lake.

It is what was known when the record was read; rows are never changed. The marts resolve songs themselves, from the
reference data as it is when they are built.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from music_platform.contracts import events as contract
from music_platform.contracts import reference

#: Between artist and title, in the key of a song that is named by both.
_BETWEEN = "\x1f"

_SONG = pa.schema([("song_key", pa.string()), ("song_title", pa.string()), ("song_genre", pa.string())])
_USER = pa.schema([("known_user_id", pa.string()), ("user_country", pa.string())])
_PLACE = pa.schema([("known_state", pa.string()), ("place_country", pa.string())])


@dataclass(frozen=True)
class Reference:
    """The reference data, as far as it goes into the lake; empty where there is none."""

    songs: pa.Table = field(default_factory=_SONG.empty_table)
    users: pa.Table = field(default_factory=_USER.empty_table)
    places: pa.Table = field(default_factory=_PLACE.empty_table)


def read_reference(folder: Path, log: Callable[[str], None] = print) -> Reference:
    """The reference data of songs.csv, artists.csv and users.csv, as far as they are there and can be read: a file that
    somebody has damaged must not stop the stream."""
    songs, artists, users = (_read(folder, table, log) for table in reference.TABLES)
    return Reference(_songs(songs, artists), _users(users), _places(users))


def _read(folder: Path, table: reference.ReferenceTable, log: Callable[[str], None]) -> pa.Table:
    names = [column.column for column in table.columns]
    path = folder / f"{table.name}.csv"
    nothing = pa.schema([(name, pa.string()) for name in names]).empty_table()
    if not path.is_file():
        return nothing
    # Text as it is written: "007" is an id, and a song may be called "null".
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=names,
        include_missing_columns=True,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    try:
        return csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=options)
    except (pa.ArrowException, OSError) as error:
        log(f"{path} cannot be read ({error}): the lake's rows stay without what it says")
        return nothing


def _songs(songs: pa.Table, artists: pa.Table) -> pa.Table:
    """A row for each id, and one for each pair of artist and title that means one song."""
    artist_of = dict(zip(artists["artist_id"].to_pylist(), artists["name"].to_pylist(), strict=True))
    rows = songs.select(["song_id", "title", "artist_id", "genre"]).to_pylist()
    pairs = [
        f"n{name}{_BETWEEN}{row['title']}" if row["title"] and (name := artist_of.get(row["artist_id"])) else None
        for row in rows
    ]
    meant = Counter(pairs)
    found = {f"i{row['song_id']}": row for row in rows}
    found |= {pair: row for pair, row in zip(pairs, rows, strict=True) if pair and meant[pair] == 1}
    return pa.table([list(found), *([row[n] for row in found.values()] for n in ("title", "genre"))], schema=_SONG)


def _users(users: pa.Table) -> pa.Table:
    found = dict(zip(users["user_id"].to_pylist(), users["country"].to_pylist(), strict=True))
    return pa.table([list(found), list(found.values())], schema=_USER)


def _places(users: pa.Table) -> pa.Table:
    """The country of each state: that of the users who live there, the first by name where they differ."""
    known = users.filter(pc.and_(pc.is_valid(users["state"]), pc.is_valid(users["country"])))
    grouped = known.group_by("state").aggregate([("country", "min")])
    return pa.table([grouped["state"], grouped["country_min"]], schema=_PLACE)


def enrich(session: SparkSession, rows: DataFrame, found: Reference) -> DataFrame:
    """The rows with the enrichment's columns, in the lake's order: broadcast joins, one row stays one row."""
    song_named = F.coalesce(
        F.concat(F.lit("i"), "song_id"),
        F.concat(F.lit("n"), "artist", F.lit(_BETWEEN), "song"),
    )
    joined = rows.withColumn("_song", song_named)
    for table, key in ((found.songs, "_song"), (found.users, "user_id"), (found.places, "state")):
        joined = _with(session, joined, table, key)
    # Nobody can say so where there is no catalogue.
    known = F.when(F.col("_song").isNotNull() & F.lit(found.songs.num_rows > 0), F.col("song_key").isNotNull())
    return joined.withColumn("song_known", known).select(*(column.column for column in contract.lake_columns()))


def _with(session: SparkSession, rows: DataFrame, table: pa.Table, key: str) -> DataFrame:
    """The rows with the columns of a table whose first column is found by `key`; with NULL where it has no row."""
    if not table.num_rows:
        return rows.withColumns({name: F.lit(None).cast("string") for name in table.column_names})
    other = F.broadcast(session.createDataFrame(table))
    return rows.join(other, F.col(key) == F.col(table.column_names[0]), "left")
