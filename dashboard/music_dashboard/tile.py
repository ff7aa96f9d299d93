"""A tile: one thing to look at. What it reads, by which rule it is counted, and how it is drawn, in one definition."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from music_dashboard.filters import LABELS, conditions
from music_dashboard.reader import QUERIES, Request, statement

#: Marks the place in a query where it is narrowed.
NARROWED = "/*narrowed*/"
#: A named value in a query, unlike the `::` of a cast.
_VALUE = re.compile(r"(?<!:):([a-z_]+)")

#: Columns of silver.listens that a query of single listens is narrowed by.
OF_LISTENS = {"country": "country", "state": "state", "level": "level", "device_type": "device_type"}
#: The same in a query that calls the table `listens`.
OF_JOINED_LISTENS = {name: f"listens.{column}" for name, column in OF_LISTENS.items()}


@dataclass(frozen=True)
class Number:
    """One figure with its name, as text, and how it differs from another one."""

    label: str
    value: str
    change: str | None = None
    #: What the change is compared with.
    against: str | None = None


@dataclass(frozen=True)
class Numbers:
    """Figures side by side."""

    items: tuple[Number, ...]


@dataclass(frozen=True)
class Table:
    """Rows with titles for columns. `links`: columns whose text is an address within the dashboard."""

    frame: pd.DataFrame
    shares: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """An Altair chart, and what it shows in a sentence for who cannot see it."""

    chart: Any
    says: str
    #: Pixels; None: the usual height.
    height: int | None = None


@dataclass(frozen=True)
class Note:
    """A sentence, in Markdown."""

    text: str


Drawing = Numbers | Table | Figure | Note


@dataclass(frozen=True)
class Tile:
    """One thing to look at.

    `name` is also its query in queries/. `models`: what the query reads; the first one is the asset that a person is
    sent to. `rule`: heading in docs/reference/marts.md. `by`: dimension of the filters → column that the query is
    narrowed by. If another dimension is narrowed, `name`_narrowed is asked instead, which reads single listens; without
    such a query the tile says that it is not narrowed.
    """

    name: str
    title: str
    models: tuple[str, ...]
    rule: str
    draw: Callable[[pd.DataFrame], list[Drawing]]
    by: Mapping[str, str] = field(default_factory=dict)
    narrowed_by: Mapping[str, str] = field(default_factory=dict)
    narrowed_models: tuple[str, ...] = ("listens",)
    #: Its query, where several tiles draw the same one.
    query: str = ""
    #: Whether the dates of the page mean anything to it.
    dated: bool = True
    #: Whether it shows what there is of its models as soon as one of them is built.
    is_partial: bool = False
    #: What is shown where there are no rows.
    empty: str = "There is nothing to show for these filters."

    def asked(self, narrowed: Mapping[str, str]) -> tuple[str, Mapping[str, str], tuple[str, ...]]:
        """Name of the query that answers under these filters, the columns it is narrowed by, the models it reads."""
        if self.narrowed_by and narrowed.keys() - self.by.keys():
            return (
                f"{self.query or self.name}_narrowed",
                self.narrowed_by,
                tuple(dict.fromkeys(self.narrowed_models + self.models)),
            )
        return self.query or self.name, self.by, self.models

    def request(self, values: Mapping[str, object], narrowed: Mapping[str, str]) -> Request:
        """What to ask the warehouse. Raises KeyError for a value that the page does not have."""
        name, columns, models = self.asked(narrowed)
        text, bound = bind(statement(name), values, *conditions(narrowed, columns))
        return Request(text, bound, models)

    def lacks(self, missing: Collection[str], request: Request) -> bool:
        """Whether it cannot be asked while these of its models are not built."""
        return len(missing) == len(request.models) > 0 if self.is_partial else bool(missing)

    def ignored(self, narrowed: Mapping[str, str]) -> list[str]:
        """The filters that are set and make no difference here, by their labels."""
        _, columns, _ = self.asked(narrowed)
        return [LABELS[name] for name in narrowed if name not in columns]

    def query_files(self) -> list[str]:
        """The queries that there are for it."""
        return [
            name
            for name in (self.query or self.name, f"{self.query or self.name}_narrowed")
            if (QUERIES / f"{name}.sql").exists()
        ]


def bind(
    text: str, values: Mapping[str, object], narrowing: str = "", narrowed: tuple[object, ...] = ()
) -> tuple[str, tuple[object, ...]]:
    """The statement with a question mark for each value, and the values in order."""
    bound: list[object] = []

    def place(found: re.Match[str]) -> str:
        if found[0] == NARROWED:
            bound.extend(narrowed)
            return narrowing
        bound.append(values[found[1]])
        return "?"

    either = re.compile(f"{re.escape(NARROWED)}|{_VALUE.pattern}")
    return either.sub(place, text), tuple(bound)
