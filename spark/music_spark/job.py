"""The streaming job from top to bottom: read → parse → validate → shape → enrich → write.

The platform calls `run_micro_batches` with its own session. The same job runs under spark-submit:

    spark-submit --packages … spark/music_spark/job.py --bootstrap-servers host:9092 --topics … --lake s3a://bucket/lake
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from music_platform.contracts import events as contract
from music_platform.contracts.shapes import Shape, own
from music_spark.enrich import Reference, enriched, lookups, read_reference
from music_spark.read import KafkaSource, read_records
from music_spark.shape import lake_batches
from music_spark.write import create_table, lake_schema, start_micro_batches

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


def _micro_batch(progress: Any) -> MicroBatch:
    ends = progress.sources[0].endOffset
    return MicroBatch(
        number=progress.batchId,
        records=progress.numInputRows,
        seconds=progress.durationMs["triggerExecution"] / 1000,
        end_offsets=json.loads(ends) if isinstance(ends, str) else ends,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True, help="Kafka brokers, host:port[,host:port]")
    parser.add_argument("--topics", default=",".join(contract.TOPICS.values()), help="topics, separated by commas")
    parser.add_argument("--lake", required=True, help="folder of the lake: a path or a URL")
    parser.add_argument("--max-records-per-batch", type=int, default=1_000_000, help="maximum records per micro-batch")
    parser.add_argument(
        "--topic-ids",
        type=json.loads,
        default=None,
        help="JSON object of topic → topic id; by default the brokers are asked",
    )
    return parser.parse_args()


def main() -> None:
    """Entry point of spark-submit: processes the topics and prints a line per micro-batch."""
    from music_platform.lake.paths import checkpoint_path, events_path
    from music_platform.settings import load_settings
    from music_platform.topics import topic_ids

    given = _arguments()
    # The variables KAFKA_SASL_* and KAFKA_SSL_* apply here too.
    settings = load_settings().model_copy(update={"kafka_bootstrap_servers": given.bootstrap_servers})
    topics = tuple(given.topics.split(","))
    shapes = {topic: own(kind) for kind, topic in contract.TOPICS.items()}
    if unknown := [topic for topic in topics if topic not in shapes]:
        raise SystemExit(f"no event kind is known for {', '.join(unknown)}; known topics: {', '.join(shapes)}")
    job = Job(
        source=KafkaSource(given.bootstrap_servers, topics, given.max_records_per_batch, settings.kafka_jvm_config()),
        shapes=shapes,
        topic_ids=given.topic_ids or topic_ids(settings.kafka_client_config(), topics),
        table=events_path(given.lake),
        checkpoint=checkpoint_path(given.lake),
        reference=read_reference(settings.reference_root),
    )
    session = SparkSession.builder.appName(job.name).getOrCreate()
    for batch in run_micro_batches(session, job):
        print(f"micro-batch {batch.number}: {batch.records:,} records in {batch.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
