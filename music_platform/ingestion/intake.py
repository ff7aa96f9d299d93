"""Files that producers drop: `<intake>/<topic or shape>/*.jsonl[.gz]`, each line once into the same table.

A producer writes under another name (`.x`, `_x`, or not ending in .jsonl or .jsonl.gz) and renames the file when it is
complete. In an object store an upload only becomes visible when it is complete. Then:

1. The files' lines are counted. Files that cannot be read, and names that were used before, are refused.
2. The batch is recorded beside the checkpoint: number, files, lines.
3. Spark appends it. Delta accepts each number once, so a killed batch is repeated exactly as recorded.
4. The files are moved to `<intake>/_archive`, and the batch is marked as ended.

A name identifies a file, so it can be used only once: `_archive` shows which names are taken, for INTAKE_RETENTION_DAYS
(see `forgotten_files`). Refused files are moved to `<intake>/_rejected`, each with a file that holds the reason.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from gzip import GzipFile
from typing import IO, TYPE_CHECKING

from music_platform import failpoints
from music_platform.contracts import events, shapes
from music_platform.contracts.shapes import Shape
from music_platform.errors import PlatformError
from music_platform.lake.delta_log import INTAKE_APPLICATION, DeltaTable
from music_platform.lake.files import FileInfo, Folder
from music_platform.lake.paths import events_path, intake_path
from music_platform.settings import Settings
from music_spark.enrich import read_reference
from music_spark.files import GZIP_ERRORS, FileBatch, LineFile, append_files
from music_spark.job import MicroBatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ARCHIVE, REJECTED = "_archive", "_rejected"
#: Ending of the file beside a refused one that holds the reason.
REASON = ".reason.txt"
ENDINGS = (".jsonl", ".jsonl.gz")
_CHUNK = 1 << 20
_NOTE = re.compile(r"^\d{20}\.json$")


class IntakeError(PlatformError):
    """A batch of files cannot be ingested."""


class RefusedError(Exception):
    """A file is refused; the message is the reason."""


@dataclass(frozen=True)
class IntakeFile:
    """A file of a batch: its folder and name, lines, and when it was last modified, in epoch milliseconds."""

    folder: str
    name: str
    lines: int
    modified_ms: int

    @property
    def coordinate(self) -> str:
        """The file's value in the column `source_file`."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class Batch:
    """A batch as recorded before it is appended to the lake. `base` is the lake's version at that time."""

    app_id: str
    number: int
    base: int
    files: tuple[IntakeFile, ...]
    ended: bool = False

    @property
    def lines(self) -> int:
        """Lines of all its files."""
        return sum(file.lines for file in self.files)


def folder_shapes() -> dict[str, Shape]:
    """Folder of the intake (a topic's name without its prefix, or a shape's name) → shape of its lines."""
    return {topic: shapes.own(kind) for kind, topic in events.TOPICS.items()} | shapes.mapped()


def is_whole(name: str) -> bool:
    """Whether the name marks the file as complete and meant for the intake."""
    return name.endswith(ENDINGS) and not name.startswith((".", "_"))


def waiting(settings: Settings) -> list[tuple[str, FileInfo]]:
    """Files waiting to be ingested, with their folders, oldest first."""
    found = [
        (folder, file)
        for folder in folder_shapes()
        if not Folder.at(settings.intake_root).is_link(folder)
        for file in Folder.at(f"{settings.intake_root}/{folder}").files()
        if is_whole(file.name)
    ]
    return sorted(found, key=lambda each: (each[1].modified_ms, each[0], each[1].name))


def count_lines(stream: IO[bytes], max_bytes: int, max_lines: int) -> int:
    """Lines of a stream, including text after the last line feed. Raises RefusedError above either limit."""
    lines = size = 0
    last = b"\n"
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise RefusedError(
                f"it has more than {max_bytes:,} bytes of text: split it into smaller files (INTAKE_MAX_FILE_BYTES)"
            )
        lines += chunk.count(b"\n")
        if lines > max_lines:
            raise RefusedError(
                f"it has more than {max_lines:,} lines: split it into smaller files (INTAKE_MAX_FILE_LINES)"
            )
        last = chunk[-1:]
    return lines + (last != b"\n")


