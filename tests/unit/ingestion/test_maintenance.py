"""Maintenance removes nothing that is not loaded, and the log does not grow with thirty days of versions."""

import time

from music_platform.ingestion.maintenance import HOUR, retention_hours, superfluous
from music_platform.lake.snapshot import complete_checkpoints
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
