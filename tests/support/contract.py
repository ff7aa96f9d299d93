"""The contract as the tests read it: whether a record is valid, decided without the platform's code."""

import json
from typing import Any

from music_platform.contracts.events import FIELDS, JsonType


def parsed(text: bytes) -> dict[str, Any] | None:
    """The record's JSON object by RFC 8259, or None."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text.decode("utf-8"), parse_constant=refuse)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def breach(event: dict[str, Any], kind: str) -> str | None:
    """The first field of an event that breaks the contract of its kind, or None."""
    for field in FIELDS:
        value: Any = event
        for name in field.path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            if kind in field.required_in:
                return field.path
            continue
        if not _has_type(value, field.json_type):
            return field.path
        if field.minimum is not None and value < field.minimum:
            return field.path
        if field.maximum is not None and value > field.maximum:
            return field.path
    return None


def _has_type(value: Any, json_type: JsonType) -> bool:
    if json_type == JsonType.STRING:
        return isinstance(value, str)
    if json_type == JsonType.BOOLEAN:
        return isinstance(value, bool)
    if json_type == JsonType.INTEGER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)
