"""Where users live: 469 places in all states, with weights by population.

Names, postal codes and coordinates are from the US Census Bureau's gazetteer, as in eventsim. The weight is the number
of users that eventsim puts there, with a state's smaller places merged into its larger ones.
"""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

COUNTRY = "US"
_EASTERN, _CENTRAL, _MOUNTAIN, _PACIFIC = (
    f"America/{city}" for city in ("New_York", "Chicago", "Denver", "Los_Angeles")
)
#: Time zone of each state: that of most of its people. All other states are in the Eastern zone.
_ZONES = {
    **dict.fromkeys(
        ("AL", "AR", "IA", "IL", "KS", "LA", "MN", "MO", "MS", "ND", "NE", "OK", "SD", "TN", "TX", "WI"), _CENTRAL
    ),
    **dict.fromkeys(("CO", "ID", "MT", "NM", "UT", "WY"), _MOUNTAIN),
    **dict.fromkeys(("CA", "NV", "OR", "WA"), _PACIFIC),
    "AK": "America/Anchorage", "AZ": "America/Phoenix", "HI": "Pacific/Honolulu",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A place with its postal code; coordinates in degrees."""

    city: str
    state: str
    zip: str
    lat: float
    lon: float
    weight: int

    @property
    def time_zone(self) -> str:
        """IANA name of its time zone."""
        return _ZONES.get(self.state, _EASTERN)


@lru_cache(maxsize=1)
def places() -> tuple[Place, ...]:
    """All places, in the table's order."""
    with (Path(__file__).parent / "places.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Place(r["city"], r["state"], r["zip"], float(r["lat"]), float(r["lon"]), int(r["weight"]))
            for r in csv.DictReader(file)
        )


def utc_offsets(at: datetime) -> list[int]:
    """Seconds by which each place's clock is ahead of UTC at a local time; those of the run's start hold throughout."""
    zones = {p.time_zone: at.replace(tzinfo=ZoneInfo(p.time_zone)).utcoffset() for p in places()}
    return [int((zones[p.time_zone] or timedelta()).total_seconds()) for p in places()]
