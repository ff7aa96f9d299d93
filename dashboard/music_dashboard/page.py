"""A page: its tiles in rows, what it can be narrowed by, and what a person chooses on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from music_dashboard.filters import Filters
from music_dashboard.tile import Tile

#: What could name a person is shown of at least this many users (min_cell_users of the dbt project).
LEAST_USERS = 5


@dataclass(frozen=True)
class Control:
    """A choice on a page, kept in the address under its name, and a value of its queries.

    The choices are those given (value → label), or the rows of a query with columns `value` and perhaps `label`. The
    first one is taken unless the address says otherwise. `open`: any other value of the address is taken as well.
    """

    name: str
    label: str
    choices: Mapping[str, str] | None = None
    query: str = ""
    models: tuple[str, ...] = ()
    is_open: bool = False


@dataclass(frozen=True)
class View:
    """What a page is drawn for: the filters, with both dates, the choices, and the dates that there are."""

    filters: Filters
    chosen: Mapping[str, str | None]
    first_date: date
    last_date: date
    latest_hour: pd.Timestamp


@dataclass(frozen=True)
class Page:
    """One page. `tiles` are rows of tiles, which stand below each other on a narrow screen.

    `values`: further values for the queries, from the view.
    """

    name: str
    title: str
    icon: str
    order: int
    about: str
    tiles: tuple[tuple[Tile, ...], ...]
    dimensions: tuple[str, ...] = ()
    dated: bool = True
    controls: tuple[Control, ...] = ()
    values: Callable[[View], Mapping[str, object]] = lambda _: {}
    #: A sentence about what is shown now.
    says: Callable[[View], str] = lambda _: ""
    #: Models of which it needs at least one, and what it says instead of everything else where it has none.
    needs: tuple[str, ...] = ()
    without: str = ""

    def all_tiles(self) -> list[Tile]:
        """Its tiles in order."""
        return [tile for row in self.tiles for tile in row]

    def all_values(self, view: View) -> dict[str, object]:
        """Every named value that its queries may have."""
        hour = view.latest_hour
        return {
            "start": view.filters.start,
            "end": view.filters.end,
            "first_date": view.first_date,
            "last_date": view.last_date,
            "day_before": view.last_date - timedelta(days=1),
            "day_after": view.last_date + timedelta(days=1),
            "after_end": (view.filters.end or view.last_date) + timedelta(days=1),
            "latest_hour": hour.to_pydatetime(),
            "previous_hour": (hour - pd.Timedelta(hours=1)).to_pydatetime(),
            "latest_date": hour.date(),
            "previous_date": (hour - pd.Timedelta(hours=1)).date(),
            **view.chosen,
            **self.values(view),
        }
