"""Restarts a stopped stream after a person's decision: to adopt a topic, accept a loss or replace a checkpoint.

Each starts a new generation of the checkpoint, under the lease, at offsets computed from the rows in the lake. Nothing
is read twice, and offsets that are not read are recorded in OPS.GAPS.
"""

import getpass
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pyarrow.parquet as pq

from music_platform.errors import PlatformError
from music_platform.ingestion.conservation import accept, compare, note_gaps
from music_platform.ingestion.context import IngestionContext, writing
from music_platform.ingestion.gaps import Gap, expired, recreated, require_sound_checkpoint
from music_platform.lake.checkpoint import Offsets
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress, RetiredTopic, read_progress
from music_platform.lake.snapshot import snapshot
from music_platform.settings import Settings
from music_platform.topics import TopicOffsets, readable_offsets, topic_names
from music_platform.warehouse.connection import execute_all


class NothingToDoError(PlatformError):
    """The command does not apply."""


@dataclass(frozen=True)
class Adoption:
    """A topic to adopt: how far the old one is in the lake, and how many records the new one holds."""

    old: RetiredTopic
    topic_id: str
    records: int


@dataclass(frozen=True)
class Recovery:
    """A checkpoint to replace, and the offset at which each partition resumes."""

    checkpoint: str
    resume: Offsets


def approved(_plan: object) -> None:
    """Approve every plan. A command that asks a person raises instead, before anything is changed."""


def adopt(context: IngestionContext, topic: str, approve: Callable[[Adoption], None] = approved) -> str:
    """Read a topic that was deleted and created again, from its first record. Returns the new topic id."""
    with writing(context):
        progress, table, offsets = _state(context.settings)
        require_sound_checkpoint(progress, table)
        if topic in offsets.troubles:
            raise offsets.troubles[topic]
        if topic not in offsets.ids:
            raise NothingToDoError(f"{topic} is not one of the platform's topics: {', '.join(sorted(offsets.ids))}")
        if topic not in recreated(progress.topic_ids, offsets.ids):
            raise NothingToDoError(f"{topic} still has the same id, {offsets.ids[topic]}: nothing to adopt")
        committed = progress.committed_in_lake(table)
        known = [*progress.retired, *progress.set_aside]
        old = next(
            (old for old in known if (old.topic, old.topic_id) == (topic, progress.topic_ids[topic])),
            progress.retired_topic(topic, committed.get(topic, {})),
        )
        starting = {name: ends for name, ends in committed.items() if name != topic}
        records = sum(end - offsets.first[topic][number] for number, end in offsets.end[topic].items())
        approve(Adoption(old, offsets.ids[topic], records))
        aside = tuple(other for other in progress.set_aside if other.topic != topic)
        new = () if old in progress.retired else (old,)
        replace(progress, set_aside=aside).next_generation(starting, {topic: offsets.ids[topic]}, new)
        return offsets.ids[topic]


@dataclass(frozen=True)
class Loss:
    """What a person accepts: offsets that the broker deleted before they were read, and what conservation finds wrong
    with RAW, in words."""

    expired: list[Gap]
    complaints: list[str]


def accept_loss(context: IngestionContext, approve: Callable[[Loss], None] = approved) -> Loss:
    """Record what is lost, and resume after it: offsets that the broker deleted before they were read, and whatever
    does not balance in RAW. Returns it."""
    with writing(context), context.warehouse() as session:
        progress, table, offsets = _state(context.settings)
        require_sound_checkpoint(progress, table)
        # Topics with losses are set aside meanwhile.
        aside = {old.topic: old for old in progress.set_aside}
        settled = progress.committed_in_lake(table)
        committed = {topic: dict(old.committed) for topic, old in aside.items()} | settled
        known = [topic for topic in offsets.ids if topic not in recreated(progress.topic_ids, offsets.ids)]
        lost = [
            replace(gap, partition=replace(gap.partition, topic_id=offsets.ids[gap.partition.topic]))
            for gap in expired(committed, offsets.first, known)
        ]
        found, _ = compare(session, context.settings)
        if not lost and not found.complaints:
            why = f" RAW cannot be compared now: {found.postponed}." if found.postponed else ""
            raise NothingToDoError(f"Nothing is lost: the broker still has every unread record.{why}")
        loss = Loss(lost, found.complaints)
        approve(loss)
        who = getpass.getuser()
        if loss.complaints:
            accept(session, context.settings, found, who)
        if lost:
            execute_all(session, note_gaps(lost, who))
            resumed = {gap.partition.topic for gap in lost}
            starting = {topic: ends for topic, ends in committed.items() if topic in resumed | settled.keys()}
            replace(
                progress,
                set_aside=tuple(old for old in progress.set_aside if old.topic not in resumed),
                began=progress.began | {topic: aside[topic].began for topic in resumed & aside.keys()},
            ).next_generation(offsets_after(starting, lost), {})
        return loss


def recover(context: IngestionContext, approve: Callable[[Recovery], None] = approved) -> Offsets:
    """Replace a lost checkpoint by one that starts after the highest offsets in the lake. Returns the offsets.

    Topics in the lake that are not today's, by name or by id, are retired with theirs.
    """
    with writing(context):
        progress, table, offsets = _state(context.settings)
        for trouble in offsets.troubles.values():
            raise trouble
        in_lake = lake_offsets(table)
        found = {topic: ends for (topic, topic_id), ends in in_lake.items() if offsets.ids.get(topic) == topic_id}
        approve(Recovery(progress.checkpoint, found))
        known = {(old.topic, old.topic_id) for old in (*progress.retired, *progress.set_aside)}
        retired = [
            RetiredTopic(topic, topic_id, ends)
            for (topic, topic_id), ends in sorted(in_lake.items())
            if topic_id != offsets.ids.get(topic) and (topic, topic_id) not in known
        ]
        aside = tuple(old for old in progress.set_aside if old.topic not in found)
        ids = {topic: offsets.ids[topic] for topic in found}
        replace(progress, set_aside=aside).next_generation(found, ids, tuple(retired))
        return found


def offsets_after(committed: Offsets, lost: Iterable[Gap]) -> Offsets:
    """The committed offsets, moved past the lost ones."""
    moved = {topic: dict(ends) for topic, ends in committed.items()}
    for gap in lost:
        moved[gap.partition.topic][gap.partition.number] = gap.last + 1
    return moved


def lake_offsets(table: DeltaTable) -> dict[tuple[str, str], dict[int, int]]:
    """The offset after the highest row of each partition, by topic and topic id. Files' rows are left out."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    names = ["kafka_topic", "kafka_topic_id", "kafka_partition", "kafka_offset"]
    for file in snapshot(table).files if table.latest_version() >= 0 else ():
        rows = pq.read_table(table.folder.file(file), columns=names, filesystem=table.folder.system)
        highest = rows.group_by(names[:3]).aggregate([("kafka_offset", "max")]).to_pylist()
        for row in highest:
            if row["kafka_offset_max"] is None or row["kafka_topic_id"] is None:
                continue
            ends = found.setdefault((row["kafka_topic"], row["kafka_topic_id"]), {})
            number = row["kafka_partition"]
            ends[number] = max(row["kafka_offset_max"] + 1, ends.get(number, 0))
    return found


def _state(settings: Settings) -> tuple[Progress, DeltaTable, TopicOffsets]:
    offsets = readable_offsets(settings.kafka_client_config(), topic_names(settings).values())
    return read_progress(settings.lake_root), DeltaTable(events_path(settings.lake_root)), offsets
