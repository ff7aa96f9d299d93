"""The pages over real eventsim output, ten days: the figures of its FACTS.md."""

from collections.abc import Iterator

import pytest

from music_platform.settings import Settings
from tests.integration.dashboard.conftest import Shown
from tests.integration.marts.conftest import eventsim_records
from tests.support.lake import Lake, rows_of
from tests.support.warehouse import TestWarehouse, test_warehouse

#: This process is the dashboard's.
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def built(warehouse_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWarehouse]:
    """The marts of eventsim's ten days."""
    with test_warehouse(warehouse_settings, tmp_path_factory.mktemp("eventsim")) as warehouse:
        lake = Lake(warehouse.scratch / "lake")
        lake.append(rows_of(eventsim_records()))
        warehouse.load(lake.root)
        warehouse.build(tests=True)
        yield warehouse


def test_number_one_is_yo_yo_man() -> None:
    charts = Shown("charts", period="year")
    first = charts.frame("songs")[0]
    assert (first["chart_rank"], first["song_title"], first["plays"]) == (1, "Yo Yo Man (Garter Belt)", 266)
    assert charts.numbers("songs_of_years") == {"Of 2026": "Yo Yo Man (Garter Belt)"}
    assert charts.numbers("artists_of_years") == {"Of 2026": "Tony Joe White"}
    artists = [(row["artist_name"], row["plays"]) for row in charts.frame("artists")[:3]]
    assert artists == [("Tony Joe White", 313), ("David & Steve Gordon", 183), ("Atomic Rooster", 174)]


def test_totals_are_those_of_the_facts() -> None:
    assert Shown("charts", period="year").numbers("genres")["Plays of the period"] == "64,284"
    listeners = Shown("listeners")
    assert listeners.numbers("funnel")["Guests who register"] == "35.8 %"
    (funnel,) = listeners.frame("funnel")
    assert (funnel["guests"], funnel["registrations"]) == (4_313, 1_545)
    levels: dict[str, int] = {}
    for row in listeners.frame("demographics"):
        levels[row["level"]] = levels.get(row["level"], 0) + row["plays"]
    assert levels == {"free": 21_838, "paid": 42_446}
    assert sum(row["plays"] for row in listeners.frame("devices")) == 64_284
    days = {day: int(Shown("charts", to=f"2026-11-{day:02}").numbers("genres")["Plays of the period"].replace(",", ""))
            for day in (1, 5, 10)}  # fmt: skip
    assert days == {1: 3_288, 5: 7_102, 10: 8_869}


def test_every_record_is_an_event() -> None:
    (where,) = Shown("quality").frame("conservation")
    assert where == {"loaded": 154_406, "events": 154_406, "quarantined": 0, "repeated": 0}
