"""Where the stream cannot simply go on: what is wrong with topics, offsets or checkpoint, and what a person can do.

Nothing is ever skipped in silence: each trouble stops ingestion with a sentence that names the command for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from music_platform.errors import PlatformError
from music_platform.lake.checkpoint import Offsets, last_committed
from music_platform.lake.delta_log import DeltaTable, Transaction
from music_platform.lake.progress import Progress, query_id
from music_platform.topics import TopicOffsets


class StreamStoppedError(PlatformError):
    """The stream cannot go on without a person's decision."""


@dataclass(frozen=True, order=True)
class Partition:
    """A partition of a topic. A topic that was created again has another id, and so other partitions."""

    topic: str
    number: int
    topic_id: str = ""


@dataclass(frozen=True)
class Gap:
    """Offsets of a partition that have no row, `first` to `last`, both included: expired, accepted, or markers."""

    partition: Partition
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.partition.topic}/{self.partition.number} {self.first}–{self.last}"


def recreated(kept: dict[str, str], found: dict[str, str]) -> list[str]:
    """Topics that have another id than the one that was read."""
    return sorted(topic for topic, topic_id in found.items() if kept.get(topic, topic_id) != topic_id)


def expired(committed: Offsets, first: Offsets, topics: Iterable[str]) -> list[Gap]:
    """Ranges between what is committed and what the broker still has."""
    return [
        Gap(Partition(topic, number), done, first[topic][number] - 1)
        for topic in sorted(topics)
        for number, done in sorted(committed.get(topic, {}).items())
        if number in first[topic] and done < first[topic][number]
    ]


def ahead_of_broker(committed: Offsets, end: Offsets, topics: Iterable[str]) -> list[str]:
    """Partitions that end before what was read from them, or that are gone, in words."""
    return [
        f"{topic}/{number} (read up to {done}, ends at {end[topic].get(number, 'nothing: it is gone')})"
        for topic in sorted(topics)
        for number, done in sorted(committed.get(topic, {}).items())
        if done > end[topic].get(number, -1)
    ]


def checkpoint_trouble(
    query: str | None, committed_batch: int, last: Transaction | None, retired_queries: Iterable[str]
) -> str | None:
    """What is wrong between the checkpoint and the lake, by the last stream's mark in the lake; None if nothing."""
    if last is None or last.app_id in retired_queries:
        return None
    if query is None:
        return "the checkpoint is lost: the lake has rows of a stream that left no checkpoint here"
    if query != last.app_id:
        return "the checkpoint is foreign: another stream than the checkpoint's has written the lake"
    if last.version > committed_batch + 1:
        return f"the checkpoint is old: it knows micro-batch {committed_batch}, the lake has {last.version}"
    return None


def require_sound_checkpoint(progress: Progress, table: DeltaTable) -> None:
    """Raise StreamStoppedError unless the checkpoint is the one that wrote the lake."""
    query = query_id(progress.checkpoint)
    trouble = checkpoint_trouble(
        query, last_committed(progress.checkpoint), table.last_transaction(), progress.retired_queries
    )
    if trouble:
        raise StreamStoppedError(
            f"Ingestion stops: {trouble} ({progress.checkpoint}). To go on behind the lake's own highest offsets: "
            "music-platform recover"
        )


def require_same_topics(progress: Progress, offsets: TopicOffsets, committed: Offsets) -> None:
    """Raise StreamStoppedError unless the topics are those that were read so far, with nothing missing between."""
    if renewed := recreated(progress.topic_ids, offsets.ids):
        raise StreamStoppedError(
            f"Ingestion stops: {', '.join(renewed)} was deleted and created again since it was read last (Kafka gives "
            "it another topic id). What it held before is lost if it was not read. To go on with the new topic: "
            + "; ".join(f"music-platform topic adopt {topic}" for topic in renewed)
        )
    if lost := expired(committed, offsets.first, offsets.first):
        ranges = ", ".join(map(str, lost))
        raise StreamStoppedError(
            f"Ingestion stops: the broker has deleted records before they were read: offsets {ranges}. If they cannot "
            "be brought back, record the loss and go on: music-platform accept-loss"
        )
    if short := ahead_of_broker(committed, offsets.end, offsets.end):
        raise StreamStoppedError(
            f"Ingestion stops: the broker has less than what was read from it: {', '.join(short)}. It has lost "
            "records, or it is another cluster (KAFKA_BOOTSTRAP_SERVERS). If the topic is to be read anew, delete it, "
            "create it again and run: music-platform topic adopt <topic>"
        )
