"""What is written beside the checkpoint survives a power failure."""

import os
import stat
from pathlib import Path

import pytest

from music_platform.lake.files import Folder


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace, sync = os.replace, os.fsync

    def note_sync(opened: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else f"file of {os.fstat(opened).st_size}")
        sync(opened)

    def note_replace(part: Path, target: Path) -> None:
        steps.append("rename")
        replace(part, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    Folder.at(str(tmp_path)).write("a.json", b"content")
    assert steps == ["file of 7", "rename", "folder"]
    assert (tmp_path / "a.json").read_bytes() == b"content"
