"""The contract of the listening events, wire-format versions 1 to 3 (a superset of eventsim's).

Spark's parsing and validation, the columns of lake and RAW, the COPY transformation and the descriptions in dbt's
sources are all derived from this table. A field is named here and nowhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

#: Name of a field in a record: its key, or (key of the enclosing object, key) for a member of a nested object.
Name: TypeAlias = str | tuple[str, str]


class JsonType(StrEnum):
    """The JSON types of a field. A NUMBER takes any number, an INTEGER only integers. A TIME is an ISO 8601 string,
    UTC if it names no zone, and is stored as epoch milliseconds."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


class ColumnType(StrEnum):
    """Column types, named as in Spark SQL. `SNOWFLAKE_TYPES` gives the warehouse's names."""

    STRING = "string"
    BIGINT = "bigint"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    VARIANT = "variant"


SNOWFLAKE_TYPES: dict[ColumnType, str] = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.BIGINT: "NUMBER(38,0)",
    ColumnType.DOUBLE: "FLOAT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP_NTZ(6)",
    ColumnType.VARIANT: "VARIANT",
}


class Privacy(StrEnum):
    """How close a column comes to identifying a person.

    PERSONAL: identifies or locates a person, or holds fields that nobody has classified. Masked for the reading role,
    as is every column derived from it, and kept out of metadata, logs and alerts.
    PSEUDONYMOUS: describes one person without identifying anyone. The reading role sees it, because the marts by user
    need it, so data protection law still applies to what that role reads. Producers must not send names or addresses
    in such a field.
    """

    OPEN = "open"
    PSEUDONYMOUS = "pseudonymous"
    PERSONAL = "personal"


LISTEN, PAGE_VIEW, AUTH, STATUS_CHANGE = "listen", "page_view", "auth", "status_change"

#: Event kind → name of its topic, without the prefix of `TOPIC_PREFIX`.
TOPICS: dict[str, str] = {
    LISTEN: "listen_events",
    PAGE_VIEW: "page_view_events",
    AUTH: "auth_events",
    STATUS_CHANGE: "status_change_events",
}

#: Earliest valid event time: 2005-01-01T00:00:00Z, in epoch milliseconds.
EARLIEST_TS = 1_104_537_600_000
#: An event time may be at most this far after the record's Kafka timestamp, in milliseconds (24 h).
MAX_AHEAD_MS = 86_400_000
#: The last millisecond of the year 9999, the latest date that a warehouse can hold.
END_OF_TIME_MS = 253_402_300_799_999

#: Bytes that a column of text holds, in lake and warehouse: Snowflake's limit of a VARCHAR.
MAX_TEXT_BYTES = 16 << 20
#: Bytes that a record's value or key may have. Their base64 is as long as a text may be.
MAX_RECORD_BYTES = MAX_TEXT_BYTES // 4 * 3
#: Characters that make a text blank, which counts as no value: Unicode's White_Space.
BLANKS = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028"
    "\u2029\u202f\u205f\u3000"
)

_DEFAULT_COLUMN_TYPES = {
    JsonType.STRING: ColumnType.STRING,
    JsonType.INTEGER: ColumnType.BIGINT,
    JsonType.NUMBER: ColumnType.DOUBLE,
    JsonType.BOOLEAN: ColumnType.BOOLEAN,
    JsonType.TIME: ColumnType.BIGINT,
}


@dataclass(frozen=True)
class Field:
    """One field of the events.

    `path` is its place in the JSON object (a dot leads into a nested object), `column` its name in lake and RAW.
    A record of a kind in `required_in` is quarantined if it lacks the field. `minimum` and `maximum` are inclusive.
    A blank text counts as no value; in a `not_empty` field it is an error.
    """

    path: str
    json_type: JsonType
    description: str
    column: str = ""
    column_type: ColumnType | None = None
    required_in: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None
    since: int = 1
    privacy: Privacy = Privacy.OPEN
    not_empty: bool = False

    @property
    def name(self) -> Name:
        """Name of the field in a record whose nested objects are flattened."""
        holder, _, member = self.path.partition(".")
        return (holder, member) if member else holder

    @property
    def sql_type(self) -> ColumnType:
        """Type of the column."""
        return self.column_type or _DEFAULT_COLUMN_TYPES[self.json_type]


@dataclass(frozen=True)
class Column:
    """A column of lake and RAW that the platform fills."""

    column: str
    sql_type: ColumnType
    description: str
    privacy: Privacy = Privacy.OPEN

    @property
    def personal(self) -> bool:
        """Whether it is masked for the reading role."""
        return self.privacy is Privacy.PERSONAL


