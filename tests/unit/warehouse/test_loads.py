"""How lake files get to the warehouse, and how often: the statements of a load, and the pauses between loads."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import ProgrammingError

from music_platform.ingestion import drain
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import Loads, seconds_until_batch, seconds_until_load
from music_platform.lake.delta_log import DeltaLogError, DeltaTable, Version
from music_platform.lake.paths import events_path
from music_platform.settings import Settings
from music_platform.topics import BrokerUnreachableError
from music_platform.warehouse.copy import MAX_FILES
from music_platform.warehouse.loader import MAX_ROWS, Loaded, LoadError, load, ranges
from music_platform.warehouse.staging import FILES_AT_ONCE, IN_PLACE, PUT, StagingMethod, staging_method
from music_spark.job import MicroBatch
from tests.support import slowdown


@dataclass
class Account:
    """Writes statements down and answers as an account does when all goes well, or when a file is refused: an account
    with an external stage cannot be had here."""

    rows: int
    loaded: int = -1
    refused: str = "no file"
    #: When the version at the watermark was committed, as the ledger has it.
    committed_ms: int | None = None
    statements: list[str] = field(default_factory=list)
    rowcount = 1
    _before: int = -1

    def cursor(self) -> "Account":
        return self

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if statement.startswith("BEGIN"):
            self._before = self.loaded
        elif statement.startswith("ROLLBACK"):
            self.loaded = self._before
        elif moved := re.search(r"last_version = (\d+), .* last_version = (-?\d+)", statement):
            assert int(moved[2]) == self.loaded
            self.loaded = int(moved[1])
        elif statement.startswith("COPY") and self.refused in statement:
            raise ProgrammingError("Invalid data")

    def fetchone(self) -> tuple[int, None, int | None]:
        return self.loaded, None, self.committed_ms

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [("file", "LOADED", self.rows, self.rows)] * self.statements[-1].count(".parquet'")

    def sent(self, *beginnings: str) -> list[str]:
        """The statements that begin so."""
        return [statement for statement in self.statements if statement.startswith(beginnings)]


def lake(root: Path, versions: int = 1, rows: int = 3) -> DeltaTable:
    """A table with `versions` versions of one file each."""
    table = Path(events_path(str(root)))
    log = table / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    for number in range(versions):
        name = f"part-0000{number}-0a1b.c000.zstd.parquet"
        pq.write_table(pa.table({"event_id": ["x"] * rows}), table / name)
        add = {"path": name, "dataChange": True, "stats": json.dumps({"numRecords": rows, "minValues": {}})}
        (log / f"{number:020d}.json").write_text(json.dumps({"add": add}))
    return DeltaTable(str(table))


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type, call-arg]


ACCOUNT = {"snowflake_account": "org-account"}


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, PUT),
        ({"lake_url": "s3a://bucket/lake"}, PUT),
        (ACCOUNT, PUT),
        (ACCOUNT | {"lake_url": "/mnt/lake"}, PUT),
        (ACCOUNT | {"lake_url": "s3a://bucket/lake"}, IN_PLACE),
        (ACCOUNT | {"lake_url": "gs://bucket/lake"}, IN_PLACE),
        (ACCOUNT | {"lake_url": "s3a://bucket/lake", "snowflake_external_stage": False}, PUT),
    ],
)
def test_files_stay_where_the_account_can_read_them(given: dict[str, object], way: StagingMethod) -> None:
    assert staging_method(settings(**given)) == way


def test_a_load_in_place_copies_from_the_lake_and_touches_nothing_there(tmp_path: Path) -> None:
    session = Account(rows=3)
    (loaded,) = load(session, lake(tmp_path), IN_PLACE)  # type: ignore[arg-type]
    assert (loaded.version, loaded.rows, loaded.files) == (0, 3, 1)
    assert session.sent("PUT", "REMOVE", "RM", "LIST") == []
    (copy,) = session.sent("COPY")
    assert copy.startswith("COPY INTO RAW.EVENTS (")
    assert "FROM @RAW.LAKE_FILES/events/) FILES = ('part-00000-0a1b.c000.zstd.parquet')" in copy
    assert "PURGE" not in copy
    order = [statement.split()[0] for statement in session.statements]
    assert order == ["SELECT", "BEGIN", "UPDATE", "COPY", "INSERT", "COMMIT"]


def test_a_load_by_put_clears_its_folder_of_the_stage(tmp_path: Path) -> None:
    session = Account(rows=3)
    list(load(session, lake(tmp_path)))  # type: ignore[arg-type]
    order = [statement.split()[0] for statement in session.statements]
    assert order == ["SELECT", "PUT", "BEGIN", "UPDATE", "COPY", "INSERT", "COMMIT", "REMOVE"]
    assert "FROM @RAW.LAKE/events/v0/)" in session.sent("COPY")[0]
    assert session.sent("REMOVE") == ["REMOVE @RAW.LAKE/events/v0/"]


def test_a_load_sends_the_same_statements_however_many_versions_wait(tmp_path: Path) -> None:
    few, many = Account(rows=3), Account(rows=3)
    list(load(few, lake(tmp_path / "few"), IN_PLACE))  # type: ignore[arg-type]
    (loaded,) = load(many, lake(tmp_path / "many", versions=300), IN_PLACE)  # type: ignore[arg-type]
    assert (loaded.version, loaded.versions, loaded.files, loaded.rows) == (299, 300, 300, 900)
    assert [s.split()[0] for s in many.statements] == [s.split()[0] for s in few.statements]
    assert "SELECT 'RAW.EVENTS', 299, 0, 300, 900," in many.sent("INSERT")[0]


def test_files_are_put_many_at_once(tmp_path: Path) -> None:
    session = Account(rows=3)
    list(load(session, lake(tmp_path, versions=2 * FILES_AT_ONCE + 1)))  # type: ignore[arg-type]
    assert len(session.sent("PUT")) == 3
    assert session.sent("REMOVE") == [f"REMOVE @RAW.LAKE/events/v{2 * FILES_AT_ONCE}/"]


def test_of_a_range_that_is_refused_every_version_before_the_one_at_fault_is_loaded(tmp_path: Path) -> None:
    session = Account(rows=3, refused="part-00004-")
    loads, loaded = load(session, lake(tmp_path, versions=7), IN_PLACE), []  # type: ignore[arg-type]
    with pytest.raises(ProgrammingError, match="Invalid data"):
        loaded += [load.version for load in iter(lambda: next(loads), None)]
    assert session.loaded == 3


def versions(*of: tuple[int, int]) -> list[Version]:
    """Versions of so many files and rows each."""
    return [Version(number, ("f",) * files, 0, rows) for number, (files, rows) in enumerate(of)]


@pytest.mark.parametrize(
    ("of", "groups"),
    [
        ([], []),
        ([(2, 10)] * 3, [[0, 1, 2]]),
        ([(MAX_FILES, 1), (1, 1)], [[0], [1]]),
        ([(MAX_FILES - 1, 1), (1, 1), (1, 1)], [[0, 1], [2]]),
        ([(1, MAX_ROWS - 1), (1, 1), (1, 1)], [[0, 1], [2]]),
        ([(1, 1), (3 * MAX_FILES, 1), (0, 0)], [[0], [1], [2]]),
    ],
)
def test_a_range_is_what_one_copy_can_name(of: list[tuple[int, int]], groups: list[list[int]]) -> None:
    assert [[version.number for version in group] for group in ranges(versions(*of))] == groups


def test_versions_before_one_that_cannot_be_read_are_a_range() -> None:
    def read() -> Iterator[Version]:
        yield from versions((1, 1), (1, 1))
        raise DeltaLogError("version 2 is missing")

    groups = ranges(read())
    assert [version.number for version in next(groups)] == [0, 1]
    with pytest.raises(DeltaLogError):
        next(groups)


@pytest.mark.parametrize(
    ("until_load", "batch_seconds", "records", "seconds"),
    [(0, 10, 5, 0), (300, 10, 5, 290), (8, 10, 5, 0), (300, 10, 1000, 0), (300, 10, 999, 290)],
)
def test_a_micro_batch_starts_in_time_for_the_next_load(
    until_load: float, batch_seconds: float, records: int, seconds: float
) -> None:
    assert seconds_until_batch(until_load, batch_seconds, records, max_records=1000) == seconds


def test_records_are_held_back_until_the_next_load_is_nearly_due(tmp_path: Path) -> None:
    interval = slowdown.seconds(60)
    session, table = Account(rows=3), lake(tmp_path)
    loads = Loads(parts_of(tmp_path, session, time.time(), load_min_interval=interval), table, {})
    assert loads.hold_back(5)
    assert loads.is_waiting()
    assert not loads.hold_back(loads._context.settings.max_records_per_batch)
    loads.batch_seconds = interval
    assert not loads.hold_back(5)
    at_once = Loads(parts_of(tmp_path, session, time.time()), table, {})
    assert not at_once.hold_back(5)


@pytest.mark.parametrize(
    ("last_load", "interval", "seconds"),
    [
        (None, 60, 0),
        (1000, 0, 0),
        (1000, 60, 60),
        (970, 60, 30),
        (900, 60, 0),
        (1003, 60, 60),
        (8200, 60, 0),
        (8200, 0, 0),
    ],
)
def test_loads_are_an_interval_apart(last_load: float | None, interval: float, seconds: float) -> None:
    assert seconds_until_load(1000, last_load, interval) == seconds


def test_the_local_warehouse_is_loaded_at_once_and_an_account_each_minute() -> None:
    assert settings().load_interval == 0
    assert settings(**ACCOUNT).load_interval == 60
    assert settings(**ACCOUNT, load_min_interval=300).load_interval == 300
    assert settings(load_min_interval=5).load_interval == 5


def parts_of(root: Path, session: Account, last_load: float | None, **given: object) -> IngestionContext:
    @contextmanager
    def warehouse() -> Iterator[Any]:
        yield session

    return IngestionContext(settings(lake_url=str(root), **given), spark=lambda: None, warehouse=warehouse,
                 log=lambda _: None, last_load=last_load)  # type: ignore[arg-type, return-value]  # fmt: skip


def test_versions_within_the_interval_are_included_in_the_next_load(tmp_path: Path) -> None:
    session = Account(rows=3)
    table = lake(tmp_path)
    interval, left = slowdown.seconds(60), slowdown.seconds(1.5)
    loads = Loads(parts_of(tmp_path, session, time.time() - interval + left, load_min_interval=interval), table, {})
    assert loads.are_pending()
    assert not loads.are_due()
    assert left * 2 / 3 < loads.seconds_left() < left
    assert session.statements == [], "the warehouse sleeps until then"
    lake(tmp_path, versions=2)
    time.sleep(loads.seconds_left())
    assert loads.are_due()
    assert [(loaded.version, loaded.versions, loaded.rows) for loaded in loads.run()] == [(1, 2, 6)]
    sent = len(session.statements)
    assert not loads.are_pending()
    assert not loads.are_due()
    lake(tmp_path, versions=3)
    assert loads.are_pending()
    assert not loads.are_due()
    assert interval - slowdown.seconds(1) < loads.seconds_left() <= interval
    assert len(session.statements) == sent


def test_brokers_that_are_away_hold_neither_files_nor_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load is not due when the topics fail: it is made all the same, and then the run fails."""
    session, table = Account(rows=3), lake(tmp_path)

    def files(*_: object) -> Iterator[MicroBatch]:
        lake(tmp_path, versions=2)
        yield MicroBatch(0, 3, 0.1, {})

    def away(*_: object) -> None:
        raise BrokerUnreachableError("Kafka at here does not answer.")

    monkeypatch.setattr(drain, "_files", files)
    monkeypatch.setattr(drain, "readable_offsets", away)
    interval, left = slowdown.seconds(60), slowdown.seconds(2)
    context = parts_of(tmp_path, session, time.time() - interval + left, load_min_interval=interval)
    done: list[object] = []
    with pytest.raises(BrokerUnreachableError, match="Kafka at here does not answer"):
        done.extend(drain.drain(context))
    assert [type(step) for step in done] == [MicroBatch, Loaded]
    assert session.loaded == table.latest_version() == 1


