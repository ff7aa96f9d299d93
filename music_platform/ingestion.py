"""Kafka and files → lake → RAW, as one generator: batch after batch, each loaded as soon as it is committed.

Who runs it (a Dagster op, a test) gives it sessions and a log, and gets what was committed, in order. It may be
killed at any moment: the next call goes on where the checkpoint, the lake and the watermark say.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from music_platform import failpoints
from music_platform.backlog import kafka_stage
from music_platform.errors import PlatformError
from music_platform.gaps import require_same_topics, require_sound_checkpoint
from music_platform.intake import Intake
from music_platform.lake.checkpoint import covers
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.lease import Lease, held_lease
from music_platform.lake.paths import events_path, lease_path
from music_platform.lake.progress import Progress, read_progress
from music_platform.settings import Settings
from music_platform.topics import TopicOffsets, topic_names, topic_offsets, topic_shapes
from music_platform.warehouse.loader import Loaded, load
from spark.enrich import read_reference
from spark.job import Job, MicroBatch, run_micro_batches
from spark.orphans import notice_restarts, session_id, stop_orphans
from spark.read import KafkaSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from snowflake.connector import SnowflakeConnection


class UnfinishedBatchError(PlatformError):
    """The query ended without an error and without having read what it was to read."""


@dataclass(frozen=True)
class Parts:
    """What ingestion works with. Sessions are opened when they are needed."""

    settings: Settings
    spark: "Callable[[], SparkSession]"
    warehouse: "Callable[[], AbstractContextManager[SnowflakeConnection]]"
    log: Callable[[str], None]


def drain(parts: Parts, *, to_lake: bool = True, to_raw: bool = True) -> Iterator[MicroBatch | Loaded]:
    """Work off the backlog until there is none; yield each micro-batch and each loaded version.

    Raises LeaseError, StreamStoppedError, UnfinishedBatchError, LoadError, or what Spark or the warehouse raises.
    """
    table = DeltaTable(events_path(parts.settings.lake_root))
    if to_raw:
        yield from _load(parts, table)
    if not to_lake:
        return
    with writing(parts) as lease:
        for batch in chain(_files(parts, lease), _micro_batches(parts, table, lease)):
            yield batch
            failpoints.reach(failpoints.AFTER_LAKE_COMMIT)
            if to_raw:
                yield from _load(parts, table)
            lease.check()
    if to_raw:
        yield from _load(parts, table)


@contextmanager
def writing(parts: Parts) -> Iterator[Lease]:
    """Being the one writer of the lake: the lease is held, and what a dead writer left running has been ended."""
    settings = parts.settings
    with held_lease(lease_path(settings.lake_root), settings.lease_wait_seconds, parts.log) as lease:
        for claim in lease.dead:
            parts.log(f"{claim.holder} died while it was writing the lake; going on behind it")
            if claim.spark_session and settings.spark_url:
                stop_orphans(settings.spark_url, claim.spark_session, parts.log)
        lease.bury()
        yield lease


def _files(parts: Parts, lease: Lease) -> Iterator[MicroBatch]:
    def session() -> "SparkSession":
        opened = parts.spark()
        notice_restarts(opened)
        lease.note_spark_session(session_id(opened))
        return opened

    yield from Intake(parts.settings, parts.log).take_in(session)


def _micro_batches(parts: Parts, table: DeltaTable, lease: Lease) -> Iterator[MicroBatch]:
    settings, started = parts.settings, time.monotonic()
    while True:
        progress = read_progress(settings.lake_root)
        offsets = topic_offsets(settings.kafka_client_config(), topic_names(settings).values())
        require_sound_checkpoint(progress, table)
        committed = progress.committed()
        require_same_topics(progress, offsets, committed)
        backlog = kafka_stage(offsets, committed)
        seconds = time.monotonic() - started
        if not backlog.records and table.latest_version() >= 0:
            return
        if seconds > settings.max_drain_seconds:
            parts.log(f"{backlog.records:,} records are left after {seconds:.0f} s; the next run goes on.")
            return
        parts.log(f"{backlog.records:,} records to read: {backlog.behind}")
        session = parts.spark()
        notice_restarts(session)
        lease.note_spark_session(session_id(session))
        done = 0
        with failpoints.during(failpoints.INSIDE_MICRO_BATCH, delay=1.5):
            for batch in run_micro_batches(
                session, job(settings, progress.with_new_topics(offsets.ids), offsets, parts.log)
            ):
                done += batch.records
                parts.log(
                    f"micro-batch {batch.number}: {batch.records:,} records in {batch.seconds:.1f} s, "
                    f"{done:,} of {backlog.records:,}"
                )
                yield batch
        if not covers(read_progress(settings.lake_root).committed(), offsets.end):
            raise UnfinishedBatchError(
                f"Spark's query ended without an error before it had read the {backlog.records:,} records that were "
                f"there ({progress.checkpoint}/commits does not cover them): another start on the same checkpoint has "
                "stopped it, or somebody has. Nothing is lost; run it again."
            )


def job(settings: Settings, progress: Progress, offsets: TopicOffsets, log: Callable[[str], None]) -> Job:
    """The streaming job for the topics as they are now."""
    shapes = topic_shapes(settings)
    source = KafkaSource(
        settings.bootstrap_servers,
        tuple(shapes),
        settings.max_records_per_batch,
        settings.kafka_jvm_config(),
        progress.starting_offsets(offsets.end),
    )
    return Job(
        source,
        shapes,
        offsets.ids,
        events_path(settings.lake_root),
        progress.checkpoint,
        read_reference(settings.reference_root, log),
    )


def _load(parts: Parts, table: DeltaTable) -> Iterator[Loaded]:
    with parts.warehouse() as session:
        for loaded in load(session, table):
            if loaded.rows:
                parts.log(f"version {loaded.version} loaded: {loaded.rows:,} rows of {loaded.files} files")
                yield loaded