#: Fields up to this version of the wire format have been columns of RAW since its first row. A field of a later
#: version was carried in `extra` until the contract named it.
FIRST_RAW_VERSION = 2

_ALL = frozenset(TOPICS)


def _field(
    path: str, column: str, json_type: JsonType, description: str, required_in: Iterable[str] = (), **more: object
) -> Field:
    return Field(path, json_type, description, column, required_in=frozenset(required_in), **more)  # type: ignore[arg-type]


PSEUDONYMOUS, PERSONAL = Privacy.PSEUDONYMOUS, Privacy.PERSONAL
S, I, N, B = JsonType.STRING, JsonType.INTEGER, JsonType.NUMBER, JsonType.BOOLEAN  # noqa: E741

FIELDS: tuple[Field, ...] = (
    _field("eventId", "event_id", S, "Producer's id of the event; derived from the record's coordinates where absent.",
           not_empty=True),
    _field("schemaVersion", "schema_version", I, "Version of the wire format; absent means 1.", minimum=1),
    _field("ts", "ts", I, "Event time in epoch milliseconds.", _ALL, minimum=EARLIEST_TS, maximum=END_OF_TIME_MS),
    _field("sessionId", "session_id", I, "Session number.", privacy=PSEUDONYMOUS),
    _field("itemInSession", "item_in_session", I, "Number of the event within its session.", minimum=0),
    _field("level", "level", S, "'free' or 'paid'; in a status change the level before it.", {STATUS_CHANGE}),
    _field("userAgent", "user_agent", S, "The client's User-Agent header.", privacy=PSEUDONYMOUS),
    _field("city", "city", S, "City of the user.", privacy=PERSONAL),
    _field("state", "state", S, "State of the user, two letters."),
    _field("zip", "zip", S, "Postal code, with leading zeros.", privacy=PERSONAL),
    _field("lat", "lat", N, "Latitude in degrees.", minimum=-90, maximum=90, privacy=PERSONAL),
    _field("lon", "lon", N, "Longitude in degrees.", minimum=-180, maximum=180, privacy=PERSONAL),
    _field("userId", "user_id", I, "Id of the user, as text; absent while nobody is logged in.", {LISTEN},
           column_type=ColumnType.STRING, privacy=PSEUDONYMOUS),
    _field("firstName", "first_name", S, "First name.", privacy=PERSONAL),
    _field("lastName", "last_name", S, "Last name.", privacy=PERSONAL),
    _field("gender", "gender", S, "'F' or 'M'.", privacy=PSEUDONYMOUS),
    _field("registration", "registration", I, "Time of registration in epoch milliseconds.",
           minimum=-END_OF_TIME_MS // 5, maximum=END_OF_TIME_MS, privacy=PSEUDONYMOUS),
    _field("auth", "auth", S, "'Logged In', 'Logged Out', 'Guest' or 'Cancelled'."),
    _field("page", "page", S, "Name of the page.", {PAGE_VIEW}),
    _field("method", "method", S, "HTTP method of the page view."),
    _field("status", "status", I, "HTTP status of the page view."),
    _field("artist", "artist", S, "Name of the artist, as the producer writes it."),
    _field("song", "song", S, "Title of the song, as the producer writes it."),
    _field("duration", "duration", N, "Length of the song in seconds.", minimum=0, maximum=1e7),
    _field("songId", "song_id", S, "Catalogue id of the song; absent from eventsim."),
    _field("artistId", "artist_id", S, "Catalogue id of the artist; absent from eventsim."),
    _field("success", "success", B, "Whether the login succeeded.", {AUTH}),
    _field("device.type", "device_type", S, "Kind of device, such as 'mobile'.", since=2),
    _field("device.os", "device_os", S, "Operating system of the device.", since=2),
    _field("connection", "connection", S, "Kind of network connection.", since=2),
    _field("listenedSeconds", "listened_seconds", N, "Seconds of the previous song that were heard, on the event that "
           "ends it.", since=2, minimum=0, maximum=1e7),
    _field("country", "country", S, "Country of the request, ISO 3166-1 alpha-2.", since=3),
    _field("timeZone", "time_zone", S, "Time zone of the client, by its IANA name.", since=3),
    _field("levelAfter", "level_after", S, "Level after a status change.", since=3),
    _field("source", "playback_source", S, "Where a song was started from: 'library', 'playlist', 'search', 'radio' or "
           "'album'.", since=3),
)  # fmt: skip

#: Header of a redriven record: the coordinates of the original record.
REDRIVE_HEADER = "redrive-of"
#: Coordinates of a record: topic id (base64, which has + and / too) or a topic's name, partition and offset. And the
#: bytes that they have at most.
COORDINATES, MAX_COORDINATES = r"^[A-Za-z0-9._+/-]{1,249}/[0-9]{1,10}/[0-9]{1,19}$", 280

#: A listen names its song by the first field or by both of the others. Below, the columns that they fill.
SONG_BY_ID, SONG_BY_NAME = "songId", ("artist", "song")
SONG_ID_COLUMN, SONG_NAME_COLUMNS = "song_id", ("artist", "song")

T = ColumnType

#: Where the record came from. These columns precede the contract's fields.
ORIGIN_COLUMNS: tuple[Column, ...] = (
    Column("source", T.STRING, "'kafka' or 'file'."),
    Column("kafka_topic", T.STRING, "Topic of the record; NULL for files."),
    Column("kafka_topic_id", T.STRING, "Kafka's own id of the topic: a topic created again has another."),
    Column("kafka_partition", T.BIGINT, "Partition of the record; NULL for files."),
    Column("kafka_offset", T.BIGINT, "Offset of the record in its partition; NULL for files."),
    Column("kafka_timestamp", T.TIMESTAMP, "When the record was produced, UTC; NULL for files, or if it says a time "
           "before 2005 or after 9999."),
    Column("source_file", T.STRING, "File of the line; NULL for Kafka."),
    Column("source_line", T.BIGINT, "Number of the line in its file, from 1; NULL for Kafka."),
    Column("event_kind", T.STRING, "'listen', 'page_view', 'auth' or 'status_change'."),
    Column("event_time", T.TIMESTAMP, "Event time (`ts`), UTC; NULL for a quarantined row."),
)  # fmt: skip

#: The smallest value of this column in a data file is the time of the file's oldest record.
AGE_COLUMN = "kafka_timestamp"

#: What the platform found out about the record. These columns follow the contract's fields.
OUTCOME_COLUMNS: tuple[Column, ...] = (
    Column("extra", T.STRING, "JSON object of the fields that the contract does not know; NULL if none. Of a record "
           "that is too long: bytes and SHA-256 of its value or key.", privacy=PERSONAL),
    Column("payload", T.STRING, "Original text of a quarantined row; its beginning where it is too long.",
           privacy=PERSONAL),
    Column("payload_base64", T.STRING, "Original bytes of a quarantined row that is not UTF-8.", privacy=PERSONAL),
    Column("key_base64", T.STRING, "Key of the record of a quarantined row; NULL if it has none.", privacy=PERSONAL),
    Column("quarantine_reason", T.STRING, "Why the row is quarantined; NULL for a valid row."),
    Column("redrive_of", T.STRING, "Coordinates of the record that this one repeats, topic id/partition/offset."),
    Column("ingested_at", T.TIMESTAMP, "When the micro-batch read the record, UTC."),
)  # fmt: skip

#: What the reference data said when the record was read, for readers of the lake.
ENRICHMENT_COLUMNS: tuple[Column, ...] = (
    Column("song_known", T.BOOLEAN, "Whether the catalogue knew the song; NULL where the record names none."),
    Column("song_title", T.STRING, "Title of the song in the catalogue."),
    Column("song_genre", T.STRING, "Genre of the song in the catalogue."),
    Column("user_country", T.STRING, "Country of the user by the reference data."),
    Column("place_country", T.STRING, "Country of `state`: that of the registered users who live there."),
)

#: Columns that the loader adds in RAW.
LOAD_COLUMNS: tuple[Column, ...] = (
    Column("batch_id", T.BIGINT, "Version of the lake table with which the row was loaded: the last one of its load."),
    Column("loaded_at", T.TIMESTAMP, "When the row was loaded, UTC."),
)


def lake_columns() -> tuple[Column, ...]:
    """All columns of `lake.events`, in order."""
    return (*record_columns(), *ENRICHMENT_COLUMNS)


def record_columns() -> tuple[Column, ...]:
    """The columns of `lake.events` that depend on the record alone."""
    return (
        *ORIGIN_COLUMNS,
        *(Column(f.column, f.sql_type, f.description, f.privacy) for f in FIELDS),
        *OUTCOME_COLUMNS,
    )


def raw_columns() -> tuple[Column, ...]:
    """All columns of `RAW.EVENTS`, in order. `extra` is text in the lake and VARIANT in RAW."""
    lake = (Column(c.column, T.VARIANT, c.description, c.privacy) if c.column == "extra" else c for c in lake_columns())
    return (*lake, *LOAD_COLUMNS)


def top_level_names() -> frozenset[str]:
    """Top-level keys of the JSON object that the contract knows. Every other key goes to `extra`."""
    return frozenset(f.path.split(".")[0] for f in FIELDS)
