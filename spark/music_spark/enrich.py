"""Enrich: adds what the reference data says about a record's song, user and place, for readers of the lake.

The values are what was known when the record was read; rows are never changed. The marts resolve songs themselves, from
the reference data at the time of their build.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from music_platform.contracts import events as contract
from music_platform.contracts import reference

LAKE_COLUMNS = [column.column for column in contract.lake_columns()]

#: Separates artist and title in the key of a song that is named by both.
_SEPARATOR = "\x1f"

#: How many of the newest reference data files are kept: a query that is still running may read an older one.
FILES_KEPT = 5

_SONG = pa.schema([("song_key", pa.string()), ("song_title", pa.string()), ("song_genre", pa.string())])
_USER = pa.schema([("known_user_id", pa.string()), ("user_country", pa.string())])
_PLACE = pa.schema([("known_state", pa.string()), ("place_country", pa.string())])


@dataclass(frozen=True)
class Reference:
    """The part of the reference data that goes into the lake; empty if there is none."""

    songs: pa.Table = field(default_factory=_SONG.empty_table)
    users: pa.Table = field(default_factory=_USER.empty_table)
    places: pa.Table = field(default_factory=_PLACE.empty_table)

    @cached_property
    def content(self) -> bytes:
        """All of it as Arrow streams, one after another, in the form that `lookups` reads."""
        buffer = pa.BufferOutputStream()
        for table in (self.songs, self.users, self.places):
            with pa.ipc.new_stream(buffer, table.schema) as stream:
                stream.write_table(table)
        return bytes(buffer.getvalue())

    @classmethod
    def of(cls, content: bytes) -> "Reference":
        """The reference data that `content` holds."""
        source = pa.BufferReader(content)
        return cls(*(pa.ipc.open_stream(source).read_all() for _ in range(3)))

    @cached_property
    def name(self) -> str:
        """A name that is unique to this content."""
        return hashlib.sha256(self.content).hexdigest()

    def for_workers(self, shared: Path | None) -> bytes | Path:
        """What the step sends to the workers: the whole content or, if they share a folder with this process, a file in
        that folder. Raises OSError if it cannot be written.

        Spark Connect keeps a finished query for an hour, with everything in its plan. At one query of 5 MB every four
        seconds, a server with a heap of 2 GB was full after half an hour.
        """
        if shared is None:
            return self.content
        file = shared / f"{self.name}.arrow"
        try:
            # It is in use again: one that was written before others may be the oldest.
            os.utime(file)
        except FileNotFoundError:
            shared.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(self.content)
            unfinished.replace(file)
            written = sorted(shared.glob("*.arrow"), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in written[FILES_KEPT:]:
                old.unlink(missing_ok=True)
        return file


def read_reference(folder: Path, log: Callable[[str], None] = print) -> Reference:
    """The reference data from songs.csv, artists.csv and users.csv. A missing or unreadable file is treated as empty: a
    damaged file must not stop the stream. Unchanged files are not read again."""
    paths = [folder / f"{table.name}.csv" for table in reference.TABLES]
    states = tuple((path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None for path in paths)
    found, complaints = _read_all(folder, states)
    for complaint in complaints:
        log(complaint)
    return found


@lru_cache(maxsize=1)
def _read_all(folder: Path, _states: tuple[object, ...]) -> tuple[Reference, list[str]]:
    """The reference data and the problems with its files, read once for each state of the files."""
    complaints: list[str] = []
    songs, artists, users = (_read(folder, table, complaints.append) for table in reference.TABLES)
    return Reference(_songs(songs, artists), _users(users), _places(users)), complaints


def _read(folder: Path, table: reference.ReferenceTable, log: Callable[[str], None]) -> pa.Table:
    names = [column.column for column in table.columns]
    path = folder / f"{table.name}.csv"
    nothing = pa.schema([(name, pa.string()) for name in names]).empty_table()
    if not path.is_file():
        return nothing
    # Text is kept as written: "007" is an id, and a song may be called "null".
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
        log(f"cannot read {path} ({error}): rows go to the lake without its data")
        return nothing


def _songs(songs: pa.Table, artists: pa.Table) -> pa.Table:
    """A row for each song id, and one for each pair of artist and title that identifies a single song."""
    artists = artists.filter(pc.is_valid(artists["artist_id"]))
    artist_of = dict(zip(artists["artist_id"].to_pylist(), artists["name"].to_pylist(), strict=True))
    songs = songs.filter(pc.is_valid(songs["song_id"]))
    rows = songs.select(["song_id", "title", "artist_id", "genre"]).to_pylist()
    pairs = [
        f"n{name}{_SEPARATOR}{row['title']}" if row["title"] and (name := artist_of.get(row["artist_id"])) else None
        for row in rows
    ]
    songs_of_pair = Counter(pairs)
    found = {f"i{row['song_id']}": row for row in rows}
    found |= {pair: row for pair, row in zip(pairs, rows, strict=True) if pair and songs_of_pair[pair] == 1}
    return pa.table([list(found), *([row[n] for row in found.values()] for n in ("title", "genre"))], schema=_SONG)


def _users(users: pa.Table) -> pa.Table:
    # A row without an id is nobody's, and not every guest's.
    users = users.filter(pc.is_valid(users["user_id"]))
    found = dict(zip(users["user_id"].to_pylist(), users["country"].to_pylist(), strict=True))
    return pa.table([list(found), list(found.values())], schema=_USER)


def _places(users: pa.Table) -> pa.Table:
    """The country of each state: that of the users who live there, or the alphabetically first if they differ."""
    known = users.filter(pc.and_(pc.is_valid(users["state"]), pc.is_valid(users["country"])))
    grouped = known.group_by("state").aggregate([("country", "min")])
    return pa.table([grouped["state"], grouped["country_min"]], schema=_PLACE)


class Lookups:
    """Finds songs, users and places by their keys."""

    def __init__(self, found: Reference) -> None:
        self.songs, self.users, self.places = (_Lookup(table) for table in (found.songs, found.users, found.places))
        self.has_catalogue = found.songs.num_rows > 0


#: The lookups that this process has loaded, by name; at most one entry.
_loaded: dict[str, Lookups] = {}


def lookups(name: str, source: bytes | Path) -> Lookups:
    """In a Python worker: the reference data of this name, loaded once and reused from task to task.

    `source` is its content, or the file that has it. Raises ValueError if the file holds something else.
    """
    if name not in _loaded:
        content = source.read_bytes() if isinstance(source, Path) else source
        if hashlib.sha256(content).hexdigest() != name:
            raise ValueError(
                f"reference data {name} was changed: its checksum is not its name. Delete the file and run it again."
            )
        _loaded.clear()
        _loaded[name] = Lookups(Reference.of(content))
    return _loaded[name]


def enriched(batches: Iterable[pa.RecordBatch], found: Lookups) -> Iterator[pa.RecordBatch]:
    """The rows with the enrichment's columns added, in the lake's order. Each row stays one row.

    This is a broadcast join: the reference data travels with the step to each of Spark's Python workers, where the rows
    are. Spark's own join after the step took four seconds for a million rows and 0.4 s for every micro-batch.
    (`addArtifacts` is no alternative: in a streaming query, Spark's workers do not find a session's files.)
    """
    for rows in batches:
        song = _song_keys(rows)
        at = found.songs.positions(song)
        # Without a catalogue, nobody knows.
        known = pc.if_else(song.is_valid(), at.is_valid(), None) if found.has_catalogue else pa.nulls(len(song))
        columns = [
            known.cast(pa.bool_()),
            *found.songs.take(at),
            *found.users.take(found.users.positions(rows.column("user_id"))),
            *found.places.take(found.places.positions(rows.column("state"))),
        ]
        yield pa.RecordBatch.from_arrays([*rows.columns, *columns], names=LAKE_COLUMNS)


def _song_keys(rows: pa.RecordBatch) -> pa.Array:
    """The key of each row's song: by id, or else by artist and title; NULL if the record names no song."""
    by_id = pc.binary_join_element_wise("i", rows.column("song_id"), "")
    by_name = pc.binary_join_element_wise("n", rows.column("artist"), _SEPARATOR, rows.column("song"), "")
    return pc.coalesce(by_id, by_name)


class _Lookup:
    """Finds rows of a table by its first column, whose values are unique."""

    def __init__(self, table: pa.Table) -> None:
        keys, *values = (column.combine_chunks() for column in table.columns)
        self._values = values
        self._position = {key: number for number, key in enumerate(keys.to_pylist())}

    def positions(self, keys: pa.Array) -> pa.Array:
        """The row number of each key; NULL if there is none."""
        return pa.array(map(self._position.get, keys.to_pylist()), pa.int64())

    def take(self, positions: pa.Array) -> list[pa.Array]:
        """The other columns at these rows; NULL where the position is NULL."""
        return [column.take(positions) for column in self._values]
