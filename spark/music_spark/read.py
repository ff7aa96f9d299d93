"""Read: Kafka's records as a stream, one row per record, nothing interpreted yet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from music_platform.contracts.events import COORDINATES, MAX_COORDINATES, REDRIVE_HEADER

#: Records of a partition that are read together. Tasks get as many such ranges each, so that they have about as much to
#: do, however uneven the partitions are.
RECORDS_OF_A_RANGE = 5_000

#: Milliseconds that a fetch at the live tail waits for more records. With Kafka's default, 500 ms are lost for each
#: partition of each micro-batch.
FETCH_MAX_WAIT_MS = 20


@dataclass(frozen=True)
class KafkaSource:
    """Where the records come from: brokers, topics, and how much one micro-batch takes."""

    bootstrap_servers: str
    topics: tuple[str, ...]
    max_records_per_batch: int
    #: Connection settings under Kafka's own (Java) names, such as `security.protocol`.
    client_config: Mapping[str, str] = field(default_factory=dict)
    #: `earliest`, or Spark's JSON of topic → partition → offset; used only if there is no checkpoint yet.
    starting_offsets: str = "earliest"
    #: Further options of the source itself, such as `groupIdPrefix`.
    more_options: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, str]:
        """Options of Spark's Kafka source."""
        return {
            **self.more_options,
            "kafka.bootstrap.servers": self.bootstrap_servers,
            "kafka.fetch.max.wait.ms": str(FETCH_MAX_WAIT_MS),
            # Records of an aborted transaction were never acknowledged.
            "kafka.isolation.level": "read_committed",
            **{f"kafka.{name}": value for name, value in self.client_config.items()},
            "subscribe": ",".join(self.topics),
            "startingOffsets": self.starting_offsets,
            "maxOffsetsPerTrigger": str(self.max_records_per_batch),
            "maxRecordsPerPartition": str(RECORDS_OF_A_RANGE),
            "includeHeaders": "true",
            # Lost offsets stop the stream with an error. They are never skipped silently.
            "failOnDataLoss": "true",
        }


def read_records(session: SparkSession, source: KafkaSource) -> DataFrame:
    """The stream of records: topic, partition, offset, timestamp, key and value (bytes), redrive_of.

    Only the header that matters is passed on. Passing all of them, as an array, made the transfer to Python three times
    slower.
    """
    records = session.readStream.format("kafka").options(**source.options()).load()
    return records.select("topic", "partition", "offset", "timestamp", "key", "value", redrive_of())


@dataclass(frozen=True)
class Record:
    """A record of a partition that was not read by Spark: its offset, timestamp (as it is, meant as epoch
    milliseconds), key, value, and the coordinates in its redrive header."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    redrive_of: str | None


#: Microseconds beyond which no timestamp is told from another: no time that a contract accepts.
MAX_MICROSECONDS = 2**62


def read_range(
    session: SparkSession, source: KafkaSource, topic: str, partition: int, start: int, end: int
) -> DataFrame:
    """The records of a partition from one offset up to another, exclusive, in the columns of `read_records`."""
    left_out = {"subscribe", "startingOffsets", "maxOffsetsPerTrigger"}
    options = {name: value for name, value in source.options().items() if name not in left_out}
    ranged = {
        "assign": json.dumps({topic: [partition]}),
        "startingOffsets": json.dumps({topic: {str(partition): start}}),
        "endingOffsets": json.dumps({topic: {str(partition): end}}),
    }
    records = session.read.format("kafka").options(**options, **ranged).load()
    return records.select("topic", "partition", "offset", "timestamp", "key", "value", redrive_of())


def given_records(session: SparkSession, topic: str, partition: int, records: Sequence[Record]) -> DataFrame:
    """These records in the same columns. One that Spark has no timestamp for gets a far one."""
    rows = [
        (
            topic,
            partition,
            each.offset,
            max(-MAX_MICROSECONDS, min(MAX_MICROSECONDS, each.timestamp * 1000)),
            each.key,
            each.value,
            each.redrive_of,
        )
        for each in records
    ]
    names = "topic string, partition int, offset bigint, us bigint, key binary, value binary, redrive_of string"
    given = session.createDataFrame(rows, names)
    at = F.timestamp_micros("us").alias("timestamp")
    return given.select("topic", "partition", "offset", at, "key", "value", "redrive_of")


def redrive_of() -> Column:
    """The last value of the redrive header of a redriven record; NULL for every other record.

    Whoever produces may send a header of this name. One that names no record is none of ours.
    """
    ours = F.filter(
        "headers",
        lambda header: (
            (header["key"] == REDRIVE_HEADER)
            & (F.octet_length(header["value"]) <= MAX_COORDINATES)
            & F.make_valid_utf8(header["value"].cast("string")).rlike(COORDINATES)
        ),
    )
    return F.try_element_at(ours, F.lit(-1))["value"].cast("string").alias("redrive_of")
