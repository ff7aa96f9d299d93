"""Shapes: how producers write an event. The contract has its own shape per event kind; other producers have theirs.

Another producer's shape is a mapping file in this folder, `<shape>.toml`:

    description = "…"
    kind = "listen"                          # every record is of this kind; or
    kind_field = "event_type"                # the key whose value decides, with
    [kinds]
    pause = { kind = "page_view", page = "Pause" }     # value → kind, and other fields that follow from it
    [fields]
    user_id = { field = "userId", type = "string" }    # key → field of the contract; `type` if it differs

A shape's fields fill the contract's columns under the contract's rules. Keys that a shape does not name go to `extra`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from music_platform.contracts import events
from music_platform.contracts.events import Field, JsonType, Name

_FOLDER = Path(__file__).parent


class MappingError(ValueError):
    """A mapping file is incomplete or wrong."""


@dataclass(frozen=True)
class Case:
    """What follows from a record's shape alone: its event kind, and the columns that this fixes."""

    kind: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """A shape: its fields with the columns that they fill, and the event kinds of its records.

    `kind_field` is the key whose value chooses among `cases`. If it is None there is a single case, under ''.
    """

    name: str
    description: str
    fields: tuple[Field, ...]
    cases: Mapping[str, Case]
    kind_field: str | None = None

    @cached_property
    def known(self) -> dict[Name, Field]:
        """Name → field. The key that decides the kind fills no column."""
        own = {found.name: found for found in self.fields}
        if self.kind_field is None:
            return own
        everywhere = frozenset(events.TOPICS)
        return {self.kind_field: Field(self.kind_field, JsonType.STRING, "Kind.", required_in=everywhere), **own}

    @cached_property
    def holders(self) -> frozenset[str]:
        """Keys whose values are objects that hold fields."""
        return frozenset(name[0] for name in self.known if isinstance(name, tuple))

    @cached_property
    def name_of(self) -> dict[str, Name]:
        """Column → name of the field that fills it."""
        return {found.column: found.name for found in self.fields}

    def case(self, record: Mapping[Name, Any]) -> Case | None:
        """The case of a record; None if the shape does not know it."""
        if self.kind_field is None:
            return self.cases[""]
        value = record.get(self.kind_field)
        return self.cases.get(value) if isinstance(value, str) else None


@cache
def own(kind: str) -> Shape:
    """The contract's own shape of an event kind."""
    return Shape(kind, f"{kind} event", events.FIELDS, {"": Case(kind)})


@cache
def mapped() -> dict[str, Shape]:
    """Other producers' shapes, by name. Raises MappingError."""
    return {path.stem: parse(path.stem, path.read_text()) for path in sorted(_FOLDER.glob("*.toml"))}


def parse(name: str, text: str) -> Shape:
    """The shape that a mapping file describes. Raises MappingError."""
    try:
        found = tomllib.loads(text)
        if ("kind" in found) == ("kind_field" in found):
            raise MappingError("give either kind or kind_field")
        if "." in found.get("kind_field", ""):
            raise MappingError("kind_field has to be a key of the record itself, without a dot")
        cases = {"": {"kind": found["kind"]}} if "kind" in found else found["kinds"]
        shape = Shape(
            name,
            found["description"],
            tuple(_field(key, target) for key, target in found["fields"].items()),
            {value: _case(dict(case)) for value, case in cases.items()},
            found.get("kind_field"),
        )
        if "ts" not in shape.name_of:
            raise MappingError("no field for ts")
        for required in events.FIELDS:
            for case in shape.cases.values():
                if case.kind in required.required_in and required.column not in {*shape.name_of, *case.columns}:
                    raise MappingError(f"a {case.kind} event needs {required.path}")
        return shape
    except (KeyError, ValueError, AttributeError) as error:
        raise MappingError(f"mapping {name}.toml: {error}") from None


def _field(key: str, target: Mapping[str, str]) -> Field:
    contract = {known.path: known for known in events.FIELDS}
    if target["field"] not in contract:
        raise MappingError(f"{key}: the contract has no field {target['field']}")
    meant = contract[target["field"]]
    return replace(
        meant,
        path=key,
        json_type=JsonType(target.get("type", meant.json_type.value)),
        column_type=meant.sql_type,
    )


def _case(case: dict[str, str]) -> Case:
    kind = case.pop("kind")
    if kind not in events.TOPICS:
        raise MappingError(f"{kind} is not an event kind")
    columns = {known.path: known.column for known in events.FIELDS}
    return Case(kind, {columns[path]: value for path, value in case.items()})
