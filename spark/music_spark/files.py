"""Files: appends the lines of intake files to the table of Kafka's records, exactly once by Delta's transaction ids.

Spark's file stream is not used: it skips files by age, never forgets a name, and lists the folder only when it is asked
what to read. Here a batch is a numbered list of files that was recorded beforehand (`music_platform.ingestion.intake`).
Delta accepts each number of an application once, however often the batch is retried.
"""

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from gzip import GzipFile

import pyarrow as pa
from pyspark.sql import SparkSession

from music_platform.contracts.shapes import Shape
from music_platform.lake.delta_writer import create_table
from music_spark.enrich import Reference, enriched, lookups
from music_spark.shape import file_origin, lake_rows
from music_spark.write import FORMAT, Step, sink

#: Lines that are converted to columns at once.
LINES_TOGETHER = 50_000

#: In the error of a file that is no longer the one that was measured.
CHANGED = "was changed while it was read"

#: What reading a damaged gzip file raises.
GZIP_ERRORS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class LineFile:
    """A file of lines: its name in coordinates (folder/name), the shape of its lines, when it was written, and what was
    measured: its lines, and the CRC-32 of its content (None in notes of earlier releases)."""

    name: str
    shape: Shape
    modified_ms: int
    lines: int
    checksum: int | None = None


@dataclass(frozen=True)
class FileBatch:
    """A batch of files below `root` for a table. Delta accepts it once, by `app_id` and `number`."""

    root: str
    files: tuple[LineFile, ...]
    table: str
    app_id: str
    number: int
    reference: Reference
    #: Bytes of text that a file may have.
    max_bytes: int
    #: Tasks that read and write at most.
    tasks: int


def append_files(session: SparkSession, batch: FileBatch) -> None:
    """Append the files' lines to the table, unless this batch was appended before."""
    create_table(batch.table)
    session.dataSource.register(sink(batch.table, file_step(batch)))
    found = session.read.format("binaryFile").load([f"{batch.root}/{file.name}" for file in batch.files])
    identity = {"application": batch.app_id, "number": str(batch.number)}
    rows = found.select("path", "content").coalesce(batch.tasks)
    rows.write.format(FORMAT).mode("append").options(**identity).save()


def file_step(batch: FileBatch) -> Step:
    """The step that turns whole files into rows of the lake, one for each line."""
    files = {file.name: file for file in batch.files}
    name, content, limit = batch.reference.name, batch.reference.content, batch.max_bytes

    def step(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return enriched(file_batches(batches, files, limit), lookups(name, content))

    return step


def file_batches(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, LineFile], max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The lake's rows for batches of whole files with path, content.

    Raises ValueError if a file is no longer the one that was measured: the batch fails as a whole, and is measured
    again when it is repeated.
    """
    ingested_at = datetime.now(UTC)
    for batch in batches:
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            file = files["/".join(path.as_py().rsplit("/", 2)[1:])]
            if file.checksum is not None and zlib.crc32(content.as_buffer()) != file.checksum:
                raise ValueError(f"{file.name} {CHANGED}: write files elsewhere and move them in")
            lines = split(content.as_py(), file.name, max_bytes)
            if len(lines) != file.lines:
                raise ValueError(f"{file.name} {CHANGED}: it had {file.lines:,} lines and now has {len(lines):,}")
            for start in range(0, len(lines), LINES_TOGETHER):
                part = lines[start : start + LINES_TOGETHER]
                origin = file_origin(file.name, len(part), start + 1, file.modified_ms, ingested_at)
                yield from lake_rows(list(part), [file.shape] * len(part), origin)


def split(content: bytes, name: str, max_bytes: int) -> list[bytes]:
    """The lines of a file, including text after the last line feed. A file named .gz is decompressed."""
    text = GzipFile(fileobj=io.BytesIO(content)).read(max_bytes + 1) if name.endswith(".gz") else content
    if len(text) > max_bytes:
        raise ValueError(f"{name} {CHANGED}: it has more than {max_bytes:,} bytes of text")
    lines = text.split(b"\n")
    return lines if lines[-1] else lines[:-1]
