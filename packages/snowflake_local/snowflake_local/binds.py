"""Bound values (qmark and numeric parameters) as Python values.

fakesnow reads numbers with `int()` and dates through floating point. A Decimal or a bound NULL became an HTTP 500,
which the connector retries for minutes, and microseconds could be off by one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1)

Values = list[Any] | dict[str, Any]


def values(bindings: Mapping[str, Mapping[str, Any]] | None) -> Values | None:
    """The values of one statement: a list for `?` and `:1`, a dict for `:name`."""
    if not bindings:
        return None
    if all(name.isdigit() for name in bindings):
        return [value(bindings[str(i)]) for i in range(1, len(bindings) + 1)]
    return {name: value(binding) for name, binding in bindings.items()}


def rows(bindings: Mapping[str, Mapping[str, Any]] | None) -> list[list[Any]] | None:
    """The rows of an array binding (`executemany`), else None. The client sends a list of values per placeholder."""
    if not bindings or not any(isinstance(b["value"], list) for b in bindings.values()):
        return None
    columns = [
        [value({**bindings[str(i)], "value": item}) for item in bindings[str(i)]["value"]]
        for i in range(1, len(bindings) + 1)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def value(binding: Mapping[str, Any]) -> Any:
    """One bound value. Dates arrive as milliseconds, times and timestamps as nanoseconds since 1970."""
    raw = binding["value"]
    if raw is None:
        return None
    match binding["type"]:
        case "FIXED":
            number = Decimal(raw)
            return int(number) if number == number.to_integral_value() and "." not in raw else number
        case "REAL":
            return float(raw)
        case "BOOLEAN":
            return str(raw).lower() in ("true", "1")
        case "BINARY":
            return bytes.fromhex(raw)
        case "DATE":
            return (EPOCH + timedelta(milliseconds=int(raw))).date()
        case "TIME":
            return _moment(raw).time()
        case "TIMESTAMP_NTZ":
            return _moment(raw)
        case "TIMESTAMP_LTZ":
            return _moment(raw).replace(tzinfo=UTC)
        case "TIMESTAMP_TZ":
            return _moment(raw.partition(" ")[0]).replace(tzinfo=UTC)
        case _:
            return raw


def _moment(nanoseconds: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)
