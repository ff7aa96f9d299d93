"""The streaming job from top to bottom: read → parse → validate → shape → enrich → write.

`music_platform.ingestion.drain` starts the `Stream`, and nothing else may: it holds the lease of the lake's single
writer and knows the checkpoint's generation. A cluster runs the same code through SPARK_REMOTE.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from music_platform.contracts.shapes import Shape
from music_platform.errors import PlatformError
from music_platform.lake.checkpoint import Offsets, covers
from music_platform.lake.delta_writer import create_table
from music_spark.enrich import Reference, enriched, lookups
from music_spark.read import KafkaSource, Record, given_records, read_range, read_records
from music_spark.shape import lake_batches
from music_spark.write import FORMAT, Step, sink

#: Seconds between two looks at a running query: at first, and at most. Each look costs the server milliseconds.
POLL_SECONDS = 0.05, 0.5

#: Time from the start of one micro-batch to that of the next, at least. Each one is a version of the lake.
TRIGGER = "1 second"


@dataclass(frozen=True)
class Job:
    """One run of the job. `shapes` maps topic → shape of its records, `topic_ids` topic → Kafka's id of it."""

    source: KafkaSource
    shapes: Mapping[str, Shape]
    topic_ids: Mapping[str, str]
    table: str
    checkpoint: str
    #: Tasks of a micro-batch at most, each of which writes a file.
    tasks: int = 2
    reference: Reference = field(default_factory=Reference)
    #: Folder that this process and Spark's workers both see; None if there is none.
    shared: Path | None = None
    name: str = "lake-events"


@dataclass(frozen=True)
class MicroBatch:
    """What a committed micro-batch did: its number in the checkpoint, records read, seconds, offsets it ended at."""

    number: int
    records: int
    seconds: float
    end_offsets: dict[str, dict[str, int]]


def lake_step(job: Job) -> Step:
    """The step that turns records into rows of the lake, in Spark's Python workers."""
    shapes, topic_ids = dict(job.shapes), dict(job.topic_ids)
    name, reference = job.reference.name, job.reference.for_workers(job.shared)

    def step(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return enriched(lake_batches(batches, shapes, topic_ids), lookups(name, reference))

    return step


class UnfinishedError(PlatformError):
    """The query ended without an error before it had read everything."""


class Stream:
    """The running query of a job, micro-batch after micro-batch. Close it, or it goes on.

    It is one query for all micro-batches of a run: a new query plans anew, connects to the brokers anew and starts
    Python processes, which takes longer than a small micro-batch.
    """

    def __init__(self, session: SparkSession, job: Job) -> None:
        create_table(job.table)
        session.dataSource.register(sink(job.table, lake_step(job)))
        self.job = job
        self._query = (
            read_records(session, job.source)
            .coalesce(job.tasks)
            .writeStream.format(FORMAT)
            .outputMode("append")
            .queryName(job.name)
            .option("checkpointLocation", job.checkpoint)
            .trigger(processingTime=TRIGGER)
            .start()
        )
        #: The last micro-batch that was seen, and where it ended.
        self._seen, self._ends = -1, Offsets()
        #: When the last progress began, as Spark writes it.
        self._looked = ""

    def batches(self, until: Offsets) -> Iterator[MicroBatch]:
        """Each micro-batch since the last call, as it is committed, until the offsets `until` are covered.

        Raises the query's own error if a micro-batch fails. Earlier ones stay committed, and the next run resumes after
        them. Raises UnfinishedError if somebody else stopped the query.
        """
        since = time.monotonic()
        while not covers(self._ends, until):
            active = self._query.isActive
            for batch in self._new():
                yield batch
                since = time.monotonic()
            if not active and not covers(self._ends, until):
                raise self._query.exception() or UnfinishedError(
                    f"Spark's query {self.job.name} ended without an error before it had read everything "
                    f"({self.job.checkpoint}/commits). Someone stopped it, or another query started on the same "
                    "checkpoint. Nothing is lost: run it again."
                )
            time.sleep(poll_seconds(time.monotonic() - since))

    def _new(self) -> Iterator[MicroBatch]:
        """The micro-batches that were committed since the last look."""
        # Cheaper than the recent ones, each with all its metrics.
        last = self._query.lastProgress
        if last is None or last.timestamp == self._looked:
            return
        self._looked = last.timestamp
        for progress in self._query.recentProgress:
            batch = _micro_batch(progress)
            # One without records has read markers of transactions, or nothing.
            self._ends = _offsets(batch.end_offsets)
            if batch.number > self._seen and batch.records:
                self._seen = batch.number
                yield batch

    def stop(self) -> None:
        """Stop the query. A micro-batch that is in progress is repeated by the next one."""
        # If the server is gone this fails too, and must not hide the original error.
        with suppress(PySparkException):
            if self._query.isActive:
                self._query.stop()


def poll_seconds(waited: float) -> float:
    """Seconds until the next look at a query, for which one has waited this long: about a twentieth of it."""
    least, most = POLL_SECONDS
    return min(most, max(least, waited / 20))


def append_records(
    session: SparkSession, job: Job, topic: str, partition: int, start: int, records: Sequence[Record], app_id: str
) -> None:
    """Append the records of a partition from `start` up to these, and these, unless they were appended before: the
    table takes an offset once, by `app_id` and the last offset."""
    create_table(job.table)
    rows = given_records(session, topic, partition, records)
    if start < records[0].offset:
        rows = read_range(session, job.source, topic, partition, start, records[0].offset).union(rows)
    session.dataSource.register(sink(job.table, lake_step(job)))
    identity = {"application": app_id, "number": str(records[-1].offset)}
    rows.coalesce(job.tasks).write.format(FORMAT).mode("append").options(**identity).save()


def _offsets(ends: Mapping[str, Mapping[str, int]]) -> Offsets:
    return {topic: {int(number): end for number, end in parts.items()} for topic, parts in ends.items()}


def _micro_batch(progress: Any) -> MicroBatch:
    ends = progress.sources[0].endOffset
    return MicroBatch(
        number=progress.batchId,
        records=progress.numInputRows,
        seconds=progress.durationMs["triggerExecution"] / 1000,
        end_offsets=json.loads(ends) if isinstance(ends, str) else ends,
    )
