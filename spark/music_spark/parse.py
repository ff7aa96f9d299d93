"""Parse: a record's bytes as one JSON object, by the letter of RFC 8259.

Spark's own `from_json` is too kind for a contract: it takes single quotes, the first of two objects and trailing text,
and makes strings of numbers and objects. orjson takes exactly one value in UTF-8 and nothing else; of equal names the
last counts. It refuses three things that the RFC's grammar allows and no column could hold: half of a surrogate pair, a
number beyond a double, and more than 1,024 levels of nesting.
"""

import json
from typing import Any

import orjson

from music_platform.contracts.events import Name

NO_VALUE = "payload: none (tombstone)"
NOT_UTF8 = "payload: not UTF-8"
NOT_AN_OBJECT = "payload: not exactly one JSON object"
#: A record with unknown fields is read by Python's own parser too, which takes somewhat fewer levels than orjson.
TOO_DEEP = "payload: nested too deeply"


def parse(value: bytes | None) -> dict[str, Any] | None:
    """The object that the bytes spell, or None; `refusal` then says why."""
    if value is None:
        return None
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return parsed if type(parsed) is dict else None


def refusal(value: bytes | None) -> str:
    """Why bytes are no record, in words that show none of them."""
    if value is None:
        return NO_VALUE
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    return NOT_AN_OBJECT


def exact(value: bytes) -> dict[str, Any]:
    """The same object, read slowly with integers of any size, so that unknown fields are carried as they came."""
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
