"""Broken records, in ways that no reader may accept as valid.

Malformed: not a single JSON object (RFC 8259) in UTF-8. Invalid: a JSON object that breaks the contract of its topic by
the JSON type of a field, a missing required field or a value out of range.
"""

from collections.abc import Callable
from typing import Any

import orjson

from music_platform.contracts.events import EARLIEST_TS, END_OF_TIME_MS, FIELDS

_MALFORMED: tuple[Callable[[bytes], bytes], ...] = (
    lambda text: text[: len(text) * 3 // 5],  # cut off
    lambda text: text + b"}",  # something after the object
    lambda text: text + text,  # two objects
    lambda text: b"{'ts':" + text.split(b'"ts":', 1)[1].replace(b'"', b"'"),  # single quotes
    lambda text: text.replace(b'"city":"', b'"city":"\xc3\x28', 1),  # not UTF-8
    lambda text: text[:-1] + b',"lag":NaN}',  # not a JSON number
    lambda text: b"\x00" + text,  # a byte that JSON does not allow
)


def malformed(text: bytes, _kind: str, which: int) -> bytes:
    """Break the text so that it is not a JSON object. `which` chooses how."""
    return _MALFORMED[which % len(_MALFORMED)](text)


def invalid(text: bytes, kind: str, which: int) -> bytes:
    """Break the contract of the topic of `kind`, but keep the text JSON. `which` chooses how."""
    event = orjson.loads(text)
    breaks = _breaks(event, kind)
    name, value = breaks[which % len(breaks)]
    if value is None:
        del event[name]
    else:
        event[name] = value
    return orjson.dumps(event)


def _breaks(event: dict[str, Any], kind: str) -> list[tuple[str, Any]]:
    """(field, wrong value) pairs that break this event; None means to leave the field out."""
    required = [field.path for field in FIELDS if kind in field.required_in]
    breaks: list[tuple[str, Any]] = [(name, None) for name in required]
    breaks += [
        ("ts", str(event["ts"])), ("ts", EARLIEST_TS - 1), ("ts", END_OF_TIME_MS + 1), ("ts", event["ts"] + 0.5),
        ("level", 1), ("sessionId", str(event["sessionId"])), ("itemInSession", -1), ("lat", 123.4), ("userAgent", {}),
    ]  # fmt: skip
    if "userId" in event:
        breaks += [("userId", str(event["userId"])), ("registration", "2020-01-01")]
    if "duration" in event:
        breaks += [("duration", str(event["duration"])), ("duration", -1.0), ("song", ["a title"])]
    if "page" in event:
        breaks += [("page", 7), ("status", "200")]
    if "success" in event:
        breaks += [("success", "true")]
    return breaks
