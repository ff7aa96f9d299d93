"""How lake files get to the warehouse, and how often: the statements of a load, and the pauses between loads."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import Loads, seconds_until_load
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.settings import Settings
from music_platform.warehouse.loader import load
from music_platform.warehouse.staging import IN_PLACE, PUT, StagingMethod, staging_method
from tests.support import slowdown


@dataclass
class Account:
    """Writes statements down and answers as an account does when all goes well: an account with an external stage
    cannot be had here."""

    rows: int
    loaded: int = -1
    statements: list[str] = field(default_factory=list)
    rowcount = 1

    def cursor(self) -> "Account":
        return self

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if statement.startswith("UPDATE"):
            self.loaded += 1

    def fetchone(self) -> tuple[int, None]:
        return self.loaded, None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [("file", "LOADED", self.rows, self.rows)]

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
    loads = Loads(parts_of(tmp_path, session, time.time() - interval + left, load_min_interval=interval), table)
    assert loads.are_pending()
    assert not loads.are_due()
    assert left * 2 / 3 < loads.seconds_left() < left
    assert session.statements == [], "the warehouse sleeps until then"
    lake(tmp_path, versions=2)
    time.sleep(loads.seconds_left())
    assert loads.are_due()
    assert [loaded.version for loaded in loads.run()] == [0, 1]
    sent = len(session.statements)
    assert not loads.are_pending()
    assert not loads.are_due()
    lake(tmp_path, versions=3)
    assert loads.are_pending()
    assert not loads.are_due()
    assert interval - slowdown.seconds(1) < loads.seconds_left() <= interval
    assert len(session.statements) == sent


def test_without_an_interval_each_version_is_loaded_at_once(tmp_path: Path) -> None:
    session = Account(rows=3)
    loads = Loads(parts_of(tmp_path, session, time.time()), lake(tmp_path))
    assert loads.are_due()
    assert [loaded.version for loaded in loads.run()] == [0]
    assert not loads.are_due()
    lake(tmp_path, versions=2)
    assert loads.are_due()
