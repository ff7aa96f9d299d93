"""A warehouse with simulated events and built marts, and the dashboard over it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from music_platform.environment import project_root, settings_environment
from music_platform.settings import Settings, get_settings
from tests.integration.dashboard.learned import as_of, learned_of, publish_rows
from tests.integration.marts.conftest import Simulation
from tests.integration.marts.conftest import simulation as simulation
from tests.integration.marts.conftest import warehouse_settings as warehouse_settings
from tests.integration.marts.test_truth import PRODUCED
from tests.support import slowdown
from tests.support.lake import Lake, records_of, rows_of
from tests.support.topics_oracle import marts_of_topics
from tests.support.warehouse import Rows, TestWarehouse, test_warehouse

APP = project_root() / "dashboard" / "streamlit_app.py"


@dataclass(frozen=True)
class Truth:
    """What the numbers must be: the simulator's marts, each listen as the topics' own lines say it, and what is said to
    be learned from them."""

    marts: dict[str, Rows]
    counts: dict[str, Any]
    listens: Rows
    restatements: Rows
    learned: dict[str, Rows]


@pytest.fixture(scope="session")
def truth(simulation: Simulation) -> Truth:
    """The truth about the simulation."""
    read = marts_of_topics(simulation.folder)
    return Truth(simulation.truth["marts"], simulation.truth["counts"], read["streams"], read["restatements"],
                 learned_of(read["streams"]))  # fmt: skip


@pytest.fixture(scope="module")
def built(
    warehouse_settings: Settings, simulation: Simulation, truth: Truth, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestWarehouse]:
    """The marts of the simulation, built from two batches with every test, and versions of what is learned."""
    scratch = tmp_path_factory.mktemp("dashboard")
    with test_warehouse(warehouse_settings, scratch) as warehouse:
        records = records_of(simulation.folder, PRODUCED)
        lake = Lake(warehouse.scratch / "lake")
        warehouse.load_reference(simulation.folder / "reference")
        for part in (records[::2], records[1::2]):
            lake.append(rows_of(part))
            warehouse.load(lake.root)
            warehouse.build(tests=True)
        for model, rows in truth.learned.items():
            publish_rows(warehouse.session, model, rows, as_of(truth.listens))
        yield warehouse


@pytest.fixture
def here(built: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestWarehouse]:
    """This process as the dashboard's: its settings are those of the built warehouse."""
    for name, value in settings_environment(built.settings, secrets=True).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    st.cache_resource.clear()
    yield built
    get_settings.cache_clear()
    st.cache_resource.clear()


class Shown:
    """A page as Streamlit has drawn it, without a browser."""

    def __init__(self, page: str, **address: str) -> None:
        self.test = AppTest.from_file(str(APP), default_timeout=slowdown.seconds(60))
        self.test.run()
        if page != "now":
            self.test.switch_page(f"music_dashboard/pages/{page}.py")
        self.run(**address)

    def run(self, **address: str) -> None:
        """Draw it again, at another address if one is given."""
        if address:
            self.test.query_params.clear()
            for name, value in address.items():
                self.test.query_params[name] = value
        self.test.run()
        assert not self.test.exception, [error.message for error in self.test.exception]

    def tile(self, name: str) -> Any:
        """The block of a tile."""
        waiting = [self.test.main]
        while waiting:
            block = waiting.pop()
            for child in getattr(block, "children", {}).values():
                if str(getattr(getattr(child, "proto", None), "id", "")).endswith(f"-tile_{name}"):
                    return child
                waiting.append(child)
        raise AssertionError(f"there is no tile {name}")

    def drawn(self, name: str) -> list[float]:
        """The numbers in the chart of a tile: its column `value`, or its only column of numbers."""
        waiting, found = [self.tile(name)], []
        while waiting:
            for child in getattr(waiting.pop(), "children", {}).values():
                waiting.append(child)
                if getattr(child, "type", "") == "vega_lite_chart":
                    found += [pa.ipc.open_stream(each.data.data).read_pandas() for each in child.proto.datasets]
        frame = next(each for each in found if len(each))
        named = [name for name in ("value", "Plays", "plays", "count", "users") if name in frame.columns]
        return [float(value) for value in frame[named[0]]]

    def frame(self, name: str) -> Rows:
        """The rows behind a tile, as its details show them."""
        from music_dashboard.frames import records

        return records(self.tile(name).dataframe[-1].value)

    def numbers(self, name: str) -> dict[str, str]:
        """The figures of a tile, by their labels."""
        return {metric.label: metric.value for metric in self.tile(name).metric}

    def said(self) -> list[str]:
        """Everything that the page says in messages."""
        return [element.value for kind in ("error", "info", "warning") for element in getattr(self.test, kind)]
