"""The topics as the brokers know them: ids, first offsets and end offsets."""

import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from music_platform.contracts import events as contract
from music_platform.contracts import shapes
from music_platform.contracts.shapes import Shape
from music_platform.errors import PlatformError
from music_platform.lake.checkpoint import Offsets
from music_platform.settings import Settings

#: Seconds within which the brokers have to answer.
TIMEOUT = 10.0

#: The consumer groups of the platform's own consumers, for brokers that authorize groups. Spark has one of its own.
GROUPS = LAG, AUDIT, RECORDS = ("music-platform-lag", "music-platform-audit", "music-platform-records")

Answer = TypeVar("Answer")


class BrokerUnreachableError(PlatformError):
    """No broker answers, or it does not know a topic."""


class TopicMissingError(BrokerUnreachableError):
    """The brokers answer, but a topic does not exist."""


class LeaderlessError(BrokerUnreachableError):
    """A partition of a topic has no leader: an election is going on, or its brokers are down."""


@dataclass(frozen=True)
class TopicOffsets:
    """First retained offset and end offset (one after the last record), by topic and partition; ids by topic.

    The end is the last stable offset, so records of a transaction that is still open are not included. Topics that
    could not be read are not in it; `troubles` says why.
    """

    first: Offsets
    end: Offsets
    ids: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, BrokerUnreachableError] = field(default_factory=dict)

    def only(self, topics: Collection[str]) -> "TopicOffsets":
        """Those of these topics."""

        def chosen(found: Mapping[str, Answer]) -> dict[str, Answer]:
            return {topic: each for topic, each in found.items() if topic in topics}

        return TopicOffsets(chosen(self.first), chosen(self.end), chosen(self.ids), chosen(self.troubles))

    def records(self) -> int:
        """Records that the topics hold now."""
        return sum(
            end - self.first[topic][partition] for topic, ends in self.end.items() for partition, end in ends.items()
        )


def topic_names(settings: Settings) -> dict[str, str]:
    """Event kind → name of its topic on the cluster. A topic with another producer's shape is keyed by its own name."""
    own = {kind: settings.topic_prefix + topic for kind, topic in contract.TOPICS.items()}
    return own | {topic: settings.topic_prefix + topic for topic in settings.shape_of_topic}


def topic_shapes(settings: Settings) -> dict[str, Shape]:
    """Name of each topic on the cluster → shape of its records."""
    mapped = settings.shape_of_topic
    return {
        topic: shapes.mapped()[mapped[name]] if name in mapped else shapes.own(name)
        for name, topic in topic_names(settings).items()
    }


#: What Kafka's protocol gives as a topic's id where the broker has none: 16 zero bytes.
NO_ID = "A" * 22


def identity(topic: str, kafka_id: str) -> str:
    """Kafka's id of a topic, or its name where the broker gives no ids (Azure Event Hubs, Kafka before 2.8).

    Coordinates of records begin with it. With the same id for all topics, records of two topics would be taken for one.
    Where it is the name, nothing shows that a topic was created again.
    """
    return topic if kafka_id == NO_ID else kafka_id


class BrokerRefusedError(BrokerUnreachableError):
    """The brokers answer, but refuse this client."""


class Brokers:
    """An admin client that reports why it gets no answer. librdkafka alone would retry a wrong password until the
    timeout, and then report only the timeout."""

    def __init__(self, client_config: Mapping[str, Any]) -> None:
        self.where = str(client_config["bootstrap.servers"])
        self._refusal: KafkaError | None = None
        #: The last error of a connection, in librdkafka's words.
        self.last_error = ""
        # librdkafka writes each failed attempt to stderr; the error raised below reports it once.
        config: dict[str, Any] = {**client_config, "log_level": 0, "socket.timeout.ms": int(TIMEOUT * 1000)}
        config["error_cb"] = self._trouble
        self.admin = AdminClient(config)

    def result(self, future: "Future[Answer]") -> "Answer":
        """The answer to a request. Raises BrokerRefusedError as soon as the brokers refuse, else KafkaException."""
        while True:
            try:
                return future.result(timeout=0.05)
            except FutureTimeout:
                self.admin.poll(0)
                if self._refusal is not None:
                    raise BrokerRefusedError(refusal(self.where, self._refusal.str())) from None

    def _trouble(self, error: KafkaError) -> None:
        self.last_error = error.str()
        if error.code() in REFUSALS:
            self._refusal = error


