"""Lake, checkpoint, warehouse and Dagster's store, each put back to an older state, alone and in pairs.

Whatever was restored: either the platform ends with every record once, by itself, or it stops with a sentence, and the
commands that the sentences name make it exact. It never rests while a record is missing. The marts follow.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from typer.testing import CliRunner

from music_platform.cli import app
from music_platform.contracts import events
from music_platform.environment import settings_environment
from music_platform.errors import PlatformError
from music_platform.ingestion.backlog import read_kafka_backlog, read_lake_backlog
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import checkpoints_path, events_path
from music_platform.orchestration.automation import Runs, decide_ingest
from music_platform.orchestration.freshness import LIVE
from music_platform.orchestration.inputs import built_inputs, current_inputs
from music_platform.orchestration.sensors import live_tick
from music_platform.settings import get_settings
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import loaded_version
from tests.integration.conftest import Platform as FullPlatform
from tests.support import slowdown
from tests.support.event import listen
from tests.support.ingestion import Platform, listens

LAKE, CHECKPOINT, WAREHOUSE, STORE = "lake", "checkpoint", "warehouse", "store"
PARTS = (LAKE, CHECKPOINT, WAREHOUSE, STORE)
TABLES = ("RAW.EVENTS", "OPS.LOAD_STATE", "OPS.LOADS", "OPS.GAPS", "OPS.RECONCILED", "OPS.CHECKED_BATCHES")
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
    # What was reconciled last may be newer than what is put back.
    assert restorable.platform.imbalances() == []
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


#: Schemas whose tables are put back together with the warehouse.
SCHEMAS = ("RAW", "OPS", "SILVER", "GOLD")
TABLES_OF_ALL = (
    "SELECT table_schema || '.' || table_name FROM information_schema.tables "
    f"WHERE table_type = 'BASE TABLE' AND table_schema IN {SCHEMAS}"
)


@dataclass
class Whole:
    """A platform with Dagster and dbt: it ingests, builds, and its warehouse can be put back."""

    platform: FullPlatform
    listens: int = 0

    def produce(self) -> None:
        made = [listen("2026-06-01T10:00:00", eventId=f"e{n}") for n in range(self.listens, self.listens + RECORDS)]
        self.platform.produce((events.LISTEN, record.value) for record in made)
        self.listens += RECORDS

    def run(self, job: str) -> None:
        assert self.platform.run(job).success

    def keep(self) -> Callable[[], None]:
        """Keep the warehouse as it is; returns what puts it back."""
        tables = [name for (name,) in self.platform.rows(TABLES_OF_ALL)]
        self.platform.rows("CREATE SCHEMA KEPT")
        for table in tables:
            self.platform.rows(f"CREATE TABLE KEPT.{table.replace('.', '_')} AS SELECT * FROM {table}")

        def put_back() -> None:
            for table in tables:
                kept = f"KEPT.{table.replace('.', '_')}"
                if table == "RAW.EVENTS":
                    # A table that is put back has no memory of the files that COPY loaded into the lost one.
                    self.platform.rows(f"DROP TABLE {table}")
                    self.platform.rows(f"CREATE TABLE {table} AS SELECT * FROM {kept}")
                else:
                    self.platform.rows(f"DELETE FROM {table}")
                    self.platform.rows(f"INSERT INTO {table} SELECT * FROM {kept}")

        return put_back

    def rebuild(self) -> None:
        """`music-platform rebuild`, with the test's own Dagster in its home."""
        own = self.platform.settings.model_copy(update={"music_home": self.platform.dagster_home.parent})
        with patch.dict(os.environ, settings_environment(own, secrets=True)):
            get_settings.cache_clear()
            done = CliRunner().invoke(app, ["rebuild", "--yes"])
            get_settings.cache_clear()
        assert done.exit_code == 0, done.output

    def decides_to_build(self) -> bool:
        """What the live sensor decides. Nothing is called complete meanwhile."""
        with dg.DagsterInstance.from_config(str(self.platform.dagster_home)) as instance:
            decided = bool(live_tick(instance, self.platform.settings, None).run_requests)
            assert decided is (built_inputs(instance, LIVE) != current_inputs(instance))
            return decided

    def plays(self) -> tuple[int, int]:
        """Plays in a live mart, and in a mart that follows a policy."""
        live = self.platform.value("SELECT COALESCE(SUM(plays), 0) FROM GOLD.TOP_SONGS_DAILY")
        policy = self.platform.value("SELECT COALESCE(SUM(plays), 0) FROM GOLD.SONG_OF_THE_YEAR")
        return int(live), int(policy)


#: Moments of the last batch at which the warehouse is kept.
BEFORE, LOADED = "before the batch", "loaded, not built"


@pytest.mark.long
@pytest.mark.timeout(slowdown.seconds(900))
@pytest.mark.parametrize("how", [BEFORE, LOADED, "rebuild"])
def test_the_marts_follow_a_warehouse_that_was_put_back(platform: FullPlatform, how: str) -> None:
    """And RAW that was rebuilt in a shell while nothing arrived. The models were called complete for as long as it
    lasted, because Dagster's store had noted them as built from that version."""
    whole = Whole(platform)
    whole.produce()
    whole.run("ingest")
    whole.run("build")
    put_back = whole.keep() if how == BEFORE else None
    whole.produce()
    whole.run("ingest")
    put_back = whole.keep() if how == LOADED else put_back
    whole.run("build")
    assert whole.plays() == (10, 10)
    assert not whole.decides_to_build()

    if put_back is None:
        whole.rebuild()
    else:
        put_back()
        assert whole.plays() == (5, 5)
        # Who restores a warehouse starts this job: no sensor asks it.
        whole.run("ingest")
    assert whole.decides_to_build()
    whole.run("live")
    assert whole.plays()[0] == 10
    assert not whole.decides_to_build()
    whole.run("policy")
    assert whole.plays() == (10, 10)
    whole.run("ingest")
    assert not whole.decides_to_build(), "a run that finds nothing is no reason to build"