def test_a_load_that_fails_holds_no_source_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake takes in what there is, the run fails at its end, and the next one loads all of it."""
    table = lake(tmp_path)

    def files(*_: object) -> Iterator[MicroBatch]:
        for version in (2, 3):
            lake(tmp_path, versions=version)
            yield MicroBatch(version, 3, 0.1, {})

    monkeypatch.setattr(drain, "_files", files)
    monkeypatch.setattr(drain, "_micro_batches", lambda *_: iter([MicroBatch(4, 3, 0.1, {})]))
    refusing, done = Account(rows=3, refused="part-"), []
    with pytest.raises(ProgrammingError, match="Invalid data"):
        done.extend(drain.drain(parts_of(tmp_path, refusing, None)))
    assert [type(step) for step in done] == [MicroBatch] * 3
    assert len(refusing.sent("BEGIN")) == 1, "a load that failed is not tried again in the same run"
    assert refusing.loaded == -1
    session = Account(rows=3)
    monkeypatch.setattr(drain, "_files", lambda *_: iter(()))
    steps = list(drain.drain(parts_of(tmp_path, session, None)))
    assert [step.versions for step in steps if isinstance(step, Loaded)] == [3]
    assert session.loaded == table.latest_version() == 2


def test_a_lake_that_is_not_raw_s_gets_no_version_that_could_pass_for_a_loaded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake(tmp_path, versions=3)
    monkeypatch.setattr(drain, "_batches", lambda *_: pytest.fail("the lake was written"))
    with pytest.raises(LoadError, match="music-platform rebuild"):
        list(drain.drain(parts_of(tmp_path, Account(rows=3, loaded=7), None)))


@pytest.mark.parametrize(("then", "now", "is_another"), [(1000, 1000, False), (2000, 1000, False), (1000, 2000, True)])
def test_a_lake_that_was_put_back_and_has_grown_again_is_not_raw_s(
    tmp_path: Path, then: int, now: int, is_another: bool
) -> None:
    """Its version of the watermark's number holds other rows. A rebuild notes its own time, which is later."""
    table = lake(tmp_path, versions=5)
    commit = Path(table.root) / "_delta_log" / f"{2:020d}.json"
    commit.write_text(json.dumps({"commitInfo": {"timestamp": now}}) + "\n" + commit.read_text())
    session = Account(rows=3, loaded=2, committed_ms=then)
    if is_another:
        with pytest.raises(LoadError, match=r"has another version of this number.*music-platform rebuild"):
            list(load(session, table, IN_PLACE))  # type: ignore[arg-type]
    list(load(Account(rows=3, loaded=2), table, IN_PLACE))  # type: ignore[arg-type]
    if not is_another:
        (loaded,) = load(session, table, IN_PLACE)  # type: ignore[arg-type]
        assert (loaded.versions, session.loaded) == (2, 4)


def test_without_an_interval_each_version_is_loaded_at_once(tmp_path: Path) -> None:
    session = Account(rows=3)
    loads = Loads(parts_of(tmp_path, session, time.time()), lake(tmp_path), {})
    assert loads.are_due()
    assert [loaded.version for loaded in loads.run()] == [0]
    assert not loads.are_due()
    lake(tmp_path, versions=2)
    assert loads.are_due()
