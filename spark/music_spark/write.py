"""Write: each task writes its rows as one Parquet file, and Spark's driver commits the files of a micro-batch.

Both are Spark's own: a sink in Python gets the records as Arrow batches, on the executors, and a message of each task,
on the driver. So the rows never go back into the JVM, whose Parquet writer took more time than all the rest. A
micro-batch that is repeated finds its number in the table (`music_platform.lake.delta_writer.append`).
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)
from pyspark.sql.types import StructType

from music_platform.lake.checkpoint import query_id
from music_platform.lake.delta_writer import STATISTICS_COLUMNS, DataFile, append
from music_platform.lake.files import Folder

#: Turns what Spark hands over into rows of the lake.
Step = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

#: The sink's name in Spark.
FORMAT = "music_lake"

#: Rows of a row group.
ROWS_TOGETHER = 100_000

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


@dataclass(frozen=True)
class Written(WriterCommitMessage):
    """What a task wrote: its file; None if there was no row."""

    file: DataFile | None


class _Writer:
    """Writes a task's rows, and commits the files of all tasks."""

    def __init__(self, table: str, step: Step) -> None:
        self.table, self.step = table, step

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        """On an executor: the rows of these records, as a file."""
        return Written(write_file(Folder.at(self.table), self.step(iterator)))

    def add(self, messages: Iterable[Any], app_id: str, number: int) -> None:
        """On the driver: commit the files, unless this number is in the table.

        Files are never deleted here but vacuumed. A commit whose answer is lost fails, or seems to be another writer's,
        and is in the table nevertheless.
        """
        files = [message.file for message in messages if message is not None and message.file is not None]
        append(self.table, files, app_id, number)


class MicroBatchWriter(_Writer, DataSourceStreamArrowWriter):
    """Of a stream. The application is Spark's query, by the id in its checkpoint."""

    def __init__(self, table: str, step: Step, checkpoint: str) -> None:
        super().__init__(table, step)
        self.checkpoint = checkpoint

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803
        """Commit a micro-batch."""
        query = query_id(self.checkpoint)
        assert query is not None, f"{self.checkpoint} has no metadata"
        self.add(messages, query, batchId)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803
        """Forget a micro-batch that failed."""


class BatchWriter(_Writer, DataSourceArrowWriter):
    """Of rows that belong to no stream, under an application and a number of their own."""

    def __init__(self, table: str, step: Step, app_id: str, number: int) -> None:
        super().__init__(table, step)
        self.app_id, self.number = app_id, number

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Commit the rows."""
        self.add(messages, self.app_id, self.number)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Forget rows that failed."""


def sink(table: str, step: Step) -> type[DataSource]:
    """The sink for a session (`session.dataSource.register`): the table, and the step from its input to the table's
    rows. The step travels in the class, as options are only text."""

    class LakeSink(DataSource):
        """Options: the `checkpointLocation` of a stream, or the `application` and `number` of a batch."""

        @classmethod
        def name(cls) -> str:
            """The format's name."""
            return FORMAT

        def streamWriter(self, schema: StructType, overwrite: bool) -> MicroBatchWriter:  # noqa: N802, ARG002
            """The writer of a stream."""
            return MicroBatchWriter(table, step, self.options["checkpointLocation"])

        def writer(self, schema: StructType, overwrite: bool) -> BatchWriter:  # noqa: ARG002
            """The writer of a batch."""
            return BatchWriter(table, step, self.options["application"], int(self.options["number"]))

    return LakeSink


def write_file(folder: Folder, batches: Iterable[pa.RecordBatch]) -> DataFile | None:
    """Write the rows as one file of the folder; None without a row. A reader of the table does not see it yet."""
    name = f"part-{uuid.uuid4()}.zstd.parquet"
    statistics, rows = Statistics(), _together(batches)
    if (first := next(rows, None)) is None:
        return None
    with (
        folder.system.open_output_stream(folder.file(name)) as stream,
        pq.ParquetWriter(stream, first.schema, compression="zstd", write_statistics=True) as writer,
    ):
        while first is not None:
            statistics.add(first)
            writer.write_table(first)
            first = next(rows, None)
        writer.close()
        size = stream.tell()
    return DataFile(name, size, int(time.time() * 1000), statistics.json())


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows, as many together as make a row group."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(each) for each in held) >= ROWS_TOGETHER:
            yield pa.Table.from_batches(held)
            held = []
    if any(len(each) for each in held):
        yield pa.Table.from_batches(held)


class Statistics:
    """Delta's statistics of a file: its rows, and for some columns the smallest and largest value and the nulls.

    https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Per-file Statistics". Times are cut to milliseconds, the
    largest one upwards.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.least: dict[str, Any] = {}
        self.most: dict[str, Any] = {}
        self.nulls = dict.fromkeys(STATISTICS_COLUMNS, 0)

    def add(self, rows: pa.Table) -> None:
        """Count these rows too."""
        self.rows += len(rows)
        for name in STATISTICS_COLUMNS:
            column = rows.column(name)
            self.nulls[name] += column.null_count
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            found: Mapping[str, Any] = pc.min_max(column).as_py()
            if found["min"] is not None:
                self.least[name] = min(found["min"], self.least.get(name, found["min"]))
                self.most[name] = max(found["max"], self.most.get(name, found["max"]))

    def json(self) -> str:
        """As the log has them. A column with times beyond year 9999 or before year 1 is left out."""
        values: dict[str, Any] = {"numRecords": self.rows, "minValues": {}, "maxValues": {}, "nullCount": self.nulls}
        for name, least in self.least.items():
            try:
                bounds = _value(name, least), _value(name, self.most[name], upwards=True)
            except OverflowError:
                continue
            values["minValues"][name], values["maxValues"][name] = bounds
        return json.dumps(values)


def _value(name: str, value: int, upwards: bool = False) -> int | str:
    """A value in the statistics. Columns of times are in microseconds of the epoch."""
    if name == "kafka_offset":
        return value
    milliseconds = -(-value // 1000) if upwards else value // 1000
    time_of = _EPOCH + _MILLISECOND * milliseconds
    return time_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
