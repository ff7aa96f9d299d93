"""Cases in which the stream cannot continue by itself: what is wrong with topics, offsets or checkpoint.

Nothing is skipped silently. Trouble with the checkpoint stops the stream, trouble with a topic stops that topic, each
with an error that names the command to fix it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from music_platform.errors import PlatformError
from music_platform.lake.checkpoint import CheckpointState, Offsets, read_checkpoint
from music_platform.lake.delta_log import DeltaTable, Transaction
from music_platform.lake.progress import Progress
from music_platform.topics import TopicOffsets


class StreamStoppedError(PlatformError):
    """The stream cannot continue without a person's decision."""


@dataclass(frozen=True, order=True)
class Partition:
    """A partition of a topic. A topic that was created again has a new id and so different partitions."""

    topic: str
    number: int
    topic_id: str = ""


@dataclass(frozen=True)
class Gap:
    """Offsets of a partition without a row, `first` to `last` inclusive: expired, accepted, or markers."""

    partition: Partition
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.partition.topic}/{self.partition.number} {self.first}–{self.last}"


def recreated(kept: dict[str, str], found: dict[str, str]) -> list[str]:
    """Topics whose id differs from that of the topic that was read."""
    return sorted(topic for topic, topic_id in found.items() if kept.get(topic, topic_id) != topic_id)


def expired(committed: Offsets, first: Offsets, topics: Iterable[str]) -> list[Gap]:
    """Ranges between the committed offsets and the first ones that the broker still has."""
    return [
        Gap(Partition(topic, number), done, first[topic][number] - 1)
        for topic in sorted(topics)
        for number, done in sorted(committed.get(topic, {}).items())
        if number in first[topic] and done < first[topic][number]
    ]


def ahead_of_broker(committed: Offsets, end: Offsets, topics: Iterable[str]) -> list[str]:
    """Partitions that end before their committed offset or no longer exist, in words."""
    return [
        f"{topic}/{number} (read up to {done}, ends at {end[topic].get(number, 'nothing: it is gone')})"
        for topic in sorted(topics)
        for number, done in sorted(committed.get(topic, {}).items())
        if done > end[topic].get(number, -1)
    ]


def checkpoint_trouble(
    checkpoint: CheckpointState, last: Transaction | None, in_lake: int, retired_queries: Iterable[str]
) -> str | None:
    """How the checkpoint and the lake contradict each other; None if they do not.

    `last` is the last stream transaction in the lake, `in_lake` the last micro-batch there of the checkpoint's own
    query, -1 for none.
    """
    if checkpoint.damaged:
        return f"the checkpoint is damaged: {checkpoint.damaged} is missing or cannot be read"
    if last and last.app_id not in retired_queries:
        if checkpoint.query is None:
            return "the checkpoint is lost: the lake has rows from a stream, but there is no checkpoint"
        if checkpoint.query != last.app_id:
            return "the checkpoint is foreign: the lake was written by another stream"
    if in_lake < checkpoint.committed:
        return f"the lake is old: it has micro-batch {in_lake}, but the checkpoint ends at {checkpoint.committed}"
    # A stream that died between the table's commit and the checkpoint's has planned the micro-batch. Without its
    # offsets Spark would plan it again with later ones, and Delta, which has this number, would skip its rows.
    if in_lake > max(checkpoint.committed, min(checkpoint.planned, checkpoint.committed + 1)):
        return f"the checkpoint is old: it ends at micro-batch {checkpoint.committed}, but the lake has {in_lake}"
    return None


def read_trouble(progress: Progress, table: DeltaTable) -> str | None:
    """How the current checkpoint and the lake contradict each other; None if they do not.

    The stream may be at work: the lake is looked at between two looks at the checkpoint that are the same.
    """
    state = read_checkpoint(progress.checkpoint)
    while True:
        last = table.last_transaction()
        if last and last.app_id == state.query:
            in_lake = last.version
        else:
            in_lake = table.last_batch(state.query) if state.query else -1
        trouble = checkpoint_trouble(state, last, in_lake, progress.retired_queries)
        before, state = state, read_checkpoint(progress.checkpoint) if trouble else state
        if before == state:
            return trouble


def require_sound_checkpoint(progress: Progress, table: DeltaTable) -> None:
    """Raise StreamStoppedError unless the checkpoint is the one that wrote the lake, and both are equally recent."""
    if trouble := read_trouble(progress, table):
        raise StreamStoppedError(
            f"Ingestion stopped: {trouble} ({progress.checkpoint}). To resume after the highest offsets in the lake: "
            "music-platform recover"
        )


def held_topics(progress: Progress, offsets: TopicOffsets) -> dict[str, PlatformError]:
    """Topics that cannot be read, or not without a person's decision, and why. They hold no other topic."""
    committed = progress.read_up_to()
    held: dict[str, PlatformError] = dict(offsets.troubles)
    for topic in sorted(offsets.ids):
        try:
            require_same_topics(progress, offsets.only([topic]), committed)
        except StreamStoppedError as error:
            held[topic] = error
    return held


def require_same_topics(progress: Progress, offsets: TopicOffsets, committed: Offsets) -> None:
    """Raise StreamStoppedError unless the topics are those read so far, with no missing offsets."""
    if new_topics := recreated(progress.topic_ids, offsets.ids):
        raise StreamStoppedError(
            f"Ingestion stopped: {', '.join(new_topics)} was deleted and created again since the last read (Kafka "
            "reports another topic id). Records of the old topic that were not read are lost. To read the new topic: "
            + "; ".join(f"music-platform topic adopt {topic}" for topic in new_topics)
        )
    if lost := expired(committed, offsets.first, offsets.first):
        ranges = ", ".join(map(str, lost))
        raise StreamStoppedError(
            f"Ingestion stopped: the broker deleted records before they were read: offsets {ranges}. If they cannot "
            "be restored, record the loss and resume after it: music-platform accept-loss"
        )
    if short := ahead_of_broker(committed, offsets.end, offsets.end):
        raise StreamStoppedError(
            f"Ingestion stopped: the broker has fewer records than were read from it: {', '.join(short)}. It has lost "
            "records, or it is another cluster (KAFKA_BOOTSTRAP_SERVERS). To read the topic from its start, delete it, "
            "create it again and run: music-platform topic adopt <topic>"
        )
