"""Which files are ingested, which are refused and why, and that no line is lost."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from music_platform.contracts import shapes
from music_platform.ingestion.forgotten_files import Forgotten, forget_files, read_forgotten
from music_platform.ingestion.intake import (
    Batch,
    Intake,
    RefusedError,
    count_lines,
    folder_shapes,
    is_whole,
    read_batches,
    waiting,
)
from music_platform.ingestion.unread_files import UnreadFiles, unread_files
from music_platform.lake.files import Folder
from music_platform.lake.paths import intake_path
from music_platform.settings import Settings
from music_spark.files import LineFile, file_batches, split
from tests.support.stack import settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "home", intake_max_file_bytes=1_000, intake_max_file_lines=100)


def drop(settings: Settings, name: str, content: bytes, age: float = 0) -> Path:
    path = Path(settings.intake_root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def intake(settings: Settings) -> tuple[Intake, list[str]]:
    lines: list[str] = []
    return Intake(settings, lines.append), lines


@pytest.mark.parametrize("content", [b"", b"{}", b"{}\n", b"{}\n{}", b"\n\n", b"a\r\nb\r\n", b"x\n" * 400])
def test_lines_are_counted_as_they_are_split(content: bytes) -> None:
    assert count_lines(io.BytesIO(content), 1_000, 1_000) == len(split(content, "a.jsonl", 1_000))
    assert split(gzip.compress(content, mtime=0), "a.jsonl.gz", 1_000) == split(content, "a.jsonl", 1_000)


def test_only_whole_files_of_a_topic_or_shape_are_read() -> None:
    assert [is_whole(name) for name in ("a.jsonl", "a.jsonl.gz")] == [True, True]
    assert not any(map(is_whole, ("a.json", ".a.jsonl", "_a.jsonl", "a.jsonl.tmp", "a.jsonl.gz.part")))
    assert {"listen_events", "page_view_events", "playback", "user_event"} <= folder_shapes().keys()


def test_no_file_is_skipped_for_its_age_and_the_oldest_is_first(settings: Settings) -> None:
    drop(settings, "listen_events/new.jsonl", b"{}\n")
    drop(settings, "playback/old.jsonl", b"{}\n{}\n", age=10 * 365 * 86_400)
    drop(settings, "listen_events/.writing.jsonl", b"{")
    drop(settings, "strange/a.jsonl", b"{}\n")
    assert [(folder, file.name) for folder, file in waiting(settings)] == [
        ("playback", "old.jsonl"),
        ("listen_events", "new.jsonl"),
    ]
    batch = intake(settings)[0]._next(None)
    assert batch is not None
    assert (batch.number, batch.base, batch.lines) == (0, -1, 3)
    assert [file.coordinate for file in batch.files] == ["playback/old.jsonl", "listen_events/new.jsonl"]


def test_a_batch_is_bounded_and_a_lost_checkpoint_gets_another_name(settings: Settings) -> None:
    for number in range(5):
        drop(settings, f"playback/{number}.jsonl", b"{}\n" * 10)
    bounded = settings.model_copy(update={"max_records_per_batch": 20})
    first, again = (intake(bounded)[0]._next(None) for _ in range(2))
    assert first is not None
    assert again is not None
    assert (len(first.files), first.lines) == (2, 20)
    assert first.app_id != again.app_id
    following = intake(bounded)[0]._next(Batch(first.app_id, 7, 0, first.files, ended=True))
    assert following is not None
    assert (following.app_id, following.number) == (first.app_id, 8)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("big.jsonl", b"x" * 1_001, "it has 1,001 bytes, more than 1,000 (INTAKE_MAX_FILE_BYTES)"),
        ("bomb.jsonl.gz", gzip.compress(b"x" * 100_000, mtime=0), "it has more than 1,000 bytes of text"),
        ("torn.jsonl.gz", gzip.compress(b'{"ts": 1}\n' * 9, mtime=0)[:-9], "it is not a complete gzip file"),
        ("plain.jsonl.gz", b"{}\n", "it is not a complete gzip file"),
        ("empty_lines.jsonl.gz", gzip.compress(b"\n" * 101, mtime=0), "it has more than 100 lines"),
        ("a[1].jsonl", b"{}\n", "its name has one of the characters"),
        ("used.jsonl", b"{}\n", "a file with this name was ingested before"),
    ],
)
def test_a_refused_file_is_kept_with_its_reason(settings: Settings, name: str, content: bytes, reason: str) -> None:
    drop(settings, "_archive/playback/used.jsonl", b"")
    path = drop(settings, f"playback/{name}", content)
    drop(settings, "playback/good.jsonl", b"{}\n")
    taking, log = intake(settings)
    batch = taking._next(None)
    assert batch is not None
    assert [file.name for file in batch.files] == ["good.jsonl"], "the others are still ingested"
    assert not path.exists()
    kept = sorted((Path(settings.intake_root) / "_rejected/playback").iterdir())
    assert [file.read_bytes() for file in kept if file.name.endswith(name)] == [content]
    (written,) = (file.read_text() for file in kept if file.name.endswith(".reason.txt"))
    assert written.startswith(reason)
    assert reason in log[0]


def test_a_refusal_names_the_limit() -> None:
    with pytest.raises(RefusedError, match="more than 5 bytes"):
        count_lines(io.BytesIO(b"123456"), 5, 10)
    with pytest.raises(RefusedError, match="more than 2 lines"):
        count_lines(io.BytesIO(b"\n\n\n"), 5, 2)


def test_no_link_is_followed(settings: Settings, tmp_path: Path) -> None:
    """Somebody who may only drop files must not read what the platform can read."""
    secret = tmp_path / "id_rsa"
    secret.write_text("PRIVATE\nKEY\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.jsonl").write_text("PRIVATE\n")
    good = drop(settings, "listen_events/good.jsonl", b"{}\n")
    (good.parent / "link.jsonl").symlink_to(secret)
    (Path(settings.intake_root) / "playback").symlink_to(elsewhere)
    taking, log = intake(settings)
    batch = taking._next(None)
    assert batch is not None
    assert [file.coordinate for file in batch.files] == ["listen_events/good.jsonl"]
    assert "it is a symbolic link" in log[0]
    assert secret.read_text() == "PRIVATE\nKEY\n"


def test_a_file_that_changed_after_it_was_measured_fails_its_batch() -> None:
    checksum = zlib.crc32(b"{}\n{}\n")
    measured = LineFile("playback/a.jsonl", shapes.mapped()["playback"], 0, lines=2, checksum=checksum)
    replaced = pa.RecordBatch.from_pylist([{"path": "file:/in/playback/a.jsonl", "content": b"[]\n[]\n"}])
    with pytest.raises(ValueError, match="was changed while it was read"):
        list(file_batches([replaced], {measured.name: measured}, 1_000))
    file = replace(measured, checksum=None)
    for content in (b"{}\n{}\n{}\n", b"{}\n"):
        rows = pa.RecordBatch.from_pylist([{"path": "file:/in/playback/a.jsonl", "content": content}])
        with pytest.raises(ValueError, match="was changed while it was read"):
            list(file_batches([rows], {file.name: file}, 1_000))
    with pytest.raises(ValueError, match="more than 5 bytes"):
        split(gzip.compress(b"x" * 100_000, mtime=0), "a.jsonl.gz", 5)


def test_a_batch_that_is_not_in_the_lake_is_measured_again(settings: Settings) -> None:
    path = drop(settings, "playback/a.jsonl", b"{}\n")
    taking, _ = intake(settings)
    batch = taking._next(None)
    assert batch is not None
    path.write_bytes(b"{}\n{}\n{}\n")
    again = taking._measured_again(batch)
    assert (again.number, again.app_id, again.lines) == (batch.number, batch.app_id, 3)
    assert taking._last() == again


class Lake:
    """A lake that keeps what is appended, and refuses batches as Spark does that cannot read one of their files."""

    def __init__(self, taking: Intake, monkeypatch: pytest.MonkeyPatch, unreadable: str = "") -> None:
        self.taken: dict[int, list[str]] = {}
        self.attempts = 0

        def append(_spark: object, batch: Batch) -> None:
            self.attempts += 1
            if any(file.name == unreadable or not path_of(file.coordinate).exists() for file in batch.files):
                raise ValueError("[FAILED_READ_FILE.NO_HINT] Encountered error while reading file")
            self.taken[batch.number] = [file.coordinate for file in batch.files]

        def path_of(coordinate: str) -> Path:
            return Path(taking._root) / coordinate

        monkeypatch.setattr(taking, "_append_to_lake", append)
        monkeypatch.setattr(taking, "_is_in_lake", lambda batch: batch.number in self.taken)

    @property
    def files(self) -> list[str]:
        return sorted(name for names in self.taken.values() for name in names)


def no_spark() -> Iterator[None]:
    raise AssertionError


def refusals(settings: Settings, folder: str = "playback") -> list[str]:
    notes = Path(settings.intake_root, "_rejected", folder).glob("*.reason.txt")
    return sorted(note.read_text().strip() for note in notes)


def test_a_file_that_spark_cannot_read_is_refused_and_the_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale checksum beside one file, or a name that the JVM cannot spell, stopped every file and every topic."""
    for number in range(20):
        drop(settings, f"playback/{number:02}.jsonl", b"{}\n")
    taking, _ = intake(settings)
    lake = Lake(taking, monkeypatch, unreadable="13.jsonl")
    done = list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert lake.files == [f"playback/{number:02}.jsonl" for number in range(20) if number != 13]
    assert sum(batch.records for batch in done) == 19
    (reason,) = refusals(settings)
    assert reason.startswith("Spark cannot read it: [FAILED_READ_FILE.NO_HINT]")
    assert lake.attempts < 20
    assert waiting(settings) == []


