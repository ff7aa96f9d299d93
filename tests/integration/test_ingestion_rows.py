"""Every record is one row, through batches, retries, rebuilds, maintenance and redrives."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from music_platform.contracts.events import lake_columns
from music_platform.ingestion.drain import drain
from music_platform.ingestion.intake import REASON, REJECTED
from music_platform.ingestion.maintenance import maintain
from music_platform.ingestion.redrive import quarantined
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import TABLE_PROPERTIES
from music_platform.lake.paths import events_path
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse import loader
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import LoadError, load
from music_platform.warehouse.schema import RAW_EVENTS, provision_warehouse, tables
from music_platform.warehouse.staging import STAGE_FOLDER, stage_files, staged_folders, version_folder
from music_spark.job import MicroBatch
from tests.support import slowdown
from tests.support.ingestion import Platform, listens
from tests.support.payloads import ACCEPTED, REFUSED


def test_payloads_that_break_parsers_reach_raw_and_block_nothing(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "payloads", tmp_path)
    refused, accepted = list(REFUSED.values()), list(ACCEPTED.values())
    for _ in range(4):
        platform.produce([*refused, *accepted])
    platform.ingest()
    assert platform.count() == 4 * (len(refused) + len(accepted))
    assert platform.count("quarantine_reason IS NULL") == 4 * len(accepted)
    assert platform.imbalances() == []
    (extra,) = platform.rows("SELECT extra FROM RAW.EVENTS WHERE extra:a::string = '2' LIMIT 1")
    assert json.loads(str(extra[0])) == {"a": 2}


def test_a_backlog_is_worked_off_in_several_bounded_batches_of_one_run(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "bounded", tmp_path, max_records_per_batch=400)
    platform.produce(listens(1_500))
    batches = [step for step in platform.ingest() if isinstance(step, MicroBatch)]
    assert len(batches) >= 4
    assert max(batch.records for batch in batches) <= 400 + 2 * 2 * 4
    assert sum(batch.records for batch in batches) == platform.count() == 1_500
    assert [line for line in platform.lines if "1,500 of 1,500" in line], "progress is in the log"


def test_loader_takes_only_files_of_committed_table_versions_and_removes_what_is_loaded(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "files", tmp_path)
    platform.produce(listens(20))
    platform.ingest()
    table = DeltaTable(events_path(platform.settings.lake_root))
    (file, *_) = next(version.files for version in table.versions_after(-1) if version.files)
    # What a failed attempt leaves: a data file that no version names.
    (tmp_path / "lake/events/part-00000-failed.snappy.parquet").write_bytes(
        (tmp_path / "lake/events" / file).read_bytes()
    )
    platform.produce(listens(5, first=20))
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (25, [])
    with connect(platform.settings) as session:
        assert staged_folders(session) == set()


def test_a_torn_staged_file_is_replaced_and_not_trusted(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "torn", tmp_path)
    platform.produce(listens(20))
    list(drain(platform.context, to_raw=False))
    table = DeltaTable(events_path(platform.settings.lake_root))
    version = next(version for version in table.versions_after(-1) if version.files)
    whole = (tmp_path / "lake/events" / version.files[0]).read_bytes()
    torn = tmp_path / version.files[0]
    torn.write_bytes(whole[: len(whole) // 2] + b"\x00" * (len(whole) - len(whole) // 2))
    with connect(platform.settings) as session:
        folder = replace(table.folder, path=str(tmp_path))
        stage_files(session, folder, [version.files[0]], version_folder(version.number))
        assert sum(loaded.rows for loaded in load(session, table)) == 20
    assert platform.imbalances() == []


def test_a_table_whose_creation_was_killed_is_created(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "creation", tmp_path)
    (Path(events_path(platform.settings.lake_root)) / "_delta_log" / "_staged_commits").mkdir(parents=True)
    platform.produce(listens(5))
    platform.ingest()
    platform.produce(listens(5, first=5))
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (10, [])
    metadata = first_metadata(Path(events_path(platform.settings.lake_root)))
    assert metadata["configuration"] == TABLE_PROPERTIES
    described = {
        field["name"]: field["metadata"]["comment"] for field in json.loads(metadata["schemaString"])["fields"]
    }
    assert described == {column.column: column.description for column in lake_columns()}


def first_metadata(table: Path) -> dict[str, Any]:
    """What the table's first commit says of it."""
    lines = (table / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
    return next(action["metaData"] for action in map(json.loads, lines) if "metaData" in action)


def test_two_loaders_at_once_load_each_version_once(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_FILES", 1)  # so that there is more than one range
    platform = Platform(stack, "loaders", tmp_path)
    for first in (0, 20):
        platform.produce(listens(20, first=first))
        list(drain(platform.context, to_raw=False))
    table = DeltaTable(events_path(platform.settings.lake_root))
    with connect(platform.settings) as one, connect(platform.settings) as other:
        slow = load(one, table)
        loaded = [next(slow), *load(other, replace(table)), *slow]
    assert sum(load.rows for load in loaded) == 40
    assert len({load.version for load in loaded}) == len(loaded) >= 2
    assert (platform.count(), platform.imbalances()) == (40, [])


def test_a_rebuild_replaces_raw_and_keeps_loaders_out_meanwhile(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "rebuilt", tmp_path)
    for first in (0, 10, 20):
        platform.produce(listens(10, first=first))
        platform.ingest()
    assert "compacted" in platform.command("maintain")
    platform.rows(f"DELETE FROM {RAW_EVENTS} WHERE kafka_offset = 3")
    assert platform.imbalances()
    platform.rows("UPDATE OPS.LOAD_STATE SET rebuilding = 1")
    with pytest.raises(LoadError, match="music-platform rebuild"):
        platform.ingest()
    shown = platform.command("rebuild", answer="n")
    assert f"RAW.EVENTS holds {platform.count()} rows. It is replaced by version" in shown
    assert "of the lake: 30 rows of" in shown
    assert platform.rows("SELECT rebuilding FROM OPS.LOAD_STATE WHERE table_name = 'RAW.EVENTS'") == [(1,)]
    assert "30 rows" in platform.command("rebuild", "--yes")
    version = DeltaTable(events_path(platform.settings.lake_root)).latest_version()
    assert (platform.count(), platform.imbalances(), platform.ingest()) == (30, [], [])
    assert platform.rows("SELECT version, row_count FROM OPS.LOADS") == [(version, 30)]
    platform.produce(listens(5, first=30))
    platform.ingest()
    assert (platform.count(), platform.count(f"batch_id = {version}"), platform.imbalances()) == (35, 30, [])


def test_two_set_ups_at_once_make_one_of_everything(stack: LocalStack) -> None:
    """Two `up`, or two pods, on an empty warehouse."""
    settings = stack.settings.model_copy(update={"snowflake_database": "TWO_AT_ONCE"})
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(provision_warehouse, settings) for _ in range(2)]:
            done.result(slowdown.seconds(120))
    with connect(settings) as session:
        cursor = session.cursor()
        state = cursor.execute("SELECT table_name, last_version FROM OPS.LOAD_STATE").fetchall()  # type: ignore[union-attr]
        made = cursor.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema IN ('RAW', 'OPS')"
        ).fetchall()  # type: ignore[union-attr]
    assert state == [(RAW_EVENTS, -1)]
    assert {name for (name,) in made} == tables().keys()


