"""Kafka and files → lake → RAW, as one generator: batch after batch, each loaded as soon as it is committed.

The caller (a Dagster op, a test) passes sessions and a log, and gets what was committed, in order. It may be killed at
any moment: the next call resumes from the checkpoint, the lake and the watermark.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException

from music_platform import failpoints
from music_platform.clock import seconds_since
from music_platform.home import Home
from music_platform.ingestion.backlog import kafka_backlog
from music_platform.ingestion.context import IngestionContext, writing
from music_platform.ingestion.disk_space import pausing
from music_platform.ingestion.gaps import held_topics, require_sound_checkpoint
from music_platform.ingestion.intake import Intake
from music_platform.ingestion.topic_changes import adjust, pending_changes, set_aside_sentences
from music_platform.ingestion.unreadable_records import read_around, unreadable
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import create_table
from music_platform.lake.lease import Lease, LeaseError
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress, read_progress
from music_platform.settings import Settings
from music_platform.topics import (
    BrokerUnreachableError,
    TopicOffsets,
    readable_offsets,
    topic_names,
    topic_shapes,
)
from music_platform.warehouse.loader import Loaded, LoadError, load
from music_platform.warehouse.staging import staging_method
from music_spark.enrich import read_reference
from music_spark.job import Job, MicroBatch, Stream
from music_spark.orphans import notice_restarts, session_id
from music_spark.read import KafkaSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


#: Seconds between two checks of the topics while a load has to wait.
WAITING_POLL_SECONDS = 1.0


#: Seconds that a drain expects of its first micro-batch, Spark's session included.
FIRST_BATCH_SECONDS = 10.0


#: What may fail on its own in a drain, beside single topics.
FILES, TOPICS, RAW = "the intake's files", "all topics", "the loads into RAW"

#: Seconds for which a drain waits for the end of an election of leaders: longer than a sensor, which looks again.
ELECTION_SECONDS = 30.0


def drain(context: IngestionContext, *, to_lake: bool = True, to_raw: bool = True) -> Iterator[MicroBatch | Loaded]:
    """Ingest until there is no backlog; yield each micro-batch and each loaded version.

    Ends early where the disk is almost full: before each micro-batch and each load it is looked at.
    Raises LeaseError, StreamStoppedError, UnfinishedError, LoadError, or what Spark or the warehouse raises. Where
    files cannot be read, the brokers do not answer or a load fails, it does the rest first.
    """
    table = DeltaTable(events_path(context.settings.lake_root))
    must_pause = pausing(context.settings, context.log)
    failed: dict[str, Exception] = {}
    loads = Loads(context, table, failed, must_pause) if to_raw else None
    if loads and loads.are_due():
        yield from loads.run()
    if to_lake and not must_pause():
        with writing(context) as lease:
            started = time.monotonic()
            names = topic_names(context.settings).values()
            for sentence in set_aside_sentences(read_progress(context.settings.lake_root), names):
                context.log(sentence)
            while True:
                hold = loads.hold_back if loads else _never
                with closing(_batches(context, table, lease, started, hold, failed)) as batches:
                    for batch in batches:
                        yield batch
                        failpoints.reach(failpoints.AFTER_LAKE_COMMIT)
                        if loads:
                            loads.batch_seconds = batch.seconds
                        if loads and loads.are_due():
                            yield from loads.run()
                        lease.check()
                        if must_pause():
                            break
                if must_pause() or not loads or not loads.is_waiting() or _time_is_up(context.settings, started):
                    break
                if TOPICS in failed:
                    break
                # Records that arrive meanwhile are included in the next load.
                time.sleep(WAITING_POLL_SECONDS)
    if loads and loads.are_pending() and not must_pause():
        time.sleep(loads.seconds_left())
        yield from loads.run()
    for error in failed.values():
        raise error


def _never(_records: int) -> bool:
    return False


def _batches(
    context: IngestionContext,
    table: DeltaTable,
    lease: Lease,
    started: float,
    hold: Callable[[int], bool],
    failed: dict[str, Exception],
) -> Generator[MicroBatch, None, None]:
    """Batches of files, then micro-batches. Files that fail hold no topic, a topic that cannot be read holds no other,
    and brokers that are away hold no load: `failed` gets the error, once a drain."""
    if FILES not in failed:
        try:
            yield from _files(context, lease)
        except LeaseError:
            raise
        except Exception as error:
            context.log(f"the intake's files fail, and the topics go on: {type(error).__name__}: {error}")
            failed[FILES] = error
    try:
        yield from _micro_batches(context, table, lease, started, hold, failed)
    except BrokerUnreachableError as error:
        context.log(f"no topic is read, and what is in the lake is loaded: {error}")
        failed[TOPICS] = error


def _files(context: IngestionContext, lease: Lease) -> Iterator[MicroBatch]:
    yield from Intake(context.settings, context.log).take_in(lambda: _spark_session(context, lease))


def _spark_session(context: IngestionContext, lease: Lease) -> "SparkSession":
    """A session that the lease knows, while the lease is still this run's."""
    session = context.spark()
    notice_restarts(session)
    lease.note_spark_session(session_id(session))
    lease.check()
    return session