#: Errors that a retry does not fix.
REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)


#: Errors that mean that no broker answered in time.
SILENCES = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


#: Errors of a partition whose leader is changing, as of a topic that was made a moment ago or a broker that died.
ELECTIONS = (
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)  # fmt: skip
#: Seconds for which a sensor or the watch waits for the end of an election, and between two looks. It takes one or two.
ELECTION_SECONDS, ELECTION_PAUSE = 5.0, 0.2


def away(where: str) -> str:
    """Error message for brokers that do not answer."""
    return f"Kafka at {where} does not answer. Start it with `music-platform up`, or correct KAFKA_BOOTSTRAP_SERVERS."


def refusal(where: str, reason: str) -> str:
    """Error message for a client that the brokers refuse. The reason is librdkafka's and contains no secret."""
    return (
        f"Kafka at {where} refuses this client: {reason}. Check KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, "
        "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and the KAFKA_SSL_* files (music-platform settings)."
    )


def unreachable(
    client_config: Mapping[str, Any], error: KafkaException, last_error: str = "", topic: str | None = None
) -> BrokerUnreachableError:
    """The error for a failed request, about `topic` if that is known. `last_error` is the last connection error, in
    librdkafka's words."""
    where = client_config["bootstrap.servers"]
    if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return TopicMissingError(
            f"{f'Topic {topic}' if topic else 'A topic'} is missing from Kafka at {where}: {error.args[0].str()}. "
            "Create it again (music-platform up does that), then adopt it: music-platform topic adopt "
            f"{topic or '<topic>'}"
        )
    if error.args[0].code() in SILENCES:
        return BrokerUnreachableError(away(where) + (f" Last connection error: {last_error}" if last_error else ""))
    about = f" about topic {topic}" if topic else ""
    return BrokerUnreachableError(f"Kafka at {where} answers with an error{about}: {error.args[0].str()}.")


def leaderless(topic: str, where: str, partitions: Collection[str]) -> LeaderlessError:
    """The error for a topic of which these partitions have no leader; none given: not known which."""
    which = f"for partition {', '.join(partitions)}" if partitions else "for some of its partitions"
    return LeaderlessError(
        f"Topic {topic} of Kafka at {where} has no leader {which}. Its brokers are down, or an election is going on."
    )


