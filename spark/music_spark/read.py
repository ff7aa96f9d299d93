"""Read: Kafka's records as a stream, one row per record, nothing interpreted yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from music_platform.contracts.events import REDRIVE_HEADER

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
            "includeHeaders": "true",
            # Lost offsets stop the stream with an error. They are never skipped silently.
            "failOnDataLoss": "true",
        }


def read_records(session: SparkSession, source: KafkaSource) -> DataFrame:
    """The stream of records: topic, partition, offset, timestamp, value (bytes), redrive_of.

    Only the header that matters is passed on. Passing all of them, as an array, made the transfer to Python three times
    slower.
    """
    records = session.readStream.format("kafka").options(**source.options()).load()
    return records.select("topic", "partition", "offset", "timestamp", "value", redrive_of())


def redrive_of() -> Column:
    """The last value of the redrive header of a redriven record; NULL for every other record."""
    ours = F.filter("headers", lambda header: (header["key"] == REDRIVE_HEADER) & header["value"].isNotNull())
    value = F.try_element_at(ours, F.lit(-1))["value"]
    return F.make_valid_utf8(value.cast("string")).alias("redrive_of")
