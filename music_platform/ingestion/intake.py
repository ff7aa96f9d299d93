"""Files that producers drop: `<intake>/<topic or shape>/*.jsonl[.gz]`, each line once into the same table.

A producer writes under another name (`.x`, `_x`, or not ending in .jsonl or .jsonl.gz) and renames the file when it is
complete. In an object store an upload only becomes visible when it is complete. Then:

1. The files are measured: lines, bytes, checksum. Files that cannot be read, and names that were used before, are
   refused.
2. The batch is recorded beside the checkpoint: number and files.
3. Spark appends it, if the files are still those that were measured. Delta accepts each number once, so a killed batch
   is repeated exactly as recorded. As long as it is not in the lake, a file that is gone, has changed or cannot be read
   is taken out of it, and the others go on.
4. The files are moved to `<intake>/_archive`, their names are noted, and the batch is marked as ended.

A name identifies a file, so it can be used only once in INTAKE_RETENTION_DAYS (see `forgotten_files`), whatever becomes
of `_archive`. Refused files are moved to `<intake>/_rejected`, each with a file that holds the reason.
"""

import io
import json
import re
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from gzip import GzipFile
from typing import IO, TYPE_CHECKING

from music_platform import failpoints
from music_platform.contracts import events, shapes
from music_platform.contracts.shapes import Shape
from music_platform.lake.delta_log import INTAKE_APPLICATION, DeltaTable
from music_platform.lake.files import FileInfo, Folder
from music_platform.lake.paths import events_path, intake_path
from music_platform.settings import Settings
from music_spark.enrich import read_reference
from music_spark.files import CHANGED, GZIP_ERRORS, FileBatch, LineFile, append_files
from music_spark.job import MicroBatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ARCHIVE, REJECTED = "_archive", "_rejected"
#: Ending of the file beside a refused one that holds the reason.
REASON = ".reason.txt"
ENDINGS = (".jsonl", ".jsonl.gz")
USED = "a file with this name was ingested before; give every file a unique name."
_CHUNK = 1 << 20
#: Folder below the batches' notes with an empty file for each name that is taken, in a folder of the intake's folder.
NAMES = "names"
#: In Spark's words: a file is gone, was changed, or cannot be read.
_UNREADABLE = ("FAILED_READ_FILE", "PATH_NOT_FOUND", "ChecksumException", "FileNotFoundException", "AccessDenied",
               "Permission denied", CHANGED)  # fmt: skip
_NOTE = re.compile(r"^\d{20}\.json$")


class RefusedError(Exception):
    """A file is refused; the message is the reason."""


