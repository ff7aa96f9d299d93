"""Records that Spark cannot read: their Kafka timestamp is beyond what Spark's microseconds can express, as of a
producer that writes nanoseconds. Spark fails the whole query over one of them, on every attempt.

The partition is then read up to that record, and the record with some that follow it is read by a consumer of the
platform's own. All of it is appended to the lake in one commit, by the same step that makes the stream's rows, and the
stream resumes after it in a new generation. The commit carries the partition and the offset as Delta's transaction id,
so a repeated one is skipped, and whatever asks how far the lake is (`Progress.committed_in_lake`) counts it.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from music_platform.contracts.events import COORDINATES, REDRIVE_HEADER
from music_platform.lake.delta_log import RECORD_APPLICATION, DeltaTable
from music_platform.lake.progress import Progress
from music_platform.settings import Settings
from music_platform.topics import RECORDS, TIMEOUT, BrokerUnreachableError, TopicOffsets, open_consumer, unreachable
from music_spark.job import Job, MicroBatch, append_records
from music_spark.read import Record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Records, and bytes of their values, that are read from the one at fault on: a producer writes more than one of them.
RECORDS_AT_ONCE, BYTES_AT_ONCE = 5_000, 32 << 20

#: The message, not its error class: Spark's server sends the class of the outermost error alone, which is another.
_ERROR = re.compile(r"\bRecord at topic (\S+) partition (\d+) offset (\d+) has timestamp value ")


@dataclass(frozen=True)
class Place:
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def unreadable(error: Exception) -> Place | None:
    """The record over which Spark failed; None if it failed over something else."""
    found = _ERROR.search(str(error))
    return Place(found[1], int(found[2]), int(found[3])) if found else None


def read_around(
    session: "SparkSession",
    settings: Settings,
    job: Job,
    progress: Progress,
    offsets: TopicOffsets,
    place: Place,
    log: Callable[[str], None],
) -> MicroBatch:
    """Append the partition's records up to the unreadable one, that one and some that follow it. The stream resumes
    after them. Returns what was appended."""
    started = time.monotonic()
    table = DeltaTable(job.table)
    settled = progress.committed_in_lake(table)
    start = settled.get(place.topic, {}).get(place.partition, offsets.first[place.topic][place.partition])
    count, end = 0, start
    if start <= place.offset:
        records = fetch(settings, place)
        end = records[-1].offset + 1
        app_id = f"{RECORD_APPLICATION}{offsets.ids[place.topic]}/{place.partition}"
        append_records(session, job, place.topic, place.partition, start, records, app_id)
        count = place.offset - start + len(records)
    log(f"Spark cannot read the record {place}, because of its timestamp: it was read without Spark's source")
    parts = settled.get(place.topic, {}) | {place.partition: end}
    progress.next_generation(settled | {place.topic: parts}, {})
    ends = {place.topic: {str(place.partition): end}}
    return MicroBatch(place.offset, count, time.monotonic() - started, ends)


def fetch(settings: Settings, place: Place) -> list[Record]:
    """The record at this place, and some that follow it. Raises BrokerUnreachableError."""
    client = settings.kafka_client_config()
    consumer = open_consumer(client, RECORDS)
    found: list[Record] = []
    size, deadline = 0, time.monotonic() + TIMEOUT
    try:
        consumer.assign([TopicPartition(place.topic, place.partition, place.offset)])
        while len(found) < RECORDS_AT_ONCE and size < BYTES_AT_ONCE and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    break
                raise KafkaException(error)
            found.append(_record(message))
            size += len(found[-1].value or b"")
    except KafkaException as error:
        raise unreachable(client, error, topic=place.topic) from error
    finally:
        consumer.close()
    if not found or found[0].offset != place.offset:
        raise BrokerUnreachableError(
            f"Kafka did not return the record {place} within {TIMEOUT:.0f} s. Is it up (music-platform status)?"
        )
    return found


def _record(message: Any) -> Record:
    headers = [value for name, value in message.headers() or [] if name == REDRIVE_HEADER and value is not None]
    origins = [text for value in headers if re.match(COORDINATES, text := value.decode("utf-8", "replace"))]
    return Record(
        int(message.offset()),
        int(message.timestamp()[1]),
        message.key(),
        message.value(),
        origins[-1] if origins else None,
    )
