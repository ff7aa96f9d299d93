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

from music_platform.lake.checkpoint import CheckpointError, Offsets, committed_offsets, query_id
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
    #: Topics that are no longer the platform's. Each resumes at its offsets when it comes back.
    set_aside: tuple[RetiredTopic, ...] = ()

    @property
    def checkpoint(self) -> str:
        """The current checkpoint."""
        return checkpoint_path(self.root, self.generation)

    def committed(self) -> Offsets:
        """Offset after the last committed record, by topic and partition."""
        return self.starting | committed_offsets(self.checkpoint)

    def committed_in_lake(self, table: DeltaTable) -> Offsets:
        """The same according to the table: a batch whose rows are in the lake counts, even if the stream died before
        its checkpoint said so. A new generation that starts here reads nothing twice."""
        query = query_id(self.checkpoint)
        at_least = table.last_batch(query) if query else -1
        return self.starting | committed_offsets(self.checkpoint, at_least)

    def next_generation(
        self, starting: Offsets, topic_ids: Mapping[str, str], retired: tuple[RetiredTopic, ...] = ()
    ) -> "Progress":
        """Start a new generation at the offsets `starting`. Returns the new progress."""
        last = DeltaTable(events_path(self.root)).last_transaction()
        queries = [_query_id(self.checkpoint), last.app_id if last else None]
        new = replace(
            self,
            topic_ids={**self.topic_ids, **topic_ids},
            generation=self._next_number(),
            starting=starting,
            retired=(*self.retired, *retired),
            retired_queries=tuple({*self.retired_queries, *(query for query in queries if query)}),
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
    )


def _topics(found: list[dict[str, Any]]) -> tuple[RetiredTopic, ...]:
    return tuple(RetiredTopic(old["topic"], old["topic_id"], _offsets(old["committed"])) for old in found)


def _query_id(checkpoint: str) -> str | None:
    try:
        return query_id(checkpoint)
    except CheckpointError:
        return None  # A damaged checkpoint is replaced without its id.


def _offsets(parts: Mapping[str, int]) -> dict[int, int]:
    return {int(number): offset for number, offset in parts.items()}
