"""Lake, checkpoint, warehouse and Dagster's store, each put back to an older state, alone and in pairs.

Whatever was restored: either the platform ends with every record once, by itself, or it stops with a sentence, and the
commands that the sentences name make it exact. It never rests while a record is missing.
"""

import re
import shutil
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path

import pytest

from music_platform.errors import PlatformError
from music_platform.ingestion.backlog import read_kafka_backlog, read_lake_backlog
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import checkpoints_path, events_path
from music_platform.orchestration.automation import Runs, decide_ingest
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import loaded_version
from tests.support.ingestion import Platform, listens

LAKE, CHECKPOINT, WAREHOUSE, STORE = "lake", "checkpoint", "warehouse", "store"
PARTS = (LAKE, CHECKPOINT, WAREHOUSE, STORE)
TABLES = ("RAW.EVENTS", "OPS.LOAD_STATE", "OPS.LOADS", "OPS.GAPS")
RECORDS = 5
#: Batches that a part is put back by; by many less often, since each case first has to make them.
FEW, MANY = (1, 2), 50
#: Runs and commands after which a platform must be exact.
PATIENCE = 8
_COMMAND = re.compile(r"music-platform ((?:topic )?[a-z-]+)")

#: How many batches each part is put back by.
Back = dict[str, int]


def cases() -> list[Back]:
    """Nothing; each part alone by one batch, two and many; each pair in every combination of one and two, and by many;
    the disk without the warehouse, and the whole home, by one, two and many."""
    alone = [{part: by} for part, by in product(PARTS, (*FEW, MANY))]
    pairs = [{a: x, b: y} for (a, b), (x, y) in product(combinations(PARTS, 2), product(FEW, repeat=2))]
    far = [dict.fromkeys(pair, MANY) for pair in combinations(PARTS, 2)]
    homes = [dict.fromkeys(parts, by) for parts, by in product(((LAKE, CHECKPOINT, STORE), PARTS), (*FEW, MANY))]
    return [{}, *alone, *pairs, *far, *homes]


def named_command(error: PlatformError) -> str:
    """The command that the sentence names, the last one if there are several."""
    commands: list[str] = _COMMAND.findall(str(error))
    assert commands, f"it names no command: {error}"
    return commands[-1]


@dataclass
class Restorable:
    """A platform whose states are kept after each batch. `recorded` is what Dagster's store knows of RAW."""

    platform: Platform
    folder: Path
    recorded: int = -1
    kept: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        """A run: it ingests and loads, and reports the version that RAW has."""
        self.platform.ingest()
        with connect(self.platform.settings) as session:
            self.recorded = loaded_version(session)

    def keep(self, number: int) -> None:
        """Keep the state as that from which `number` batches are to come."""
        root = self.platform.settings.lake_root
        shutil.copytree(events_path(root), self.folder / f"{LAKE}{number}")
        shutil.copytree(checkpoints_path(root), self.folder / f"{CHECKPOINT}{number}")
        for table in TABLES:
            self.platform.rows(f"CREATE TABLE {table}_KEPT{number} AS SELECT * FROM {table}")
        self.kept[number] = self.recorded

    def put_back(self, back: Back) -> None:
        root = self.platform.settings.lake_root
        for part, number in back.items():
            if part == STORE:
                self.recorded = self.kept[number]
            elif part == WAREHOUSE:
                for table in TABLES:
                    self.platform.rows(f"DELETE FROM {table}")
                    self.platform.rows(f"INSERT INTO {table} SELECT * FROM {table}_KEPT{number}")
            else:
                target = events_path(root) if part == LAKE else checkpoints_path(root)
                shutil.rmtree(target)
                shutil.copytree(self.folder / f"{part}{number}", target)

    def wants_a_run(self) -> bool:
        """What the lag sensor decides."""
        settings = self.platform.settings
        _, kafka = read_kafka_backlog(settings)
        lake = read_lake_backlog(settings, self.recorded)
        unknown = kafka.unknown or lake.unknown
        return decide_ingest((kafka.records, 0.0), (lake.records, 0.0), 1, Runs(), unknown=unknown).start

    def settle(self, at_once: bool = False) -> list[str]:
        """Run while the sensor asks for it, and follow what the sentences say. Returns the commands. `at_once`: someone
        starts the first run."""
        followed: list[str] = []
        for attempt in range(PATIENCE):
            if not (at_once and not attempt) and not self.wants_a_run():
                return followed
            try:
                self.run()
            except PlatformError as error:
                followed.append(named_command(error))
                self.platform.command(*followed[-1].split(), "--yes")
        raise AssertionError(f"never settled; followed {followed}; {self.platform.lines[-5:]}")

    def rows(self) -> tuple[int, int, int]:
        """Rows of RAW, the records among them, and the lake's latest version that RAW lacks."""
        ((rows, records),) = self.platform.rows(
            "SELECT COUNT(*), COUNT(DISTINCT kafka_topic_id || kafka_partition || '/' || kafka_offset) FROM RAW.EVENTS"
        )
        with connect(self.platform.settings) as session:
            loaded = loaded_version(session)
        latest = DeltaTable(events_path(self.platform.settings.lake_root)).latest_version()
        return int(rows), int(records), latest - loaded


@pytest.mark.long
@pytest.mark.parametrize(
    "back", cases(), ids=lambda back: "+".join(f"{part}-{by}" for part, by in back.items()) or "nothing"
)
def test_an_older_state_ends_exact_or_names_the_command_that_makes_it_exact(
    stack: LocalStack, tmp_path: Path, back: Back
) -> None:
    name = "older_" + "_".join(f"{part[0]}{by}" for part, by in back.items())
    restorable = Restorable(Platform(stack, name, tmp_path), tmp_path)
    batches = max([2, *back.values()]) + 1
    for batch in range(batches):
        restorable.platform.produce(listens(RECORDS, first=batch * RECORDS), partition=0)
        restorable.run()
        if (left := batches - 1 - batch) in {*FEW, MANY}:
            restorable.keep(left)
    restorable.put_back(back)
    # The sensors never ask the warehouse. Who restores it starts a run, or waits for the next record.
    followed = restorable.settle(at_once=WAREHOUSE in back)
    wanted = batches * RECORDS
    assert (restorable.rows(), restorable.platform.imbalances()) == ((wanted, wanted, 0), []), followed
    # It goes on as if nothing had been.
    restorable.platform.produce(listens(RECORDS, first=wanted), partition=0)
    followed += restorable.settle()
    wanted += RECORDS
    assert (restorable.rows(), restorable.platform.imbalances()) == ((wanted, wanted, 0), []), followed
