"""The contract as JSON Schema (draft 2020-12), one schema per event kind, and the edits that would break it.

JSON Schema cannot express three rules: an integer may not be written as 1.0, a blank text counts as no value, and `ts`
may be at most 24 h after the record's Kafka timestamp. `x-` members hold what consumers of the columns rely on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from music_platform.contracts import events
from music_platform.contracts.events import Field, JsonType, Privacy

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_INT64 = (-(2**63), 2**63 - 1)


def version() -> int:
    """The version of the wire format that the definition describes."""
    return max(field.since for field in events.FIELDS)


def schema(kind: str, upto: int) -> dict[str, Any]:
    """Schema of an event kind's records in versions up to `upto`. Fields that the schema does not name are allowed."""
    fields = [field for field in events.FIELDS if field.since <= upto]
    properties: dict[str, Any] = {}
    for field in fields:
        holder, _, member = field.path.rpartition(".")
        described = _property(field, kind)
        if holder:
            nested = properties.setdefault(holder, {"type": ["object", "null"], "properties": {}})
            nested["properties"][member] = described
        else:
            properties[field.path] = described
    found: dict[str, Any] = {
        "$schema": DIALECT,
        "title": f"{kind} event, version {upto}",
        "type": "object",
        "properties": properties,
        "required": [field.path for field in fields if kind in field.required_in],
    }
    return found | (
        {"anyOf": [_named([events.SONG_BY_ID]), _named(events.SONG_BY_NAME)]} if kind == events.LISTEN else {}
    )


def _property(field: Field, kind: str) -> dict[str, Any]:
    # A null value counts as absent.
    types = field.json_type.value if kind in field.required_in else [field.json_type.value, "null"]
    low, high = _INT64 if field.json_type is JsonType.INTEGER else (None, None)
    limits = {
        "minimum": low if field.minimum is None else field.minimum,
        "maximum": high if field.maximum is None else field.maximum,
        "minLength": 1 if field.not_empty else None,
    }
    return {
        "description": field.description,
        "type": types,
        **{name: limit for name, limit in limits.items() if limit is not None},
        "x-since": field.since,
        "x-column": field.column,
        "x-column-type": field.sql_type.value,
        **({} if field.privacy is Privacy.OPEN else {f"x-{field.privacy}": True}),
    }


def _named(paths: Any) -> dict[str, Any]:
    return {"required": list(paths), "properties": {path: {"type": "string"} for path in paths}}


def breaking_changes(released: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """What an edit breaks for users of a released schema, in words. Empty if it only adds.

    A producer's valid records must stay valid, and a reader's columns must keep their names and types. New optional
    fields, wider ranges and fewer required fields are additions.
    """
    before, after = dict(_fields(released)), dict(_fields(current))
    found = [f"{path}: removed" for path in before if path not in after]
    for path in sorted(before.keys() & after.keys()):
        found += [f"{path}: {change}" for change in _narrower(before[path], after[path])]
    required = set(current["required"]) - set(released["required"])
    found += [f"{path}: newly required" for path in sorted(required)]
    if current.get("anyOf", []) != released.get("anyOf", []):
        found.append("anyOf: the fields that name a song have changed")
    return found


def _fields(found: Mapping[str, Any], holder: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, described in found["properties"].items():
        if "properties" in described:
            yield from _fields(described, f"{holder}{name}.")
        else:
            yield f"{holder}{name}", described


def _narrower(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    was, now = _types(before), _types(after)
    # Every integer is a number.
    if missing := {name for name in was - now if not (name == "integer" and "number" in now)}:
        yield f"no longer accepts {', '.join(sorted(missing))}"
    if after.get("minimum", float("-inf")) > before.get("minimum", float("-inf")):
        yield f"minimum raised to {after['minimum']}"
    if after.get("maximum", float("inf")) < before.get("maximum", float("inf")):
        yield f"maximum lowered to {after['maximum']}"
    if after.get("minLength", 0) > before.get("minLength", 0):
        yield "may no longer be empty"
    for member, what in (("x-column", "column"), ("x-column-type", "column type")):
        if before[member] != after[member]:
            yield f"{what} was {before[member]}, is {after[member]}"
    if before["x-since"] != after["x-since"]:
        yield f"says version {after['x-since']}, but was released in version {before['x-since']}"


def _types(described: Mapping[str, Any]) -> set[str]:
    found = described["type"]
    return {found} if isinstance(found, str) else set(found)