class Intake:
    """The intake of a platform. Used by the lake's single writer."""

    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        self._settings, self._log = settings, log
        self._root = settings.intake_root
        self._batches = Folder.at(intake_path(settings.lake_root))
        self._table = DeltaTable(events_path(settings.lake_root))

    def take_in(self, spark: "Callable[[], SparkSession]") -> Iterator[MicroBatch]:
        """Ingest all waiting files; yield each batch when its rows are in the lake and its files archived.

        Raises IntakeError, or what Spark raises.
        """
        for name in Folder.at(self._root).folders():
            if name not in folder_shapes() and not name.startswith(("_", ".")):
                self._log(f"{self._root}/{name} is not read: no topic or shape has this name")
        for name in folder_shapes():
            if Folder.at(self._root).is_link(name):
                self._log(f"{self._root}/{name} is not read: it is a symbolic link. Use a real folder, or a mount.")
        last = self._last()
        if last and not last.ended:
            if not self._is_in_lake(last):
                self._log(f"batch {last.number} of files did not end: reading its {len(last.files)} files again")
                last = self._measured_again(last)
            yield self._append(spark, last)
        while batch := self._next(last := self._last()):
            self._write(batch)
            yield self._append(spark, batch)

    def _append(self, spark: "Callable[[], SparkSession]", batch: Batch) -> MicroBatch:
        started = time.monotonic()
        if not self._is_in_lake(batch):
            for file in batch.files:
                if not self._folder(file.folder).exists(file.name):
                    raise IntakeError(
                        f"{self._root}/{file.coordinate} is missing, but its batch {batch.number} is not in the lake "
                        "yet. Put the file back and run it again."
                    )
            reference = read_reference(self._settings.reference_root, self._log)
            files = tuple(
                LineFile(f.coordinate, folder_shapes()[f.folder], f.modified_ms, f.lines) for f in batch.files
            )
            limit = self._settings.intake_max_file_bytes
            with failpoints.during(failpoints.INSIDE_FILE_BATCH, delay=0.7):
                append_files(
                    spark(),
                    FileBatch(self._root, files, self._table.root, batch.app_id, batch.number, reference, limit),
                )
        failpoints.reach(failpoints.AFTER_FILE_BATCH)
        for file in batch.files:
            if self._folder(file.folder).exists(file.name):
                self._folder(file.folder).move(file.name, Folder.at(f"{self._root}/{ARCHIVE}/{file.folder}"))
        self._write(replace(batch, ended=True))
        seconds = time.monotonic() - started
        self._log(f"file batch {batch.number}: {batch.lines:,} lines of {len(batch.files)} files in {seconds:.1f} s")
        ends: dict[str, dict[str, int]] = {}
        for file in batch.files:
            ends.setdefault(file.folder, {})[file.name] = file.lines
        return MicroBatch(batch.number, batch.lines, seconds, ends)

    def _next(self, last: Batch | None) -> Batch | None:
        """The next batch: waiting files, oldest first, up to the maximum records of a micro-batch."""
        files: list[IntakeFile] = []
        for folder, found in waiting(self._settings):
            try:
                files.append(IntakeFile(folder, found.name, self._measure(folder, found), found.modified_ms))
            except RefusedError as error:
                self._reject(folder, found, str(error))
            if sum(file.lines for file in files) >= self._settings.max_records_per_batch:
                break
        if not files:
            return None
        # After the loss of the checkpoint the id is a new one: Delta must not mistake new files for old ones.
        app_id, number = (last.app_id, last.number + 1) if last else (f"{INTAKE_APPLICATION}{uuid.uuid4()}", 0)
        return Batch(app_id, number, self._table.latest_version(), tuple(files))

    def _measured_again(self, batch: Batch) -> Batch:
        """A batch that is not in the lake, with its files as they are now: one may have grown since it was measured."""
        files = []
        for file in batch.files:
            found = next((each for each in self._folder(file.folder).files() if each.name == file.name), None)
            try:
                lines = self._measure(file.folder, found) if found else file.lines
                files.append(replace(file, lines=lines, modified_ms=found.modified_ms if found else file.modified_ms))
            except RefusedError as error:
                assert found is not None
                self._reject(file.folder, found, str(error))
        again = replace(batch, files=tuple(files))
        if again != batch:
            self._write(again)
        return again

    def _measure(self, folder: str, file: FileInfo) -> int:
        if self._folder(folder).is_link(file.name):
            raise RefusedError("it is a symbolic link: drop the file itself")
        if any(character in file.name for character in "*?[]{}\\,%#:"):
            raise RefusedError("its name has one of the characters * ? [ ] { } \\ , % # :")
        if Folder.at(f"{self._root}/{ARCHIVE}/{folder}").exists(file.name):
            raise RefusedError("a file with this name was ingested before; give every file a unique name")
        limit, max_lines = self._settings.intake_max_file_bytes, self._settings.intake_max_file_lines
        if file.bytes > limit:
            raise RefusedError(f"it has {file.bytes:,} bytes, more than {limit:,} (INTAKE_MAX_FILE_BYTES): split it")
        with self._folder(folder).open(file.name) as stream:
            if not file.name.endswith(".gz"):
                return count_lines(stream, limit, max_lines)
            try:
                return count_lines(GzipFile(fileobj=stream), limit, max_lines)  # type: ignore[arg-type]
            except GZIP_ERRORS as error:
                raise RefusedError(f"it is not a complete gzip file: {error}") from None

    def _reject(self, folder: str, file: FileInfo, reason: str) -> None:
        rejected = Folder.at(f"{self._root}/{REJECTED}/{folder}")
        name = f"{file.modified_ms}-{uuid.uuid4().hex[:8]}-{file.name}"
        rejected.write(f"{name}{REASON}", f"{reason}\n".encode())
        self._folder(folder).move(file.name, rejected, name)
        self._log(f"{self._root}/{folder}/{file.name} was refused: {reason}. It was moved to {rejected.file(name)}")

    def _folder(self, name: str) -> Folder:
        return Folder.at(f"{self._root}/{name}")

    def _is_in_lake(self, batch: Batch) -> bool:
        return self._table.last_batch(batch.app_id) >= batch.number

    def _last(self) -> Batch | None:
        notes = batch_notes(self._batches)
        return read_batch(self._batches, notes[-1].name) if notes else None

    def _write(self, batch: Batch) -> None:
        self._batches.write(f"{batch.number:020d}.json", json.dumps(asdict(batch), indent=1).encode())


def batch_notes(folder: Folder) -> list[FileInfo]:
    """The notes of batches, in their order."""
    return sorted((file for file in folder.files() if _NOTE.match(file.name)), key=lambda file: file.name)


def read_batch(folder: Folder, name: str) -> Batch:
    """A batch as its note says it."""
    found = json.loads(folder.read(name))
    return Batch(**{**found, "files": tuple(IntakeFile(**file) for file in found["files"])})


def ended_files(settings: Settings, after: int = -1) -> list[IntakeFile]:
    """Every ingested file of the batches above number `after`."""
    folder = Folder.at(intake_path(settings.lake_root))
    batches = (read_batch(folder, note.name) for note in batch_notes(folder))
    return [file for batch in batches if batch.ended and batch.number > after for file in batch.files]
