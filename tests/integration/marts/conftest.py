"""A local warehouse for these tests, a database for each, and simulated events with the expected marts."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from music_platform.settings import Settings
from tests.support import slowdown
from tests.support.eventsim import eventsim_lines
from tests.support.lake import KIND_OF_TOPIC, Record
from tests.support.stack import running_stack
from tests.support.truth import load_truth
from tests.support.warehouse import TestWarehouse, test_warehouse

DISTURBED = (
    "--duplicates", ".03", "--late", ".05", "--out-of-order", ".05", "--malformed", ".004", "--invalid", ".004",
    "--unknown-fields", ".01", "--v2", ".4", "--v3", ".3", "--hot-key", ".02", "--wrong-clocks", ".04",
)  # fmt: skip


@dataclass(frozen=True)
class Simulation:
    """A run of the simulator to files: the folder of its records and reference data, and its truth."""

    folder: Path
    truth: dict[str, Any]


def simulated(folder: Path, *options: str) -> Simulation:
    """Run the simulator with all disturbances on."""
    command = [
        sys.executable,
        "-m",
        "music_simulator",
        "--out",
        str(folder),
        "--truth",
        str(folder / "truth.json"),
        *options,
    ]
    folder.mkdir(parents=True)
    done = subprocess.run(
        [*command, *DISTURBED], capture_output=True, text=True, timeout=slowdown.seconds(300), check=False
    )
    assert done.returncode == 0, done.stderr
    return Simulation(folder, load_truth(folder / "truth.json"))


#: When eventsim's records were produced, in epoch milliseconds; after every event.
EVENTSIM_PRODUCED_MS = int(datetime(2027, 7, 20, tzinfo=UTC).timestamp() * 1000)


def eventsim_records() -> list[Record]:
    """Real eventsim output as records, topic by topic."""
    return [
        Record(topic, offset, line, EVENTSIM_PRODUCED_MS)
        for topic in KIND_OF_TOPIC
        for offset, line in enumerate(eventsim_lines(topic))
    ]


@pytest.fixture(scope="session")
def warehouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A local warehouse that serves all tests here."""
    with running_stack(tmp_path_factory.mktemp("marts"), frozenset({"warehouse"})) as stack:
        yield stack.settings


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """Five weeks of a small population, across the end of a month, so that every mart has rows."""
    folder = tmp_path_factory.mktemp("simulation") / "events"
    return simulated(folder, "--seed", "5", "--users", "120", "--days", "37", "--start", "2026-05-20", "--songs", "600")


@pytest.fixture
def warehouse(warehouse_settings: Settings, tmp_path: Path) -> Iterator[TestWarehouse]:
    """The test's own, fresh database."""
    with test_warehouse(warehouse_settings, tmp_path) as own:
        yield own