def test_a_promised_file_that_is_gone_is_taken_out_of_its_batch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an error until somebody put it back, and topics stood still meanwhile."""
    gone, stays = (drop(settings, f"playback/{name}.jsonl", b"{}\n") for name in ("gone", "stays"))
    taking, _ = intake(settings)
    batch = taking._next(None)
    assert batch is not None
    taking._write(batch)
    gone.unlink()
    lake = Lake(taking, monkeypatch)
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert lake.files == ["playback/stays.jsonl"]
    assert refusals(settings) == ["it was deleted before it was read"]
    assert (unread_files(settings).refused, stays.exists()) == (1, False)
    # Another one of a batch of its own leaves a batch without files, and the next one has the next number.
    drop(settings, "playback/alone.jsonl", b"{}\n")
    alone = taking._next(taking._last())
    assert alone is not None
    taking._write(alone)
    Path(settings.intake_root, "playback/alone.jsonl").unlink()
    drop(settings, "playback/next.jsonl", b"{}\n")
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert lake.files == ["playback/next.jsonl", "playback/stays.jsonl"]
    last = taking._last()
    assert last is not None
    assert (last.number, last.ended) == (2, True)
    # Nothing of it is in the lake, so its name is free: put back, it is read.
    drop(settings, "playback/gone.jsonl", b"{}\n")
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert lake.files == ["playback/gone.jsonl", "playback/next.jsonl", "playback/stays.jsonl"]


def test_a_name_is_taken_whatever_becomes_of_the_archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """People clean `_archive`; then a second file of the name made rows under the ids of the first."""
    drop(settings, "playback/a.jsonl", b"{}\n")
    taking, _ = intake(settings)
    lake = Lake(taking, monkeypatch)
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    Path(settings.intake_root, "_archive/playback/a.jsonl").unlink()
    drop(settings, "playback/a.jsonl", b"{}\n{}\n")
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert lake.files == ["playback/a.jsonl"]
    assert refusals(settings)[0].startswith("a file with this name was ingested before")


def test_another_file_of_the_name_does_not_replace_the_archived_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(settings, "playback/a.jsonl", b"{}\n")
    taking, _ = intake(settings)
    lake = Lake(taking, monkeypatch)
    batch = taking._next(None)
    assert batch is not None
    taking._write(batch)
    lake.taken[batch.number] = ["playback/a.jsonl"]
    # As a kill after the batch leaves it; then the producer uses the name again.
    path.write_bytes(b"{}\n{}\n")
    list(taking.take_in(no_spark))  # type: ignore[arg-type]
    assert refusals(settings)[0].startswith("a file with this name was ingested before")
    (kept,) = (file for file in Path(settings.intake_root, "_rejected/playback").iterdir() if file.suffix == ".jsonl")
    assert kept.read_bytes() == b"{}\n{}\n"


def test_what_is_still_being_written_waits_and_what_cannot_be_opened_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = drop(settings, "playback/growing.jsonl", b"{}\n")
    for name in ("locked", "good"):
        drop(settings, f"playback/{name}.jsonl", b"{}\n")
    real = Folder.open

    def open_slowly(self: Folder, name: str) -> object:
        if name == "locked.jsonl":
            raise PermissionError("[Errno 13] Permission denied")
        found = real(self, name)
        if name == growing.name:
            with growing.open("ab") as end:
                end.write(b"{}\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "open", open_slowly)
        taking, log = intake(settings)
        batch = taking._next(None)
    assert batch is not None
    assert [file.name for file in batch.files] == ["good.jsonl"]
    assert refusals(settings) == ["it cannot be read: [Errno 13] Permission denied"]
    assert [line for line in log if "growing.jsonl is still being written" in line]
    later = intake(settings)[0]._next(None)
    assert later is not None
    assert {file.name: file.lines for file in later.files} == {"good.jsonl": 1, "growing.jsonl": 2}


def test_files_past_their_retention_are_forgotten_with_their_notes_and_the_last_batch_stays(settings: Settings) -> None:
    now, day = 1_700_000_000.0, 86_400.0
    root = Path(settings.intake_root)
    for number in range(5):
        drop(settings, f"listen_events/{number}.jsonl", b"{}\n")
        taker = intake(settings)[0]
        batch = taker._next(taker._last())
        assert batch is not None
        archive = root / "_archive" / "listen_events"
        archive.mkdir(parents=True, exist_ok=True)
        (root / "listen_events" / f"{number}.jsonl").rename(archive / f"{number}.jsonl")
        taker._write(replace(batch, ended=True))
        ended = now - (60 - number) * day
        os.utime(Path(intake_path(settings.lake_root)) / f"{number:020d}.json", (ended, ended))
    drop(settings, "listen_events/wrong%.jsonl", b"{}\n")
    taker = intake(settings)[0]
    assert taker._next(taker._last()) is None
    refused = root / "_rejected" / "listen_events"
    assert forget_files(settings, now - 28.5 * day) == 2
    assert read_forgotten(settings) == Forgotten(1, int((now - 59 * day) * 1000))
    kept = [file.name for each in read_batches(settings) for file in each.files]
    assert kept == [f"{number}.jsonl" for number in (2, 3, 4)]
    assert sorted(path.name for path in archive.iterdir()) == ["2.jsonl", "3.jsonl", "4.jsonl"]
    assert len(list(refused.iterdir())) == 2, "what was refused just now stays, however old the file is"
    assert forget_files(settings, now) == 2
    for path in refused.iterdir():
        os.utime(path, (now - 31 * day, now - 31 * day))
    assert forget_files(settings, now) == 1
    assert list(refused.iterdir()) == []
    assert sorted(path.name for path in Path(intake_path(settings.lake_root)).iterdir() if path.is_file()) == [
        f"{4:020d}.json",
        "forgotten",
    ]
    last = taker._last()
    assert last is not None
    assert last.number == 4


def test_files_that_will_not_be_read_are_named_and_those_that_wait_are_not(settings: Settings) -> None:
    drop(settings, "listen_events/good.jsonl", b"{}\n")
    drop(settings, "_archive/listen_events/done.jsonl", b"{}\n")
    drop(settings, "empty/notes.txt", b"no file for the intake")
    assert unread_files(settings) == UnreadFiles(0, {}, {})
    drop(settings, "listen_event/a.jsonl", b"{}\n")
    drop(settings, "listen_events/long.jsonl", b"{}\n" * 101)
    taker, _ = intake(settings)
    assert taker._next(None) is not None
    found = unread_files(settings)
    assert found.refused == 1
    ((path, reason),) = found.reasons.items()
    assert path.startswith("_rejected/listen_events/")
    assert path.endswith("long.jsonl")
    assert "more than 100 lines" in reason
    assert found.folders == {"listen_event": "no topic or shape has this name"}
    assert str(found) == "1 refused file in _rejected; files that are not read in listen_event"


def test_files_of_other_names_and_in_sub_folders_are_named_once_they_rest(settings: Settings) -> None:
    for name in ("playback/a.json", "playback/b.ndjson", "playback/c.JSONL", "listen_events/2026/d.jsonl"):
        drop(settings, name, b"{}\n")
    os.utime(drop(settings, "user_event/e.jsonl.part", b"{}"))
    assert unread_files(settings).folders == {
        "playback": "a.json and 2 more: no name that ends in .jsonl or .jsonl.gz",
        "listen_events/2026": "sub-folders are not read",
    }
