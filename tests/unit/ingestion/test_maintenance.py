"""Maintenance removes nothing that is not loaded, and the log does not grow with thirty days of versions."""

import os
import time
import uuid
from pathlib import Path

from music_platform.ingestion.maintenance import HOUR, clean_log, clean_notes, retention_hours, superfluous
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.files import PART_SECONDS, Folder
from music_platform.lake.snapshot import complete_checkpoints
from music_platform.warehouse.staging import idle_folders
from tests.support import slowdown

PER_DAY = 8_640


def test_replaced_files_are_kept_back_to_the_oldest_version_that_is_not_loaded() -> None:
    now = 1e9
    assert retention_hours(168, None, now) == 168
    assert retention_hours(168, now - 10 * HOUR, now) == 168
    assert retention_hours(168, now - 300 * HOUR, now) == 301


def test_a_checkpoint_counts_when_all_its_parts_are_there() -> None:
    names = [f"{10:020d}.checkpoint.parquet", f"{20:020d}.checkpoint.{1:010d}.{2:010d}.parquet", f"{20:020d}.json"]
    assert list(complete_checkpoints(names)) == [10]
    assert list(complete_checkpoints([*names, f"{20:020d}.checkpoint.{2:010d}.{2:010d}.parquet"])) == [10, 20]


def test_the_log_of_thirty_days_is_cut_before_a_loaded_checkpoint() -> None:
    latest, every = 30 * PER_DAY, 50
    names = [f"{version:020d}.json" for version in range(latest)]
    checkpoints = list(range(0, latest, every))
    names += [f"{version:020d}.checkpoint.parquet" for version in checkpoints]
    started = time.monotonic()
    doomed = superfluous(names, checkpoints, loaded=latest, old=latest - 2 * PER_DAY)
    assert time.monotonic() - started < slowdown.seconds(5)
    base = latest - 2 * PER_DAY
    assert len(names) - len(doomed) <= 2 * PER_DAY * (1 + 1 / every) + every + 2
    assert f"{base - base % every:020d}.checkpoint.parquet" not in doomed
    behind = superfluous(names, checkpoints, loaded=120, old=latest)
    assert max(behind) < f"{100:020d}", "versions that are not loaded stay, with the checkpoint below them"
    assert superfluous(names, [], loaded=latest, old=latest) == []


def test_of_versions_that_are_cut_no_file_is_left_hidden_ones_neither(tmp_path: Path) -> None:
    log = tmp_path / "_delta_log"
    log.mkdir()
    old = time.time() - 72 * HOUR
    for version in range(60):
        name = f"{version:020d}"
        left = [f"{name}.json", f".{name}.json.crc", f"{name}.crc", f".{name}.crc.crc"]
        if version % 10 == 0:
            left += [f"{name}.checkpoint.parquet", f".{name}.checkpoint.parquet.crc"]
        if version % 20 == 7:
            # A writer that was killed leaves its temporary file, and the checksum of that.
            left += [f".{name}.json.{uuid.uuid4()}.tmp", f"..{name}.json.{uuid.uuid4()}.tmp.crc", f"{name}.json#1"]
        for each in left:
            (log / each).write_text("x")
    unfinished = (f"._last_checkpoint.{uuid.uuid4()}.tmp", "_last_checkpoint#1")
    for each in ("_last_checkpoint", "._last_checkpoint.crc", *unfinished):
        (log / each).write_text("x")
    for path in log.iterdir():
        os.utime(path, (old, old))
    fresh = log / "_last_checkpoint#2"
    fresh.write_text("being written")
    clean_log(DeltaTable(str(tmp_path)), loaded=45, hours=48)
    left_over = sorted(os.listdir(log))
    assert {name.lstrip(".")[:20] for name in left_over if name.lstrip(".")[:20].isdigit()} == {
        f"{version:020d}" for version in range(40, 60)
    }
    others = [name for name in left_over if not name.lstrip(".")[:20].isdigit()]
    assert others == sorted([fresh.name, "._last_checkpoint.crc", "_last_checkpoint"])


def test_half_written_notes_of_killed_writers_go_after_a_day(tmp_path: Path) -> None:
    lease = tmp_path / "_checkpoints" / "lease-events"
    Folder.at(str(lease)).write("claim.json", b"{}")
    young, old = lease / f".claim.json.{uuid.uuid4().hex}", lease / f".claim.json.{uuid.uuid4().hex}"
    for path in (young, old):
        path.write_text("{")
    long_ago = time.time() - PART_SECONDS - 1
    for path in (old, lease / "claim.json"):
        os.utime(path, (long_ago, long_ago))
    clean_notes(str(tmp_path))
    assert set(lease.iterdir()) == {lease / "claim.json", young}


def test_every_folder_of_the_stage_goes_but_those_under_way() -> None:
    there = {"v3", "v7", "v8", "v12", "rebuild4", "rebuild9", "vX", "strange"}
    assert idle_folders(there, loaded=7, rebuilding=9) == ["rebuild4", "strange", "v3", "v7", "vX"]
    assert idle_folders(there, loaded=12, rebuilding=None) == sorted(there)
