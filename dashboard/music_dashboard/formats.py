"""Numbers, times and differences as people read them. Pure functions; times are UTC."""

from datetime import date, datetime
from typing import Any

#: Shown where there is no value.
NOTHING = "–"


def number(value: Any, digits: int = 0) -> str:
    """1234567 → 1,234,567."""
    return NOTHING if _is_missing(value) else f"{float(value):,.{digits}f}" if digits else f"{round(float(value)):,}"


def percent(value: Any, digits: int = 1) -> str:
    """0.358 → 35.8 %."""
    return NOTHING if _is_missing(value) else f"{float(value) * 100:,.{digits}f} %"


def change(value: Any) -> str | None:
    """A difference with its sign; None, which shows nothing, where there is none."""
    return None if _is_missing(value) else f"{round(float(value)):+,}"


def money(cents: Any) -> str:
    """123456 → 1,234.56."""
    return NOTHING if _is_missing(cents) else f"{int(cents) / 100:,.2f}"


def seconds(value: Any) -> str:
    """A duration in its largest fitting units: 12 s, 3 min 5 s, 2 h 10 min, 4 d 3 h."""
    if _is_missing(value):
        return NOTHING
    whole = round(float(value))
    for unit, size, below, below_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s" if whole or float(value) == 0 else f"{float(value):.1f} s"


def moment(value: datetime | None) -> str:
    """A time to the second, UTC."""
    return NOTHING if _is_missing(value) or value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def day(value: date | None) -> str:
    """A date, as in 2026-06-30."""
    return NOTHING if _is_missing(value) or value is None else f"{value:%Y-%m-%d}"


def movement(now: Any, before: Any) -> str:
    """How a place in a chart has moved since the period before: ▲ 3, ▼ 1, =, or new."""
    if _is_missing(before):
        return "new"
    moved = int(before) - int(now)
    return "=" if moved == 0 else f"▲ {moved}" if moved > 0 else f"▼ {-moved}"


def _is_missing(value: Any) -> bool:
    # NaN differs from itself; pandas' NA cannot say whether it does.
    return value is None or type(value).__name__ in ("NaTType", "NAType") or bool(value != value)
