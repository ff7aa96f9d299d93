"""The contract of the reference data: songs.csv, artists.csv, users.csv, and their tables in RAW.

CSV files follow RFC 4180: UTF-8, a header line, an empty field for a missing value.
"""

from dataclasses import dataclass

from music_platform.contracts.events import PERSONAL, PSEUDONYMOUS, Column
from music_platform.contracts.events import ColumnType as T


@dataclass(frozen=True)
class ReferenceTable:
    """A table of reference data. `name` is the CSV's name without its extension, and the table's in lower case."""

    name: str
    key: str
    description: str
    columns: tuple[Column, ...]
    #: Columns that a CSV may lack; they are NULL then.
    optional: frozenset[str] = frozenset()


SONGS = ReferenceTable("songs", "song_id", "The catalogue: one row per song.", (
    Column("song_id", T.STRING, "Id of the song."),
    Column("title", T.STRING, "Title; two songs can share it."),
    Column("artist_id", T.STRING, "Id of its artist."),
    Column("duration", T.DOUBLE, "Length in seconds."),
    Column("genre", T.STRING, "Genre."),
    Column("release_year", T.BIGINT, "Year of release."),
    Column("label", T.STRING, "Label that is paid for it."),
), optional=frozenset({"label"}))  # fmt: skip

ARTISTS = ReferenceTable("artists", "artist_id", "The artists of the catalogue: one row per artist.", (
    Column("artist_id", T.STRING, "Id of the artist."),
    Column("name", T.STRING, "Name; two artists can share it."),
    Column("home_city", T.STRING, "City that the artist comes from."),
    Column("home_state", T.STRING, "State that the artist comes from, two letters."),
))  # fmt: skip

USERS = ReferenceTable("users", "user_id", "The registered users: one row per user.", (
    Column("user_id", T.STRING, "Id of the user.", privacy=PSEUDONYMOUS),
    Column("first_name", T.STRING, "First name.", privacy=PERSONAL),
    Column("last_name", T.STRING, "Last name.", privacy=PERSONAL),
    Column("gender", T.STRING, "'F' or 'M'.", privacy=PSEUDONYMOUS),
    Column("registration", T.BIGINT, "Time of registration in epoch milliseconds.", privacy=PSEUDONYMOUS),
    Column("level", T.STRING, "'free' or 'paid', at the start."),
    Column("city", T.STRING, "City at the start.", privacy=PERSONAL),
    Column("state", T.STRING, "State at the start, two letters."),
    Column("zip", T.STRING, "Postal code at the start.", privacy=PERSONAL),
    Column("lat", T.DOUBLE, "Latitude in degrees at the start.", privacy=PERSONAL),
    Column("lon", T.DOUBLE, "Longitude in degrees at the start.", privacy=PERSONAL),
    Column("country", T.STRING, "Country, ISO 3166 alpha-2."),
    Column("device_type", T.STRING, "Kind of device that the user listens on."),
))  # fmt: skip

TABLES: tuple[ReferenceTable, ...] = (SONGS, ARTISTS, USERS)
