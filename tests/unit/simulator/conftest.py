"""Runs of the simulator for the tests, and the real eventsim output."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from music_simulator.disturbances import KINDS, Records
from music_simulator.generation import Generation, Plan, World
from music_simulator.options import Options
from tests.support.eventsim import eventsim_folder, eventsim_lines

ROOT = Path(__file__).parents[3]
SMALL = Options(seed=5, users=900, start=datetime(2026, 1, 1), days=3, songs=300, growth=10.0)
DISTURBED = replace(
    SMALL, duplicates=0.1, late=0.1, out_of_order=0.1, malformed=0.05, invalid=0.05, unknown_fields=0.1, v2=0.5
)


@dataclass
class Made:
    """All records of a run in the order of delivery."""

    kinds: list[str]
    texts: list[bytes]
    keys: list[bytes]
    records: Records

    def of(self, kind: str) -> list[bytes]:
        """Texts of one kind."""
        return [text for k, text in zip(self.kinds, self.texts, strict=True) if k == kind]


def make(options: Options, workers: int = 1, paced: bool = False) -> Made:
    """Generate a whole run in memory."""
    kinds: list[str] = []
    texts: list[bytes] = []
    keys: list[bytes] = []
    records: list[Records] = []
    with Generation(World(options), Plan(workers, True, paced)) as generation:
        for batch in generation.batches():
            kinds += [KINDS[kind] for kind in batch.records["kind"].tolist()]
            texts += batch.texts
            keys += batch.keys
            records.append(batch.records)
    return Made(kinds, texts, keys, np.concatenate(records))


@pytest.fixture(scope="session")
def small() -> Made:
    """A small run without disturbances."""
    return make(SMALL)


@pytest.fixture(scope="session")
def classic() -> Made:
    """The same with eventsim's users."""
    return make(replace(SMALL, classic=True))


@pytest.fixture(scope="session")
def disturbed() -> Made:
    """The same with many disturbances."""
    return make(DISTURBED)


@pytest.fixture(scope="session")
def eventsim() -> Callable[[str], list[dict[str, Any]]]:
    """Real eventsim output by topic."""
    eventsim_folder()
    read: dict[str, list[dict[str, Any]]] = {}

    def events(topic: str) -> list[dict[str, Any]]:
        if topic not in read:
            read[topic] = [orjson.loads(line) for line in eventsim_lines(topic)]
        return read[topic]

    return events