def topic_ids(client_config: Mapping[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """Identity of each topic. Raises BrokerUnreachableError, also for a topic that does not exist."""
    # The client has to outlive the futures it returns.
    brokers = Brokers(client_config)
    try:
        futures = brokers.admin.describe_topics(TopicCollection(list(topics)), request_timeout=TIMEOUT)
        return {topic: identity(topic, str(brokers.result(future).topic_id)) for topic, future in futures.items()}
    except KafkaException as error:
        raise unreachable(client_config, error, brokers.last_error) from error


def topic_offsets(client_config: Mapping[str, Any], topics: Iterable[str]) -> TopicOffsets:
    """First and end offsets of every partition. Raises BrokerUnreachableError, also for a topic that cannot be read."""
    offsets = readable_offsets(client_config, topics)
    for trouble in offsets.troubles.values():
        raise trouble
    return offsets


def readable_offsets(
    client_config: Mapping[str, Any],
    topics: Iterable[str],
    patience: float = ELECTION_SECONDS,
    hopeless: Collection[str] = (),
) -> TopicOffsets:
    """The same of the topics that can be read. One that is missing, forbidden or without a leader keeps no other one
    from being read. Raises BrokerUnreachableError where the brokers do not answer.

    While leaders are being elected it asks again, for `patience` seconds. For the leaders of `hopeless` topics, for
    which somebody has waited before, it does not.
    """
    brokers, names = Brokers(client_config), list(topics)
    deadline = time.monotonic() + patience
    while True:
        try:
            found = _readable_now(brokers, names, client_config)
        except KafkaException as error:
            raise unreachable(client_config, error, brokers.last_error) from error
        electing = {topic for topic, trouble in found.troubles.items() if isinstance(trouble, LeaderlessError)}
        if electing <= set(hopeless) or time.monotonic() > deadline:
            return found
        time.sleep(ELECTION_PAUSE)


def _readable_now(brokers: Brokers, topics: list[str], client_config: Mapping[str, Any]) -> TopicOffsets:
    troubles: dict[str, BrokerUnreachableError] = {}
    ids: dict[str, str] = {}
    partitions: list[TopicPartition] = []
    described = brokers.admin.describe_topics(TopicCollection(topics), request_timeout=TIMEOUT)
    for topic, future in described.items():
        try:
            found = brokers.result(future)
        except KafkaException as error:
            troubles[topic] = _trouble(client_config, error, topic)
            continue
        if headless := [str(info.id) for info in found.partitions if info.leader is None]:
            troubles[topic] = leaderless(topic, brokers.where, headless)
            continue
        ids[topic] = identity(topic, str(found.topic_id))
        partitions += [TopicPartition(topic, info.id) for info in found.partitions]
    first = _offsets(brokers, partitions, OffsetSpec.earliest(), client_config, troubles)
    end = _offsets(brokers, partitions, OffsetSpec.latest(), client_config, troubles)
    return TopicOffsets(_without(first, troubles), _without(end, troubles), _without(ids, troubles), troubles)


def high_watermarks(client_config: Mapping[str, Any], offsets: TopicOffsets) -> Offsets:
    """The end of each of these partitions with the records of open transactions, which `TopicOffsets.end` is before.

    Raises BrokerUnreachableError where the brokers do not answer. A topic that cannot be read is left out.
    """
    brokers = Brokers(client_config)
    partitions = [TopicPartition(topic, number) for topic, ends in offsets.end.items() for number in ends]
    troubles: dict[str, BrokerUnreachableError] = {}
    try:
        found = _offsets(
            brokers, partitions, OffsetSpec.latest(), client_config, troubles, IsolationLevel.READ_UNCOMMITTED
        )
    except KafkaException as error:
        raise unreachable(client_config, error, brokers.last_error) from error
    return _without(found, troubles)


def _without(found: dict[str, Answer], troubles: Mapping[str, BrokerUnreachableError]) -> dict[str, Answer]:
    return {topic: each for topic, each in found.items() if topic not in troubles}


def _trouble(
    client_config: Mapping[str, Any], error: KafkaException, topic: str, partition: int | None = None
) -> BrokerUnreachableError:
    """The trouble with one topic. Raises the error itself where the brokers do not answer, which is about all."""
    if error.args[0].code() in SILENCES:
        raise error
    if error.args[0].code() in ELECTIONS:
        return leaderless(topic, client_config["bootstrap.servers"], [] if partition is None else [str(partition)])
    return unreachable(client_config, error, topic=topic)


def _offsets(
    brokers: Brokers,
    partitions: list[TopicPartition],
    which: OffsetSpec,
    client_config: Mapping[str, Any],
    troubles: dict[str, BrokerUnreachableError],
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> Offsets:
    """Offsets of the partitions. The trouble with a topic is added to `troubles`."""
    found: Offsets = {}
    futures = brokers.admin.list_offsets(
        dict.fromkeys(partitions, which), isolation_level=isolation, request_timeout=TIMEOUT
    )
    for partition, future in futures.items():
        topic, number = partition.topic, partition.partition
        try:
            found.setdefault(topic, {})[number] = brokers.result(future).offset
        except KafkaException as error:
            troubles[topic] = _trouble(client_config, error, topic, number)
    return found


def consumer_config(
    client_config: Mapping[str, Any], group: str, properties: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Configuration of a consumer of committed records, which commits no offset. A group that the settings name is used
    instead of the platform's own (KAFKA_CLIENT_PROPERTIES)."""
    return {
        "group.id": group,
        **client_config,
        "enable.auto.commit": False,
        "log_level": 0,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        **(properties or {}),
    }


def open_consumer(
    client_config: Mapping[str, Any], group: str, properties: Mapping[str, Any] | None = None
) -> Consumer:
    """A consumer with `consumer_config`. Every consumer of the platform comes from here."""
    return Consumer(consumer_config(client_config, group, properties))


#: Offsets that are read through to the next range that is asked about; a larger distance is skipped by a seek.
READ_THROUGH = 10_000
#: Records that are taken from the client at once.
AT_ONCE = 1_000

Interval = tuple[int, int]


def offsets_with_record(
    client_config: Mapping[str, Any], ranges: Mapping[tuple[str, int], Sequence[Interval]]
) -> dict[tuple[str, int], set[int]]:
    """By topic and partition, the offsets in these ranges (sorted, first and last inclusive) at which the broker holds
    a committed record. One consumer reads each partition once.

    The other offsets hold a transaction marker, a record of an aborted transaction or, in a compacted topic, nothing
    any more. Raises BrokerUnreachableError, also if a range is not read in time.
    """
    if not any(ranges.values()):
        return {where: set() for where in ranges}
    consumer = open_consumer(client_config, AUDIT)
    try:
        return {
            (topic, number): _held(consumer, TopicPartition(topic, number), wanted) if wanted else set()
            for (topic, number), wanted in ranges.items()
        }
    except KafkaException as error:
        raise unreachable(client_config, error) from error
    finally:
        consumer.close()


def _held(consumer: Consumer, where: TopicPartition, wanted: Sequence[Interval]) -> set[int]:
    """The offsets in the ranges at which there is a record."""
    found, left, before = set[int](), deque(wanted), -1
    consumer.assign([TopicPartition(where.topic, where.partition, wanted[0][0])])
    quiet = time.monotonic() + TIMEOUT
    while left:
        messages = consumer.consume(AT_ONCE, 0.2)
        # The position also advances over offsets that hold no record.
        position = consumer.position([where])[0].offset
        if messages or position != before:
            quiet, before = time.monotonic() + TIMEOUT, position
        elif time.monotonic() > quiet:
            raise BrokerUnreachableError(
                f"Kafka did not return {where.topic}/{where.partition} from offset {left[0][0]} to {left[0][1]} within "
                f"{TIMEOUT:.0f} s. Is it up (music-platform status)?"
            )
        for message in messages:
            if (error := message.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                return found
            offset = message.offset() or 0
            while left and left[0][1] < offset:
                left.popleft()
            if left and left[0][0] <= offset:
                found.add(offset)
        while left and left[0][1] < position:
            left.popleft()
        if left and 0 <= position < left[0][0] - READ_THROUGH:
            consumer.seek(TopicPartition(where.topic, where.partition, left[0][0]))
    return found


def timestamps_at(client_config: Mapping[str, Any], offsets: Offsets) -> list[int]:
    """Kafka timestamp in epoch milliseconds of the record at each offset, or of the next one after it.

    Raises BrokerUnreachableError. A partition that holds no record from there on, only markers of transactions, is left
    out, and so is one whose record does not arrive within `TIMEOUT`.
    """
    wanted = [TopicPartition(topic, number, at) for topic, parts in offsets.items() for number, at in parts.items()]
    if not wanted:
        return []
    # One record of each partition: small fetches, and nothing where that record has expired.
    consumer = open_consumer(
        client_config,
        LAG,
        {
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": 1024,
            "queued.max.messages.kbytes": 64,
            "auto.offset.reset": "latest",
        },
    )
    found: dict[tuple[str, int], int] = {}
    empty: set[tuple[str, int]] = set()
    deadline = time.monotonic() + TIMEOUT
    try:
        consumer.assign(wanted)
        while len(found) + len(empty - found.keys()) < len(wanted) and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            where = str(message.topic()), int(message.partition() or 0)
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    empty.add(where)
            elif where not in found:
                found[where] = message.timestamp()[1]
                consumer.incremental_unassign([TopicPartition(*where)])
    except KafkaException as error:
        raise unreachable(client_config, error) from error
    finally:
        consumer.close()
    return list(found.values())
