"""Topics and partitions that came or went since the checkpoint was written.

Spark refuses such a change for all topics at once, so the stream begins a new generation of its checkpoint wherever
nothing was promised:

- a partition that it does not know, and whose first records the broker has deleted already;
- a partition whose first records the broker deleted before any micro-batch was committed;
- a topic that is no longer one of the platform's, or that cannot be read (`gaps`): it is set aside with the offsets up
  to which it is in the lake, so that it resumes there when it comes back, and the others are read meanwhile. `retire`
  says that it will not come back.

Offsets that are lost after something was read from a partition are a person's decision (`gaps`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from music_platform.errors import PlatformError
from music_platform.ingestion.context import IngestionContext, writing
from music_platform.ingestion.gaps import recreated, require_sound_checkpoint
from music_platform.lake.checkpoint import Offsets, committed_offsets, initial_offsets
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress, RetiredTopic, read_progress
from music_platform.topics import TopicOffsets, topic_names


class NotSetAsideError(PlatformError):
    """The topic cannot be retired."""


@dataclass(frozen=True)
class Read:
    """What the stream has read. `committed` is each partition's next offset, `initial` where the checkpoint began,
    `starting` the offsets that its generation was given. The checkpoint's own are empty while there is none."""

    committed: Offsets = field(default_factory=dict)
    initial: Offsets = field(default_factory=dict)
    starting: Offsets = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """Partitions to begin at the broker's first offset, topics to set aside, and topics that come back."""

    begin: Offsets = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    back: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.begin or self.gone or self.back)


def changes(read: Read, offsets: TopicOffsets, aside: dict[str, str], ignored: list[str]) -> Changes:
    """What changed between what was read and the topics as they are.

    `aside` are the ids of topics that were set aside or retired; `ignored` topics wait for a person's decision.
    """
    known = read.committed or read.initial
    begin: Offsets = {}
    back = [t for t in offsets.ids if t in aside and aside[t] == offsets.ids[t] and t not in read.starting | known]
    for topic, parts in offsets.first.items():
        if topic in ignored or topic in back:
            continue
        for number, first in parts.items():
            began = known.get(topic, {}).get(number)
            promised = read.committed.get(topic, {}).get(number, read.starting.get(topic, {}).get(number))
            # Without a checkpoint Spark begins wherever the broker does.
            if known and promised is None and first > (began or 0):
                begin.setdefault(topic, {})[number] = first
    gone = sorted((read.starting | known).keys() - offsets.ids.keys())
    return Changes(begin, tuple(gone), tuple(sorted(back)))


def pending_changes(progress: Progress, offsets: TopicOffsets) -> Changes:
    """What `adjust` would change."""
    read = Read(committed_offsets(progress.checkpoint), initial_offsets(progress.checkpoint), progress.starting)
    ids = {name: topic.topic_id for name, topic in _not_read(progress).items()}
    return changes(read, offsets, ids, recreated(progress.topic_ids, offsets.ids))


def _not_read(progress: Progress) -> dict[str, RetiredTopic]:
    """Topics that were retired or set aside, by name."""
    return {topic.topic: topic for topic in (*progress.retired, *progress.set_aside)}


def adjust(progress: Progress, table: DeltaTable, offsets: TopicOffsets, log: Callable[[str], None]) -> Progress:
    """The progress with which the stream can resume over today's topics, in a new generation if they changed."""
    found = pending_changes(progress, offsets)
    if not found:
        return progress
    old = _not_read(progress)
    settled = progress.committed_in_lake(table)
    starting = {topic: dict(ends) for topic, ends in settled.items() if topic not in found.gone}
    for topic in found.back:
        starting[topic] = dict(old[topic].committed)
        log(f"{topic} is read again; it resumes at {old[topic].committed}")
    for topic, parts in found.begin.items():
        # The lake may have a micro-batch that the checkpoint does not call committed yet.
        starting[topic] = {**parts, **starting.get(topic, {})}
        log(f"{topic} is read from the first records that the broker still has: {starting[topic]}")
    aside = {topic.topic: topic for topic in progress.set_aside if topic.topic not in found.back}
    for topic in found.gone:
        aside[topic] = progress.retired_topic(topic, settled.get(topic, {}))
    kept = tuple(topic for topic in progress.retired if topic.topic not in found.back or topic != old[topic.topic])
    began = progress.began | {topic: old[topic].began for topic in found.back}
    return replace(progress, set_aside=tuple(aside.values()), retired=kept, began=began).next_generation(starting, {})


def set_aside_sentences(progress: Progress, names: Collection[str]) -> list[str]:
    """A sentence for each topic that was set aside because it is none of the platform's (`names`) any more."""
    return [
        f"{old.topic} is no longer one of the platform's topics (SHAPE_TOPICS, TOPIC_PREFIX) and is not read. If it "
        f"comes back, it resumes at {old.committed}. If it does not: music-platform topic retire {old.topic}"
        for old in progress.set_aside
        if old.topic not in names
    ]


def retire(context: IngestionContext, topic: str, approve: Callable[[RetiredTopic], None] = lambda _: None) -> None:
    """Retire a topic that is no longer one of the platform's. Its rows stay; the rest of it is not missed."""
    settings = context.settings
    if topic in topic_names(settings).values():
        raise NotSetAsideError(f"{topic} is one of the platform's topics. Take it out of SHAPE_TOPICS first.")
    with writing(context):
        progress, table = read_progress(settings.lake_root), DeltaTable(events_path(settings.lake_root))
        require_sound_checkpoint(progress, table)
        committed = progress.committed_in_lake(table)
        found = {old.topic: old for old in progress.set_aside}
        if topic in committed:
            found[topic] = progress.retired_topic(topic, committed[topic])
        if topic not in found:
            raise NotSetAsideError(f"{topic} was never read, or is retired already: nothing to do")
        approve(found[topic])
        left = tuple(old for old in progress.set_aside if old.topic != topic)
        new = replace(progress, set_aside=left, retired=(*progress.retired, found[topic]))
        if topic in committed:
            new.next_generation({name: ends for name, ends in committed.items() if name != topic}, {})
        else:
            new.save()
