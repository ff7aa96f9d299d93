"""What a look counts of a lake whose versions wait: the first of them, however many there are."""

import json
import os
import time
from pathlib import Path

import pytest

from music_platform.ingestion import backlog
from music_platform.ingestion.backlog import COUNTED_VERSIONS, Backlog, read_lake_backlog, read_marts_backlog
from music_platform.lake.files import Folder
from music_platform.settings import Settings


def waiting(home: Path, versions: int, rows: int) -> Settings:
    """A lake with so many versions of so many rows each."""
    settings = Settings(_env_file=None, music_home=home, lake_url=str(home / "lake"))  # type: ignore[call-arg]
    log = home / "lake" / "events" / "_delta_log"
    log.mkdir(parents=True)
    stats = {"numRecords": rows, "minValues": {"kafka_timestamp": "2027-01-15T08:00:00.000Z"}}
    for number in range(versions):
        add = {"path": f"{number}.parquet", "dataChange": True, "stats": json.dumps(stats)}
        commit = {"commitInfo": {"timestamp": 1000 * number}}
        (log / f"{number:020d}.json").write_text("\n".join(map(json.dumps, [commit, {"add": add}])))
    return settings


@pytest.mark.parametrize("more", [0, 1, 300])
def test_of_many_versions_the_first_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    settings = waiting(tmp_path, COUNTED_VERSIONS + more, rows=2)
    read: list[str] = []
    really = Folder.read

    def noted(folder: Folder, name: str) -> bytes:
        read.append(name)
        return really(folder, name)

    monkeypatch.setattr(Folder, "read", noted)
    last = COUNTED_VERSIONS + more - 1
    for look in (
        lambda: read_lake_backlog(settings, -1),
        lambda: read_marts_backlog(settings, -1, last),
    ):
        read.clear()
        found = look()
        assert (found.records, found.is_more, found.unknown) == (2 * COUNTED_VERSIONS, more > 0, None)
        assert found.count == ("more than 400" if more else "400")
        assert len(read) <= COUNTED_VERSIONS + 1
    assert backlog.oldest_unloaded_commit(settings, -1) == 0
    assert backlog.lake_age(settings, -1) == backlog.lake_age(settings, 0, last)


def test_many_versions_without_rows_are_not_taken_for_nothing(tmp_path: Path) -> None:
    settings = waiting(tmp_path, COUNTED_VERSIONS + 50, rows=0)
    assert read_lake_backlog(settings, 60) == Backlog(0, {})
    assert "249 versions of the lake are not in RAW" in str(read_lake_backlog(settings, 0).unknown)


def test_an_absurd_time_is_no_age(tmp_path: Path) -> None:
    """A record stamped in seconds was «late since 1970», and so was a file from an archive that keeps no times."""
    settings = Settings(_env_file=None, music_home=tmp_path)  # type: ignore[call-arg]
    for name, modified in (("old", time.time() - 100), ("none", 0.0)):
        file = Path(settings.intake_root) / "playback" / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}\n")
        os.utime(file, (modified, modified))
    found = backlog.read_files_backlog(settings)
    assert found.records == 2
    assert 100 <= found.seconds < 1_000