@dataclass(frozen=True)
class IntakeFile:
    """A file of a batch: its folder and name, lines, when it was last modified (epoch milliseconds), and the bytes and
    the CRC-32 of its content. Notes of earlier releases lack the last two."""

    folder: str
    name: str
    lines: int
    modified_ms: int
    #: Who accepted that the lake has another number of lines of it, which `lines` is then.
    accepted_by: str | None = None
    bytes: int | None = None
    checksum: int | None = None

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
        #: Files that this run reads no more: they change while they are read, or cannot be moved.
        self._passed_over: set[str] = set()
        self._batches = Folder.at(intake_path(settings.lake_root))
        self._table = DeltaTable(events_path(settings.lake_root))

    def take_in(self, spark: "Callable[[], SparkSession]") -> Iterator[MicroBatch]:
        """Ingest all waiting files; yield each batch when its rows are in the lake and its files archived.

        Raises what Spark raises.
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
            yield from self._append(spark, last)
        while batch := self._next(self._last()):
            self._write(batch)
            yield from self._append(spark, batch)

    def _append(self, spark: "Callable[[], SparkSession]", batch: Batch) -> Iterator[MicroBatch]:
        """Append the batch and archive its files. Those that cannot be read are taken out of it."""
        started = time.monotonic()
        while batch.files and not self._is_in_lake(batch):
            try:
                self._append_to_lake(spark, batch)
            except Exception as error:
                if not any(sign in str(error) for sign in _UNREADABLE) or self._is_in_lake(batch):
                    raise
                batch = self._narrowed(batch, error)
        failpoints.reach(failpoints.AFTER_FILE_BATCH)
        for file in batch.files:
            self._archive(file)
        self._write(replace(batch, ended=True))
        if not batch.files:
            return
        seconds = time.monotonic() - started
        self._log(f"file batch {batch.number}: {batch.lines:,} lines of {len(batch.files)} files in {seconds:.1f} s")
        ends: dict[str, dict[str, int]] = {}
        for file in batch.files:
            ends.setdefault(file.folder, {})[file.name] = file.lines
        yield MicroBatch(batch.number, batch.lines, seconds, ends)

    def _append_to_lake(self, spark: "Callable[[], SparkSession]", batch: Batch) -> None:
        reference = read_reference(self._settings.reference_root, self._log)
        files = tuple(
            LineFile(f.coordinate, folder_shapes()[f.folder], f.modified_ms, f.lines, f.checksum) for f in batch.files
        )
        limit = self._settings.intake_max_file_bytes
        with failpoints.during(failpoints.INSIDE_FILE_BATCH, delay=0.7):
            tasks = self._settings.spark_cores
            append_files(
                spark(),
                FileBatch(self._root, files, self._table.root, batch.app_id, batch.number, reference, limit, tasks),
            )

    def _narrowed(self, batch: Batch, error: Exception) -> Batch:
        """A batch that Spark could not read, without the files at fault, or with half of its files where nobody knows
        which are. Those that are left out wait for a later batch."""
        again = self._measured_again(batch)
        same = tuple(file for file in again.files if file in batch.files)
        self._passed_over |= {file.coordinate for file in again.files if file not in same}
        if same == batch.files:
            if len(same) == 1:
                self._reject(same[0].folder, same[0].name, f"Spark cannot read it: {str(error).splitlines()[0][:300]}")
            same = same[: len(same) // 2]
        narrowed = replace(batch, files=same)
        self._write(narrowed)
        return narrowed

    def _archive(self, file: IntakeFile) -> None:
        """Move the file to the archive, and note its name. Another one that has its name by now was not read."""
        folder = self._folder(file.folder)
        if (found := folder.info(file.name)) is not None:
            if file.bytes is None or self._is_same(folder, found, file.bytes, file.modified_ms):
                folder.move(file.name, Folder.at(f"{self._root}/{ARCHIVE}/{file.folder}"))
            else:
                self._reject(file.folder, file.name, f"{USED} It came, or was changed, after the first was read.")
        self._names(file.folder).write(file.name, b"")

    @staticmethod
    def _is_same(folder: Folder, found: FileInfo, size: int, modified_ms: int) -> bool:
        """Whether a file is still the one of this size and time. In an object store an upload replaces it as a whole,
        and its time is not as exact in a listing as elsewhere."""
        return found.bytes == size and (found.modified_ms == modified_ms or not folder.is_local)

    def _names(self, folder: str) -> Folder:
        return Folder.at(f"{intake_path(self._settings.lake_root)}/{NAMES}/{folder}")

    def _next(self, last: Batch | None) -> Batch | None:
        """The next batch: waiting files, oldest first, up to the maximum records of a micro-batch."""
        files: list[IntakeFile] = []
        lines = 0
        for folder, found in waiting(self._settings):
            if f"{folder}/{found.name}" in self._passed_over:
                continue
            if measured := self._measured(folder, found):
                files.append(measured)
                lines += measured.lines
            if lines >= self._settings.max_records_per_batch:
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
            if (found := self._folder(file.folder).info(file.name)) is None:
                # Nothing of it is in the lake.
                self._note_refusal(file.folder, file.name, "it was deleted before it was read")
            elif measured := self._measured(file.folder, found):
                files.append(measured)
        again = replace(batch, files=tuple(files))
        if again != batch:
            self._write(again)
        return again

    def _measured(self, folder: str, found: FileInfo) -> IntakeFile | None:
        """The file with its lines; None if it is refused, or changes while it is measured."""
        try:
            return self._measure(folder, found)
        except RefusedError as error:
            self._reject(folder, found.name, str(error))
        except FileNotFoundError:
            self._log(f"{self._root}/{folder}/{found.name} is gone")
        except OSError as error:
            if not self._folder(folder).is_local:
                raise  # The store is away.
            self._reject(folder, found.name, f"it cannot be read: {error}")
        return None

    def _measure(self, folder: str, file: FileInfo) -> IntakeFile | None:
        if self._folder(folder).is_link(file.name):
            raise RefusedError("it is a symbolic link: drop the file itself")
        if any(character in file.name for character in "*?[]{}\\,%#:"):
            raise RefusedError("its name has one of the characters * ? [ ] { } \\ , % # :")
        archive = Folder.at(f"{self._root}/{ARCHIVE}/{folder}")
        if self._names(folder).exists(file.name) or archive.exists(file.name):
            raise RefusedError(USED)
        limit = self._settings.intake_max_file_bytes
        if file.bytes > limit:
            raise RefusedError(f"it has {file.bytes:,} bytes, more than {limit:,} (INTAKE_MAX_FILE_BYTES): split it")
        with self._folder(folder).open(file.name) as stream:
            content = bytes(stream.read(limit + 1))
        now = self._folder(folder).info(file.name)
        is_same = now is not None and self._is_same(self._folder(folder), now, file.bytes, file.modified_ms)
        if not is_same or len(content) != file.bytes:
            self._log(f"{self._root}/{folder}/{file.name} is still being written: a later batch reads it")
            return None
        lines = self._lines(file.name, content)
        return IntakeFile(folder, file.name, lines, file.modified_ms, None, file.bytes, zlib.crc32(content))

    def _lines(self, name: str, content: bytes) -> int:
        limit, max_lines = self._settings.intake_max_file_bytes, self._settings.intake_max_file_lines
        if not name.endswith(".gz"):
            return count_lines(io.BytesIO(content), limit, max_lines)
        try:
            return count_lines(GzipFile(fileobj=io.BytesIO(content)), limit, max_lines)  # type: ignore[arg-type]
        except GZIP_ERRORS as error:
            raise RefusedError(f"it is not a complete gzip file: {error}") from None

    def _reject(self, folder: str, name: str, reason: str) -> None:
        """Move the file to the refused ones, with the reason. One that cannot be moved stays, and is not read."""
        self._passed_over.add(f"{folder}/{name}")
        kept, rejected = self._note_refusal(folder, name, reason), Folder.at(f"{self._root}/{REJECTED}/{folder}")
        try:
            self._folder(folder).move(name, rejected, kept)
        except OSError as error:
            rejected.remove(f"{kept}{REASON}")
            self._log(f"{self._root}/{folder}/{name} cannot be moved to {REJECTED}: {error}")

    def _note_refusal(self, folder: str, name: str, reason: str) -> str:
        """Write down why a file is not read; returns the name that it is kept under."""
        rejected = Folder.at(f"{self._root}/{REJECTED}/{folder}")
        kept = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}-{name}"
        rejected.write(f"{kept}{REASON}", f"{reason}\n".encode())
        self._log(f"{self._root}/{folder}/{name} was refused: {reason}. See {rejected.file(kept)}{REASON}")
        return kept

    def _folder(self, name: str) -> Folder:
        return Folder.at(f"{self._root}/{name}")

    def _is_in_lake(self, batch: Batch) -> bool:
        return self._table.last_batch(batch.app_id) >= batch.number

    def _last(self) -> Batch | None:
        return last_batch(self._settings)

    def _write(self, batch: Batch) -> None:
        write_batch(self._batches, batch)


def batch_notes(folder: Folder) -> list[FileInfo]:
    """The notes of batches, in their order."""
    return sorted((file for file in folder.files() if _NOTE.match(file.name)), key=lambda file: file.name)


def read_batch(folder: Folder, name: str) -> Batch:
    """A batch as its note says it."""
    found = json.loads(folder.read(name))
    return Batch(**{**found, "files": tuple(IntakeFile(**file) for file in found["files"])})


def read_batches(settings: Settings, first: int = 0) -> list[Batch]:
    """The batches from number `first` on, in their order."""
    folder = Folder.at(intake_path(settings.lake_root))
    return [read_batch(folder, note.name) for note in batch_notes(folder) if int(note.name.split(".")[0]) >= first]


def last_batch(settings: Settings) -> Batch | None:
    """The last batch, whether it has ended or not; None if there is none."""
    folder = Folder.at(intake_path(settings.lake_root))
    notes = batch_notes(folder)
    return read_batch(folder, notes[-1].name) if notes else None


def is_taken_in(batch: Batch, table: DeltaTable) -> bool:
    """Whether the batch is in the lake. It may not have ended: a kill before its files were moved."""
    return batch.ended or table.last_batch(batch.app_id) >= batch.number


def accept_lines(settings: Settings, rows: Mapping[str, int], who: str) -> None:
    """Note these numbers of rows, by file, as the lines of the files."""
    folder = Folder.at(intake_path(settings.lake_root))
    for batch in read_batches(settings) if rows else ():
        if any(file.coordinate in rows for file in batch.files):
            files = tuple(
                replace(file, lines=rows[file.coordinate], accepted_by=who) if file.coordinate in rows else file
                for file in batch.files
            )
            write_batch(folder, replace(batch, files=files))


def write_batch(folder: Folder, batch: Batch) -> None:
    """Write the batch's note."""
    folder.write(f"{batch.number:020d}.json", json.dumps(asdict(batch), indent=1).encode())
