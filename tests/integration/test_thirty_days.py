"""Maintenance over thirty simulated days: the lake's log does not keep growing, and the loader misses nothing."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from music_platform.ingestion.maintenance import maintain, vacuum
from music_platform.lake.paths import events_path
from music_platform.lake.snapshot import snapshot
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import load
from music_platform.warehouse.staging import staged_folders
from tests.support.ingestion import Platform, listens
from tests.support.past_lake import DAY, Lake

DAYS, BATCHES_A_DAY, ROWS_A_BATCH = 30, 18, 5
#: Days on which the loader is down.
LOADER_DOWN = range(10, 14)
KEPT_DAYS = 2


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_versions_of_thirty_days_are_loaded_once_and_do_not_pile_up(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "thirty_days", tmp_path)
    platform.produce(listens(ROWS_A_BATCH), partition=0)
    platform.ingest()
    lake, rows = Lake(Path(events_path(platform.settings.lake_root))), ROWS_A_BATCH
    start = time.time() - DAYS * DAY
    most_log_files = 0
    for day in range(DAYS):
        batches = 0
        # Upkeep's own commit is a multiple of ten, as every tenth commit of the stream is: Delta writes a checkpoint.
        while batches < BATCHES_A_DAY or (lake.table.latest_version() + 1) % 10:
            lake.append(start + day * DAY + batches * DAY / 30)
            batches += 1
        rows += batches * ROWS_A_BATCH
        # The wall clock is days ahead of the simulated one: so is what it must leave alone.
        hours = (DAYS - day - 1) * 24 + KEPT_DAYS * 24
        keeping = {"log_retention_hours": hours, "lake_retention_hours": hours}
        if day not in LOADER_DOWN:
            with connect(platform.settings) as session:
                list(load(session, lake.table))
            assert platform.count() == rows, f"day {day}"
        maintain(replace(platform.context, settings=platform.settings.model_copy(update=keeping)))
        lake.age_log(start + (day + 1) * DAY)
        if day not in LOADER_DOWN and day - 1 not in LOADER_DOWN:
            most_log_files = max(most_log_files, len(lake.log_files()))
    # Upkeep's commits: compaction and the two of vacuum; batches go up to the next multiple of ten.
    # Besides its commit a version has Delta's checksum, and a hidden one of each; and there are checkpoints.
    assert most_log_files < 5 * (KEPT_DAYS + 3) * (BATCHES_A_DAY + 10 + 3)
    latest = lake.table.latest_version()
    assert latest > DAYS * BATCHES_A_DAY
    print(f"{latest} versions; at most {most_log_files} log files at the end of a day")
    with connect(platform.settings) as session:
        assert staged_folders(session) == set()
    # By the wall clock everything was replaced just now; without any retention only the snapshot's files are left.
    vacuum(platform.context.spark(), lake.table, latest, wanted_hours=-1)
    assert lake.parquet_files() == set(snapshot(lake.table).files)
    platform.produce(listens(ROWS_A_BATCH, first=100), partition=0)
    platform.ingest()
    assert platform.count() == rows + ROWS_A_BATCH
