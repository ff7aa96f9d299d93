"""What the page is narrowed to: dates, places, level and device. It is all in the address, so a view can be sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any, Self

#: Filters on what a listen carries, in the order of the side bar; also the columns' names in silver.listens.
DIMENSIONS = ("country", "state", "level", "device_type")
LABELS = {"country": "Country", "state": "State", "level": "Level", "device_type": "Device"}
#: Days that are shown unless the address says otherwise.
USUAL_DAYS = 28
#: Names in the address, where they differ from the field's.
SHORT = {"start": "from", "end": "to", "device_type": "device"}


@dataclass(frozen=True)
class Filters:
    """Dates are inclusive. None: everything."""

    start: date | None = None
    end: date | None = None
    country: str | None = None
    state: str | None = None
    level: str | None = None
    device_type: str | None = None

    @classmethod
    def of(cls, address: Mapping[str, str]) -> Self:
        """The filters in the query of an address. What cannot be read is left out."""
        found: dict[str, Any] = {}
        for field in fields(cls):
            text = address.get(SHORT.get(field.name, field.name), "")
            if not text:
                continue
            if field.name in ("start", "end"):
                try:
                    found[field.name] = date.fromisoformat(text)
                except ValueError:
                    continue
            else:
                found[field.name] = text
        filters = cls(**found)
        if filters.start and filters.end and filters.start > filters.end:
            return replace(filters, start=filters.end, end=filters.start)
        return filters

    def address(self) -> dict[str, str]:
        """The query of the address that has these filters."""
        return {
            SHORT.get(field.name, field.name): str(value)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }

    def within(self, first: date, last: date) -> Self:
        """With both dates: those given, cut to the dates there are, or the usual number of days up to the last one."""
        end = min(max(self.end or last, first), last)
        start = max(min(self.start or end - timedelta(days=USUAL_DAYS - 1), end), first)
        return replace(self, start=start, end=end)

    def narrowed(self) -> dict[str, str]:
        """The dimensions that are narrowed, and to what."""
        return {name: value for name in DIMENSIONS if (value := getattr(self, name)) is not None}

    def only(self, names: Iterable[str]) -> Self:
        """Without the dimensions that a page does not have."""
        return replace(self, **{name: None for name in DIMENSIONS if name not in set(names)})


def conditions(narrowed: Mapping[str, str], columns: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The SQL that narrows a query, to follow a WHERE clause, and its values. `columns`: dimension → column; none where
    the query has the dimension's value already."""
    used = {columns[name]: value for name, value in narrowed.items() if columns.get(name)}
    return "".join(f" and {column} = ?" for column in used), tuple(used.values())
