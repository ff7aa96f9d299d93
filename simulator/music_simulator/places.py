"""Where users live: 469 places in all states, with weights by population.

Names, postal codes and coordinates are from the US Census Bureau's gazetteer, as in eventsim. The weight is the number
of users that eventsim puts there, with a state's smaller places merged into its larger ones.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

COUNTRY = "US"


@dataclass(frozen=True)
class Place:
    """A place with its postal code; coordinates in degrees."""

    city: str
    state: str
    zip: str
    lat: float
    lon: float
    weight: int


@lru_cache(maxsize=1)
def places() -> tuple[Place, ...]:
    """All places, in the table's order."""
    with (Path(__file__).parent / "places.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Place(r["city"], r["state"], r["zip"], float(r["lat"]), float(r["lon"]), int(r["weight"]))
            for r in csv.DictReader(file)
        )
