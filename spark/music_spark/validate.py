"""Validate: which rule of the contract a record breaks, if any. The reason names field, expectation and finding.

A reason never contains a value: it goes to metadata and alerts, and values can be personal.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from music_platform.contracts import events as contract
from music_platform.contracts.events import Field, JsonType, Name
from music_platform.contracts.shapes import Shape

NO_SONG = "{by_id}: missing, and {by_name} do not name one either"
TS_AHEAD = "{ts}: more than 24 h after {written}"
#: What an event time is compared with.
KAFKA_TIMESTAMP, FILE_TIMESTAMP = "the record's Kafka timestamp", "the file's modification time"

PYTHON_TYPES: dict[JsonType, tuple[type, ...]] = {
    JsonType.STRING: (str,),
    JsonType.INTEGER: (int,),
    JsonType.NUMBER: (int, float),
    JsonType.BOOLEAN: (bool,),
    JsonType.TIME: (str,),
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bounds(field: Field) -> tuple[float | None, float | None]:
    """Smallest and largest value that the field allows. An integer must fit into 64 bits."""
    if field.json_type is JsonType.INTEGER:
        low = _MIN_INT64 if field.minimum is None else int(field.minimum)
        high = _MAX_INT64 if field.maximum is None else int(field.maximum)
        return low, high
    return field.minimum, field.maximum


def epoch_ms(text: str) -> int:
    """An ISO 8601 time in epoch milliseconds; UTC if it has no zone. Raises ValueError.

    The end of a day (24:00) is the beginning of the next, and a leap second the second after it: epoch time has none.
    """
    text, later = _in_pythons_range(text)
    time = datetime.fromisoformat(text)
    try:
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH + later) // timedelta(milliseconds=1)
    except OverflowError as error:
        raise ValueError(text) from error


#: The end of a day; a leap second.
_END_OF_DAY = re.compile(r"^([0-9W-]{8,10}[T ])24(:?00(?::?00(?:[.,]0+)?)?)?(?![0-9:.,])")
_LEAP_SECOND = re.compile(r"^([0-9W-]{8,10}[T ]\d{2}:?\d{2}:?)60(?![0-9])")


def _in_pythons_range(text: str) -> tuple[str, timedelta]:
    """The time as Python reads it, and what has to be added."""
    if found := _END_OF_DAY.match(text):
        return f"{found[1]}00{found[2] or ''}{text[found.end() :]}", timedelta(days=1)
    if found := _LEAP_SECOND.match(text):
        return f"{found[1]}59{text[found.end() :]}", timedelta(seconds=1)
    return text, timedelta()


def _of_field(field: Field, value: Any, kind: str) -> str | None:
    if value is None:
        return f"{field.path}: missing" if kind in field.required_in else None
    if field.json_type is JsonType.STRING and is_blank(value):
        if field.not_empty:
            return f"{field.path}: empty"
        return f"{field.path}: blank" if kind in field.required_in else None
    if type(value) not in PYTHON_TYPES[field.json_type]:
        return f"{field.path}: expected {field.json_type.value}, found {_FOUND[type(value)]}"
    if field.json_type is JsonType.TIME:
        try:
            value = epoch_ms(value)
        except ValueError:
            return f"{field.path}: no time of ISO 8601"
    low, high = bounds(field)
    if low is not None and value < low:
        return f"{field.path}: below {low:.15g}"
    return f"{field.path}: above {high:.15g}" if high is not None and value > high else None


def is_blank(value: Any) -> bool:
    """Whether a value is a text without any character but white space, which counts as no value."""
    return isinstance(value, str) and not value.strip(contract.BLANKS)


def origin_violation(written_ms: int) -> str | None:
    """The rule that a record's own Kafka timestamp breaks, as those in seconds, micro- or nanoseconds do."""
    if written_ms < contract.EARLIEST_TS:
        return f"{KAFKA_TIMESTAMP}: below {contract.EARLIEST_TS}"
    return f"{KAFKA_TIMESTAMP}: above {contract.END_OF_TIME_MS}" if written_ms > contract.END_OF_TIME_MS else None


def names_a_song(present: Mapping[Name, Any], shape: Shape) -> bool:
    """Whether a listen says which song it was: by id, or else by both artist and title."""
    by_name = all(_given(present, shape, column) for column in contract.SONG_NAME_COLUMNS)
    return by_name or _given(present, shape, contract.SONG_ID_COLUMN)


def _given(present: Mapping[Name, Any], shape: Shape, column: str) -> bool:
    name = shape.name_of.get(column)
    return name is not None and present.get(name) is not None and not is_blank(present[name])


def violation(record: Mapping[Name, Any], shape: Shape, written_ms: int, written: str = KAFKA_TIMESTAMP) -> str | None:
    """The first rule that a flattened record breaks, in its shape's order; None for a valid one.

    `written_ms` is when the record was written (its own Kafka timestamp), in epoch milliseconds. Event times are
    compared with it, never with the wall clock, so that a replay gives the same result.
    """
    case = shape.case(record)
    kind = case.kind if case else ""
    if case is None and isinstance(record.get(shape.kind_field or ""), str):
        return f"{shape.kind_field}: none of {', '.join(sorted(shape.cases))}"
    if case is None and record.get(shape.kind_field or "") is None:
        return f"{shape.kind_field}: missing"
    for name, field in shape.known.items():
        if reason := _of_field(field, record.get(name), kind):
            return reason
    for holder in shape.holders:
        if (found := record.get(holder)) is not None:
            return f"{holder}: expected object, found {_FOUND[type(found)]}"
    if kind == contract.LISTEN and not names_a_song(record, shape):
        named = [str(shape.name_of[column]) for column in contract.SONG_NAME_COLUMNS if column in shape.name_of]
        by_id = shape.name_of[contract.SONG_ID_COLUMN]
        return NO_SONG.format(by_id=by_id, by_name=" and ".join(named)) if named else f"{by_id}: missing"
    name = shape.name_of["ts"]
    ts = record[name] if shape.known[name].json_type is not JsonType.TIME else epoch_ms(record[name])
    return TS_AHEAD.format(ts=name, written=written) if ts > written_ms + contract.MAX_AHEAD_MS else None


def unknown_fields(record: Mapping[Name, Any], shape: Shape) -> dict[str, Any]:
    """The parts of a flattened record that are not in its shape, nested again."""
    rest: dict[str, Any] = {}
    for name, value in record.items():
        if name in shape.known or (name in shape.holders and value is None):
            continue
        if isinstance(name, tuple):
            rest.setdefault(name[0], {})[name[1]] = value
        else:
            rest[name] = value
    return rest
