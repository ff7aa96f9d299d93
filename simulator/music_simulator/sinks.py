"""Where records go: Kafka topics or files.

A sink takes slices of records in the order of delivery, numbered from 0 over the whole run, and says at its end which
of those numbers did not arrive.
"""

import os
import time
from collections import defaultdict
from itertools import compress
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from music_platform.contracts.events import TOPICS
from music_simulator.disturbances import KINDS

#: Lines of a part file, at the most.
PART_LINES = 250_000


class SinkError(RuntimeError):
    """The sink cannot be written to; the message is one line for a person: what, where, what next."""


class Sink(Protocol):
    """What a run needs of its sink."""

    def deliver(self, kinds: list[int], texts: list[bytes], keys: list[bytes]) -> int:
        """Take the next records, or as many of them as it can without waiting for long; how many it took."""

    def rest(self) -> str:
        """Called while the schedule waits; returns a word on trouble that the sink is working on, or ''."""

    def close(self, patience_seconds: float) -> set[int]:
        """Flush everything; numbers of the records that did not arrive."""


@runtime_checkable
class Retrying(Protocol):
    """A sink that repeats what was not acknowledged."""

    def retried(self) -> str:
        """One line on what had to be sent again."""


class Discard:
    """Takes everything and keeps nothing: to measure what generating costs."""

    def deliver(self, kinds: list[int], texts: list[bytes], keys: list[bytes]) -> int:  # noqa: ARG002
        """Nothing to do."""
        return len(kinds)

    def rest(self) -> str:
        """No trouble."""
        return ""

    def close(self, patience_seconds: float) -> set[int]:  # noqa: ARG002
        """Nothing to flush."""
        return set()


class Files:
    """DIR/<topic>/part-<run>-<number>.jsonl; a part gets its name when it is whole.

    What an earlier run of the same name left in the folder is removed first, so that the folder holds one run of it.
    With `publish_seconds` a part is also ended when it is that old, so that readers of a slow run see it.
    """

    def __init__(
        self, folder: Path, run: str, part_lines: int = PART_LINES, publish_seconds: float | None = None
    ) -> None:
        self._part_lines, self._run = part_lines, run
        self._publish_seconds, self._published = publish_seconds, time.monotonic()
        self._folders = [folder / TOPICS[kind] for kind in KINDS]
        self._open: dict[int, IO[bytes]] = {}
        self._lines: dict[int, int] = defaultdict(int)
        self._number: dict[int, int] = defaultdict(int)
        try:
            for topic in self._folders:
                topic.mkdir(parents=True, exist_ok=True)
                for left in (*topic.glob(f".part-{run}-*.tmp"), *topic.glob(f"part-{run}-*.jsonl")):
                    left.unlink()
        except OSError as error:
            raise SinkError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None

    def deliver(self, kinds: list[int], texts: list[bytes], keys: list[bytes]) -> int:  # noqa: ARG002
        """Append each text to its topic's part."""
        try:
            for kind in set(kinds):
                lines = list(compress(texts, [k == kind for k in kinds]))
                while lines:
                    room = self._part_lines - self._lines[kind]
                    self._append(kind, lines[:room])
                    lines = lines[room:]
        except OSError as error:
            raise SinkError(f"cannot write to {self._folders[0].parent}: {error.strerror}") from None
        return len(kinds)

    def rest(self) -> str:
        """End parts that are old enough."""
        now = time.monotonic()
        if self._publish_seconds is not None and now - self._published >= self._publish_seconds:
            self._published = now
            self._finish_all()
        return ""

    def close(self, patience_seconds: float) -> set[int]:  # noqa: ARG002
        """End all parts."""
        self._finish_all()
        return set()

    def _finish_all(self) -> None:
        for kind in list(self._open):
            self._finish(kind)

    def _path(self, kind: int) -> Path:
        return self._folders[kind] / f"part-{self._run}-{self._number[kind]:05d}.jsonl"

    def _append(self, kind: int, lines: list[bytes]) -> None:
        if kind not in self._open:
            final = self._path(kind)
            self._open[kind] = (final.parent / f".{final.name}.tmp").open("wb")
        self._open[kind].write(b"\n".join(lines) + b"\n")
        self._lines[kind] += len(lines)
        if self._lines[kind] >= self._part_lines:
            self._finish(kind)

    def _finish(self, kind: int) -> None:
        file = self._open.pop(kind)
        file.close()
        final = self._path(kind)
        os.replace(final.parent / f".{final.name}.tmp", final)
        self._number[kind] += 1
        self._lines[kind] = 0
