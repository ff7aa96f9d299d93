"""The streaming job from top to bottom: read → parse → validate → shape → enrich → write.

`music_platform.ingestion.drain` calls `run_micro_batches`, and nothing else may: it holds the lease of the lake's
single writer and knows the checkpoint's generation. A cluster runs the same code through SPARK_REMOTE.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from music_platform.contracts.shapes import Shape
from music_spark.enrich import Reference, enriched, lookups
from music_spark.read import KafkaSource, Record, given_records, read_range, read_records
from music_spark.shape import lake_batches
from music_spark.write import FILES_PER_BATCH, create_table, lake_schema, start_micro_batches

#: Turns records from `read_records` into rows of the lake.
Step = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

#: Seconds between two looks at a running query.
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Job:
    """One run of the job. `shapes` maps topic → shape of its records, `topic_ids` topic → Kafka's id of it."""

    source: KafkaSource
    shapes: Mapping[str, Shape]
    topic_ids: Mapping[str, str]
    table: str
    checkpoint: str
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


def run_micro_batches(session: SparkSession, job: Job) -> Iterator[MicroBatch]:
    """Process what is in the topics now; yield each micro-batch as it is committed.

    Raises the query's own error if a micro-batch fails. Earlier ones stay committed, and the next run resumes after
    them.
    """
    create_table(session, job.table)
    rows = read_records(session, job.source).mapInArrow(lake_step(job), lake_schema())
    query = start_micro_batches(rows, job.table, job.checkpoint, job.name)
    seen = -1
    try:
        while True:
            active = query.isActive
            for progress in query.recentProgress:
                if progress.batchId > seen and progress.numInputRows > 0:
                    seen = progress.batchId
                    yield _micro_batch(progress)
            if not active:
                break
            time.sleep(POLL_SECONDS)
    finally:
        # If the server is gone this fails too, and must not hide the original error.
        with suppress(PySparkException):
            if query.isActive:
                query.stop()
    if error := query.exception():
        raise error


def append_records(
    session: SparkSession, job: Job, topic: str, partition: int, start: int, records: Sequence[Record], app_id: str
) -> None:
    """Append the records of a partition from `start` up to these, and these, unless they were appended before: Delta
    takes an offset once, by `app_id` and the last offset."""
    create_table(session, job.table)
    rows = given_records(session, topic, partition, records)
    if start < records[0].offset:
        rows = read_range(session, job.source, topic, partition, start, records[0].offset).union(rows)
    identity = {"txnAppId": app_id, "txnVersion": str(records[-1].offset)}
    shaped = rows.mapInArrow(lake_step(job), lake_schema()).coalesce(FILES_PER_BATCH)
    shaped.write.format("delta").mode("append").options(**identity).save(job.table)


def _micro_batch(progress: Any) -> MicroBatch:
    ends = progress.sources[0].endOffset
    return MicroBatch(
        number=progress.batchId,
        records=progress.numInputRows,
        seconds=progress.durationMs["triggerExecution"] / 1000,
        end_offsets=json.loads(ends) if isinstance(ends, str) else ends,
    )
