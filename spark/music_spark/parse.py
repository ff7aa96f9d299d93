"""Parse: a record's bytes as one JSON object, strictly by RFC 8259.

Spark's own `from_json` is too lenient for a contract: it accepts single quotes, the first of two objects and trailing
text, and turns numbers and objects into strings. orjson accepts exactly one value in UTF-8 and nothing else; of
duplicate names the last one counts. It rejects three things that the RFC's grammar allows but no column could hold:
half of a surrogate pair, a number out of the range of a double, and more than 1,024 levels of nesting.
"""

import json
from typing import Any

import orjson

from music_platform.contracts.events import MAX_RECORD_BYTES, Name

NO_VALUE = "payload: none (tombstone)"
TOO_LONG = f"payload: longer than {MAX_RECORD_BYTES:,} bytes"
NOT_UTF8 = "payload: not UTF-8"
NOT_AN_OBJECT = "payload: not exactly one JSON object"
#: Python's own parser also reads records with unknown fields. It accepts somewhat fewer levels than orjson.
TOO_DEEP = "payload: nested too deeply"


def parse(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object in the bytes, or None; `parse_problem` then says why."""
    if value is None or len(value) > MAX_RECORD_BYTES:
        return None
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return parsed if type(parsed) is dict else None


def parse_problem(value: bytes | None) -> str:
    """Why the bytes are not a record, without quoting any of them."""
    if value is None:
        return NO_VALUE
    if len(value) > MAX_RECORD_BYTES:
        return TOO_LONG
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    return NOT_AN_OBJECT


def parse_exact(value: bytes) -> dict[str, Any]:
    """The same object, parsed slowly with integers of any size, so that unknown fields are kept as they arrived."""
    parsed: dict[str, Any] = json.loads(value)
    return parsed


def flatten(record: dict[str, Any], holders: frozenset[str]) -> dict[Name, Any]:
    """The record with the members of the objects named `holders` lifted to `(holder, member)`; consumes the record."""
    flat: dict[Name, Any] = record  # type: ignore[assignment]
    for holder in holders:
        if type(record.get(holder)) is dict:
            for member, value in record.pop(holder).items():
                flat[holder, member] = value
    return flat
