"""Ingestion pauses before a disk is full, and starts again only where there is some more room than that."""

from pathlib import Path

import pytest

from music_platform.ingestion import disk_space
from music_platform.ingestion.disk_space import Disk, local_disks, pausing, shortage, start_obstacle
from music_platform.settings import Settings

GB = 10**9


def disk(free_percent: float) -> Disk:
    return Disk(Path("/data"), 100 * GB, int(free_percent * GB))


def free(monkeypatch: pytest.MonkeyPatch, percent: float) -> None:
    monkeypatch.setattr(disk_space, "local_disks", lambda _: [disk(percent)])


def test_the_reason_says_which_disk_and_that_it_resumes_by_itself() -> None:
    assert shortage([disk(3), disk(50)], 3) is None
    said = shortage([disk(50), disk(2.9)], 3)
    assert said is not None
    assert "2.90 of 100.0 GB (2.9 %) free at /data" in said
    assert "resumes by itself" in said


def test_no_run_starts_where_the_next_one_would_pause_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, lines = Settings(_env_file=None, music_home=tmp_path), list[str]()
    must_pause = pausing(settings, lines.append)
    outcomes = []
    for percent in (3.5, 2.9, 2.8, 3.5, 4.1):
        free(monkeypatch, percent)
        outcomes.append((must_pause(), start_obstacle(settings) is not None))
    assert outcomes == [(False, True), (True, True), (True, True), (False, True), (False, False)]
    assert len(lines) == 1, "it is said once"


def test_the_disks_are_those_of_the_home_and_of_a_local_lake(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    (found,) = local_disks(Settings(_env_file=None, music_home=home))
    assert (found.folder, found.total > found.free > 0) == (home.resolve(), True)
    assert len(local_disks(Settings(_env_file=None, music_home=home, lake_url="s3a://bucket/lake"))) == 1
    # A file system of its own, which every Linux has.
    shared = Path("/dev/shm")
    if shared.is_dir() and shared.stat().st_dev != tmp_path.stat().st_dev:
        disks = local_disks(Settings(_env_file=None, music_home=home, lake_url=str(shared / "lake")))
        assert [disk.folder for disk in disks] == [home.resolve(), shared / "lake"]
