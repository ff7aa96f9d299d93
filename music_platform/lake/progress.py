"""What the checkpoint lacks: the topics' ids, and the offsets at which a restarted stream begins.

Offsets alone do not identify records: a topic that is deleted and created again has the same name, but new records
under the old offsets. And a checkpoint cannot be edited: to resume elsewhere (after adopting a topic, accepting a loss
or losing the checkpoint), the stream starts a new generation with its own checkpoint at given offsets. One small file
names the current generation, so a kill leaves either the old one or the new one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any

from music_platform.lake.checkpoint import CheckpointError, Offsets, committed_offsets, initial_offsets, query_id
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.files import Folder
from music_platform.lake.paths import checkpoint_path, checkpoints_path, events_path, progress_path

FILE = "progress.json"


@dataclass(frozen=True)
class RetiredTopic:
    """A topic that is not read any more, such as one that was created again: its id then, and the offsets up to which
    it is in the lake."""

    topic: str
    topic_id: str
    committed: dict[int, int]
    #: Where each partition was begun. One that is missing was begun at 0, or before this was noted.
    began: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """The recorded topic ids, the checkpoint's generation, and the offsets at which that generation starts."""

    root: str
    topic_ids: dict[str, str] = field(default_factory=dict)
    generation: int = 0
    starting: Offsets = field(default_factory=dict)
    retired: tuple[RetiredTopic, ...] = ()
    #: Query ids (Spark's, in the checkpoint's `metadata`) of earlier generations.
    retired_queries: tuple[str, ...] = ()
    #: Topics that are no longer the platform's, or cannot be read. Each resumes at its offsets when it comes back.
    set_aside: tuple[RetiredTopic, ...] = ()
    #: Where the partitions of earlier generations were begun.
    began: Offsets = field(default_factory=dict)

    @property
    def checkpoint(self) -> str:
        """The current checkpoint."""
        return checkpoint_path(self.root, self.generation)

    def committed(self) -> Offsets:
        """Offset after the last committed record, by topic and partition."""
        return self.starting | committed_offsets(self.checkpoint)

    def read_up_to(self) -> Offsets:
        """The same, and of topics that are set aside the offsets at which they resume."""
        return {old.topic: dict(old.committed) for old in self.set_aside} | self.committed()

    def committed_in_lake(self, table: DeltaTable) -> Offsets:
        """The same according to the table: a batch whose rows are in the lake counts, even if the stream died before
        its checkpoint said so, and so do records that were read around the stream. A new generation that starts here
        reads nothing twice."""
        query = query_id(self.checkpoint)
        at_least = table.last_batch(query) if query else -1
        found = self.starting | committed_offsets(self.checkpoint, at_least)
        names = {topic_id: topic for topic, topic_id in self.topic_ids.items()}
        for (topic_id, number), end in table.read_around().items():
            if (topic := names.get(topic_id)) is not None:
                parts = found.get(topic, {})
                found = found | {topic: parts | {number: max(end, parts.get(number, 0))}}
        return found

    def beginnings(self) -> Offsets:
        """Where each partition was begun, in whatever generation. One that is missing was not read in this one, nor
        is one whose first records were planned but never came to the lake."""
        initial: Offsets = {}
        read: Offsets = {}
        try:
            query, table = query_id(self.checkpoint), DeltaTable(events_path(self.root))
            read = committed_offsets(self.checkpoint)
            if read or (query and table.last_batch(query) >= 0):
                initial = initial_offsets(self.checkpoint)
        except (CheckpointError, ValueError):
            pass  # Damaged: `recover` replaces it.
        # A partition that was added while the checkpoint was in use is read from 0.
        added = {topic: dict.fromkeys(parts, 0) for topic, parts in read.items()}
        return {
            topic: added.get(topic, {}) | initial.get(topic, {}) | self.began.get(topic, {})
            for topic in sorted({*added, *initial, *self.began})
        }

    def retired_topic(self, topic: str, committed: Mapping[int, int]) -> RetiredTopic:
        """The topic as it is now, to be retired or set aside."""
        began = self.beginnings().get(topic, {})
        return RetiredTopic(topic, self.topic_ids.get(topic, ""), dict(committed), began)

    def next_generation(
        self, starting: Offsets, topic_ids: Mapping[str, str], retired: tuple[RetiredTopic, ...] = ()
    ) -> "Progress":
        """Start a new generation at the offsets `starting`. Returns the new progress."""
        last = DeltaTable(events_path(self.root)).last_transaction()
        queries = [_query_id(self.checkpoint), last.app_id if last else None]
        began = self.beginnings()
        new = replace(
            self,
            topic_ids={**self.topic_ids, **topic_ids},
            generation=self._next_number(),
            starting=starting,
            retired=(*self.retired, *retired),
            retired_queries=tuple({*self.retired_queries, *(query for query in queries if query)}),
            # A topic that is read from its first record again is another one.
            began={topic: began.get(topic, {}) for topic in starting},
        )
        new.save()
        return new

    def _next_number(self) -> int:
        """A generation without a checkpoint: after an older file was restored, later ones are there already."""
        taken = set(Folder.at(checkpoints_path(self.root)).folders())
        return next(n for n in count(self.generation + 1) if checkpoint_path("", n).rpartition("/")[2] not in taken)

    def with_new_topics(self, topic_ids: Mapping[str, str]) -> "Progress":
        """Record the ids of topics that were not read before."""
        if all(topic in self.topic_ids for topic in topic_ids):
            return self
        new = replace(self, topic_ids={**topic_ids, **self.topic_ids})
        new.save()
        return new

    def save(self) -> None:
        """Write the file atomically."""
        content = {name: value for name, value in asdict(self).items() if name != "root"}
        Folder.at(progress_path(self.root)).write(FILE, json.dumps(content, indent=2).encode())

    def starting_offsets(self, partitions: Offsets) -> str:
        """`startingOffsets` for Spark, as JSON: this generation's offsets, and "earliest" for all other partitions."""
        if not self.starting:
            return "earliest"
        chosen = {
            topic: {str(number): self.starting.get(topic, {}).get(number, -2) for number in numbers}
            for topic, numbers in partitions.items()
        }
        return json.dumps(chosen)


def read_progress(root: str) -> Progress:
    """The progress of the lake at `root`; that of a new lake if nothing is recorded."""
    try:
        found: dict[str, Any] = json.loads(Folder.at(progress_path(root)).read(FILE))
    except FileNotFoundError:
        return Progress(root)
    except ValueError:
        raise CheckpointError(
            f"{progress_path(root)}/{FILE} cannot be read: it is damaged. Restore it from a backup, or delete it and "
            "run: music-platform recover"
        ) from None
    return Progress(
        root,
        found["topic_ids"],
        found["generation"],
        {topic: _offsets(parts) for topic, parts in found["starting"].items()},
        _topics(found["retired"]),
        tuple(found["retired_queries"]),
        _topics(found.get("set_aside", [])),
        {topic: _offsets(parts) for topic, parts in found.get("began", {}).items()},
    )


def _topics(found: list[dict[str, Any]]) -> tuple[RetiredTopic, ...]:
    return tuple(
        RetiredTopic(old["topic"], old["topic_id"], _offsets(old["committed"]), _offsets(old.get("began", {})))
        for old in found
    )


def _query_id(checkpoint: str) -> str | None:
    try:
        return query_id(checkpoint)
    except CheckpointError:
        return None  # A damaged checkpoint is replaced without its id.


def _offsets(parts: Mapping[str, int]) -> dict[int, int]:
    return {int(number): offset for number, offset in parts.items()}