def _time_is_up(settings: Settings, started: float) -> bool:
    return time.monotonic() - started > settings.max_drain_seconds


def _micro_batches(
    context: IngestionContext,
    table: DeltaTable,
    lease: Lease,
    started: float,
    hold: Callable[[int], bool],
    failed: dict[str, Exception],
) -> Iterator[MicroBatch]:
    """Micro-batches until there is no backlog, the time is up, or `hold` keeps the backlog back. `failed` gets the
    topics that are held, and why. One stream runs for as long as the topics stay the same."""
    settings = context.settings
    names = topic_names(settings).values()
    with ExitStack() as running:
        stream: Stream | None = None
        while True:
            progress = read_progress(settings.lake_root)
            found = readable_offsets(settings.kafka_client_config(), names, ELECTION_SECONDS, failed.keys())
            require_sound_checkpoint(progress, table)
            held = held_topics(progress, found)
            for topic in sorted(held.keys() - failed.keys()):
                context.log(f"{topic} is not read, and the other topics are: {held[topic]}")
                failed[topic] = held[topic]
            offsets = found.only(found.ids.keys() - held.keys())
            if stream and (offsets.ids != stream.job.topic_ids or pending_changes(progress, offsets)):
                # What it has committed meanwhile counts.
                running.close()
                stream = None
                continue
            if held and not offsets.ids:
                return
            if not stream:
                progress = adjust(progress, table, offsets, context.log)
            backlog = kafka_backlog(offsets, progress.committed())
            if not backlog.records:
                create_table(table.root)
                return
            if _time_is_up(settings, started):
                context.log(
                    f"{backlog.records:,} records left after {time.monotonic() - started:.0f} s; the next run reads "
                    "them."
                )
                return
            if hold(backlog.records):
                return
            context.log(f"{backlog.records:,} records to read: {backlog.behind}")
            lease.check()
            done = 0
            try:
                if not stream:
                    session = _spark_session(context, lease)
                    progress = progress.with_new_topics(offsets.ids)
                    work = job(settings, progress, offsets, context.log)
                    stream = Stream(session, work)
                    running.callback(stream.stop)
                with failpoints.during(failpoints.INSIDE_MICRO_BATCH, delay=1.5):
                    for batch in stream.batches(offsets.end):
                        done += batch.records
                        context.log(
                            f"micro-batch {batch.number}: {batch.records:,} records in {batch.seconds:.1f} s, "
                            f"{done:,} of {backlog.records:,}"
                        )
                        yield batch
            except PySparkException as error:
                if (place := unreadable(error)) is None:
                    raise
                running.close()
                stream = None
                lease.check()
                progress = read_progress(settings.lake_root)
                yield read_around(session, settings, work, progress, offsets, place, context.log)