def test_upkeep_is_invisible_to_the_loader_and_spares_what_is_not_loaded(stack: LocalStack, tmp_path: Path) -> None:
    folder = tmp_path / "a `quoted` folder"
    platform = Platform(stack, "upkeep", folder, log_retention_hours=1, lake_retention_hours=1)
    for first in (0, 10):
        platform.produce(listens(10, first=first))
        list(drain(platform.context, to_raw=False))
    refused = Path(platform.settings.intake_root) / REJECTED / "listen_events" / f"old.jsonl{REASON}"
    refused.parent.mkdir(parents=True)
    refused.write_text("")
    os.utime(refused, (0, 0))
    done = maintain(platform.context)
    assert done.compacted >= 2
    assert done.kept_hours >= 1
    assert (done.intake_files, refused.exists()) == (1, False)
    table = DeltaTable(events_path(platform.settings.lake_root))
    with connect(platform.settings) as session:
        list(load(session, table))
        session.cursor().execute(f"PUT 'file://{folder / 'lake/events' / _any_file(table)}' @{STAGE_FOLDER}/v1")
        assert staged_folders(session) == {"v1"}
    assert (platform.count(), platform.imbalances()) == (20, [])
    assert maintain(platform.context).stage_folders == 1
    assert platform.ingest() == []
    assert platform.count() == 20


def _any_file(table: DeltaTable) -> str:
    return next(version.files[0] for version in table.versions_after(-1) if version.files)


def test_redriven_twice_is_one_event_and_carries_the_coordinates_of_its_origin(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "redriven", tmp_path)
    # One day too far ahead for its own record; a record that is written later is within the contract.
    ahead = int(time.time() * 1000) + 86_400_000 + int(slowdown.seconds(6) * 1000)
    broken = b"{'not': json}\xff"
    platform.produce([{"ts": ahead, "userId": 1, "songId": "s"}, broken], partition=1)
    platform.ingest()
    assert platform.count("quarantine_reason IS NOT NULL") == 2
    time.sleep(max(0.0, ahead / 1000 - 86_400 - time.time()) + 0.5)
    assert "2 records would be sent" in platform.command("redrive", "--dry-run")
    for _ in range(2):
        assert "2 records sent" in platform.command("redrive")
    platform.ingest()
    assert platform.count("quarantine_reason IS NULL") == 2
    assert platform.rows("SELECT COUNT(DISTINCT event_id) FROM RAW.EVENTS WHERE quarantine_reason IS NULL") == [(1,)]
    # Redriven again, the broken one still names the record that the producer wrote.
    with connect(platform.settings) as session:
        (again,) = quarantined(session, reason="payload", topic=platform.topic(), limit=5)
    assert again.origin.endswith("/1/1")
    assert again.value == broken
    shown = platform.rows(
        "SELECT kafka_offset, redriven, redriven_valid FROM OPS.QUARANTINE ORDER BY kafka_offset LIMIT 2"
    )
    assert [tuple(map(int, row)) for row in shown] == [(0, 2, 2), (1, 2, 0)]
    assert platform.imbalances() == []
