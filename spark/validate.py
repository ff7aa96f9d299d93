"""Validate: which rule of the contract a record breaks, if any, in words that name field, expectation and finding.

A reason never shows a value: it goes to metadata and alerts, and values can be personal.
"""

from collections.abc import Mapping
from typing import Any

from music_platform.contracts import events as contract
from music_platform.contracts.events import Field, JsonType
from spark.parse import Name

NO_SONG = "songId: missing, and artist and song do not name one either"
TS_AHEAD = "ts: more than 24 h after the record's Kafka timestamp"

PYTHON_TYPES: dict[JsonType, tuple[type, ...]] = {
    JsonType.STRING: (str,),
    JsonType.INTEGER: (int,),
    JsonType.NUMBER: (int, float),
    JsonType.BOOLEAN: (bool,),
}
_FOUND = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}
_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


def name_of(field: Field) -> Name:
    """The field's name in a flattened record."""
    holder, _, member = field.path.partition(".")
    return (holder, member) if member else holder


#: Name → contract field.
KNOWN: dict[Name, Field] = {name_of(field): field for field in contract.FIELDS}
#: Keys whose values are objects that hold contract fields.
HOLDERS: frozenset[str] = frozenset(name[0] for name in KNOWN if isinstance(name, tuple))


def bounds(field: Field) -> tuple[float | None, float | None]:
    """Smallest and largest value that the field takes; an integer has to fit 64 bits."""
    if field.json_type is JsonType.INTEGER:
        low = _MIN_INT64 if field.minimum is None else int(field.minimum)
        high = _MAX_INT64 if field.maximum is None else int(field.maximum)
        return low, high
    return field.minimum, field.maximum


def _of_field(field: Field, value: Any, kind: str) -> str | None:
    if value is None:
        return f"{field.path}: missing" if kind in field.required_in else None
    if type(value) not in PYTHON_TYPES[field.json_type]:
        return f"{field.path}: expected {field.json_type.value}, found {_FOUND[type(value)]}"
    low, high = bounds(field)
    if low is not None and value < low:
        return f"{field.path}: below {low:.15g}"
    if high is not None and value > high:
        return f"{field.path}: above {high:.15g}"
    return f"{field.path}: empty" if field.not_empty and value == "" else None


def names_a_song(present: Mapping[Name, Any]) -> bool:
    """Whether a listen says which song it was: by id, or else by artist and title."""
    by_name = all(present.get(name) is not None for name in contract.SONG_BY_NAME)
    return by_name or present.get(contract.SONG_BY_ID) is not None


def violation(record: Mapping[Name, Any], kind: str, kafka_ms: int) -> str | None:
    """The first rule that a flattened record breaks, in the contract's order; None for a valid one.

    `kafka_ms` is the record's own Kafka timestamp in epoch milliseconds: event times are held against it, never
    against the wall clock, so that replays agree.
    """
    for name, field in KNOWN.items():
        if reason := _of_field(field, record.get(name), kind):
            return reason
    for holder in HOLDERS:
        if (found := record.get(holder)) is not None:
            return f"{holder}: expected object, found {_FOUND[type(found)]}"
    if kind == contract.LISTEN and not names_a_song(record):
        return NO_SONG
    return TS_AHEAD if record["ts"] > kafka_ms + contract.MAX_AHEAD_MS else None


def unknown(record: Mapping[Name, Any]) -> dict[str, Any]:
    """The parts of a flattened record that the contract does not know, nested again."""
    rest: dict[str, Any] = {}
    for name, value in record.items():
        if name in KNOWN or (name in HOLDERS and value is None):
            continue
        if isinstance(name, tuple):
            rest.setdefault(name[0], {})[name[1]] = value
        else:
            rest[name] = value
    return rest