def job(settings: Settings, progress: Progress, offsets: TopicOffsets, log: Callable[[str], None]) -> Job:
    """The streaming job for the topics at these offsets."""
    shapes = topic_shapes(settings)
    source = KafkaSource(
        settings.bootstrap_servers,
        tuple(topic for topic in shapes if topic in offsets.ids),
        settings.max_records_per_batch,
        settings.kafka_jvm_config(),
        progress.starting_offsets(offsets.end),
        settings.kafka_source_options(),
    )
    return Job(
        source,
        shapes,
        offsets.ids,
        events_path(settings.lake_root),
        progress.checkpoint,
        settings.spark_cores,
        read_reference(settings.reference_root, log),
        shared=None if not settings.spark_is_local or settings.spark_is_standalone else Home(settings.home).reference,
    )


def seconds_until_load(now: float, last_load: float | None, interval: float) -> float:
    """Seconds until the warehouse may be loaded again. Times in epoch seconds; `last_load` None: it may at once."""
    return 0.0 if last_load is None else max(0.0, interval - seconds_since(last_load, now))


def seconds_until_batch(until_load: float, batch_seconds: float, records: int, max_records: int) -> float:
    """Seconds until the next micro-batch has to start, so that its records are in the next load.

    A micro-batch for each load: each one makes a version, and the load waits for none. Where more records wait than one
    micro-batch takes, it starts at once.
    """
    return 0.0 if records >= max_records else max(0.0, until_load - batch_seconds)


class Loads:
    """The loads of one drain, at least LOAD_MIN_INTERVAL apart; none if the lake has nothing new.

    `failed` gets the error of one that fails. It is this drain's last: the lake takes in what is left, and the next
    drain loads it.
    """

    def __init__(
        self,
        context: IngestionContext,
        table: DeltaTable,
        failed: dict[str, Exception],
        must_pause: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context, self._failed, self._must_pause = context, failed, must_pause
        self._table = table
        self._last = context.last_load
        #: Version of the lake up to which this drain has loaded.
        self._loaded: int | None = None
        #: Seconds that the last micro-batch took.
        self.batch_seconds = FIRST_BATCH_SECONDS
        self._holds_back = False

    def are_pending(self) -> bool:
        """Whether the lake has versions that this drain has to load. True before the first load."""
        if RAW in self._failed:
            return False
        return self._loaded is None or self._table.latest_version() > self._loaded

    def _seconds_until_due(self) -> float:
        return seconds_until_load(time.time(), self._last, self._context.settings.load_interval)

    def seconds_left(self) -> float:
        """Seconds until pending versions may be loaded; 0 if none are pending."""
        return self._seconds_until_due() if self.are_pending() else 0.0

    def are_due(self) -> bool:
        """Whether versions are pending and may be loaded now."""
        return self.are_pending() and not self.seconds_left()

    def hold_back(self, records: int) -> bool:
        """Whether these records of Kafka wait for the micro-batch that the next load takes along."""
        if RAW in self._failed:
            return False
        until = self._seconds_until_due()
        max_records = self._context.settings.max_records_per_batch
        self._holds_back = seconds_until_batch(until, self.batch_seconds, records, max_records) > 0
        return self._holds_back

    def is_waiting(self) -> bool:
        """Whether there is a reason to look again before the drain ends: a load that is not due, or records that were
        held back at the last look."""
        held, self._holds_back = self._holds_back, False
        return held or self.seconds_left() > 0

    def run(self) -> Iterator[Loaded]:
        """Load every version that the warehouse does not have; yield those with rows. Stops where it has to pause, or
        at an error of the warehouse.

        Raises LoadError: lake and RAW do not belong together. The lake gets no version then, which could pass for one
        that RAW has.
        """
        if self._must_pause():
            return
        try:
            yield from self._run()
        except LoadError:
            raise
        except Exception as error:
            self._context.log(f"the load fails, and the lake takes in what is left: {type(error).__name__}: {error}")
            self._failed[RAW] = error

    def _run(self) -> Iterator[Loaded]:
        latest = self._table.latest_version()
        with self._context.warehouse() as session:
            for loaded in load(session, self._table, staging_method(self._context.settings)):
                if loaded.rows:
                    what = f"version {loaded.version}"
                    if loaded.versions > 1:
                        what = f"{loaded.versions} versions up to {loaded.version}"
                    self._context.log(f"{what} loaded: {loaded.rows:,} rows from {loaded.files} files")
                    yield loaded
                if self._must_pause():
                    return
        self._loaded, self._last = latest, time.time()
