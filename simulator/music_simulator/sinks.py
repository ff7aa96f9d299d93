"""Where records go: Kafka topics or files.

A sink takes slices of records in order of delivery, numbered from 0 over the whole run. When it is closed, it reports
which of those numbers did not arrive.
"""

import os
import time
from collections import defaultdict
from itertools import compress
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from music_platform.contracts.events import TOPICS
from music_platform.errors import PlatformError
from music_simulator.disturbances import KINDS

#: Maximum number of lines in a part file.
PART_LINES = 250_000


class SinkError(PlatformError):
    """The sink cannot be written to. The message is one line for the user: what, where, what next."""


class Sink(Protocol):
    """What a run needs from its sink."""

    def deliver(self, kinds: list[int], texts: list[bytes], keys: list[bytes], times: list[int] | None = None) -> int:
        """Take the next records, or as many as it can without a long wait. Returns how many it took.

        `times`: the records' times in epoch milliseconds; without them, they are those of their delivery.
        """

    def poll(self) -> str:
        """Do what is due; called a few times per second. Returns a message if the sink is retrying, or ''."""

    def close(self, patience_seconds: float) -> set[int]:
        """Flush everything. Returns the numbers of the records that did not arrive."""


@runtime_checkable
class Retrying(Protocol):
    """A sink that resends what was not acknowledged."""

    def retried(self) -> str:
        """One line about what had to be resent."""


class Discard:
    """Accepts everything and keeps nothing, to measure what generating costs."""

    def deliver(
        self,
        kinds: list[int],
        texts: list[bytes],  # noqa: ARG002
        keys: list[bytes],  # noqa: ARG002
        times: list[int] | None = None,  # noqa: ARG002
    ) -> int:
        """Nothing to do."""
        return len(kinds)

    def poll(self) -> str:
        """Nothing to do."""
        return ""

    def close(self, patience_seconds: float) -> set[int]:  # noqa: ARG002
        """Nothing to flush."""
        return set()


class Files:
    """Writes DIR/<topic>/part-<run>-<number>.jsonl. A part gets this name when it is complete. If records have times of
    their own, part-….times has them, a line for each.

    Parts of an earlier run of the same name are removed first, so that the folder holds one run of that name. With
    `publish_seconds`, parts are also completed that often, so that readers of a slow run see them.
    """

    def __init__(
        self, folder: Path, run: str, part_lines: int = PART_LINES, publish_seconds: float | None = None
    ) -> None:
        self._part_lines, self._run = part_lines, run
        self._publish_seconds, self._published = publish_seconds, time.monotonic()
        self._folders = [folder / TOPICS[kind] for kind in KINDS]
        self._open: dict[int, IO[bytes]] = {}
        self._times: dict[int, IO[bytes]] = {}
        self._lines: dict[int, int] = defaultdict(int)
        self._number: dict[int, int] = defaultdict(int)
        try:
            for topic in self._folders:
                topic.mkdir(parents=True, exist_ok=True)
                for left in (*topic.glob(f".part-{run}-*.tmp"), *topic.glob(f"part-{run}-*")):
                    left.unlink()
        except OSError as error:
            raise SinkError(f"cannot write to {folder}: {error.strerror}; choose another folder with --out") from None

    def deliver(
        self,
        kinds: list[int],
        texts: list[bytes],
        keys: list[bytes],  # noqa: ARG002
        times: list[int] | None = None,
    ) -> int:
        """Append each text to its topic's part."""
        try:
            for kind in set(kinds):
                chosen = [k == kind for k in kinds]
                lines, at = list(compress(texts, chosen)), list(compress(times or (), chosen))
                while lines:
                    room = self._part_lines - self._lines[kind]
                    self._append(kind, lines[:room], at[:room])
                    lines, at = lines[room:], at[room:]
        except OSError as error:
            raise SinkError(f"cannot write to {self._folders[0].parent}: {error.strerror}") from None
        return len(kinds)

    def poll(self) -> str:
        """Complete all parts if it is time to publish."""
        now = time.monotonic()
        if self._publish_seconds is not None and now - self._published >= self._publish_seconds:
            self._published = now
            self._finish_all()
        return ""

    def close(self, patience_seconds: float) -> set[int]:  # noqa: ARG002
        """Complete all parts."""
        self._finish_all()
        return set()

    def _finish_all(self) -> None:
        for kind in list(self._open):
            self._finish(kind)

    def _path(self, kind: int) -> Path:
        return self._folders[kind] / f"part-{self._run}-{self._number[kind]:05d}.jsonl"

    def _append(self, kind: int, lines: list[bytes], times: list[int]) -> None:
        if kind not in self._open:
            final = self._path(kind)
            self._open[kind] = (final.parent / f".{final.name}.tmp").open("wb")
            if times:
                self._times[kind] = final.with_suffix(".times").open("wb")
        if times:
            self._times[kind].write(b"".join(b"%d\n" % time for time in times))
        self._open[kind].write(b"\n".join(lines) + b"\n")
        self._lines[kind] += len(lines)
        if self._lines[kind] >= self._part_lines:
            self._finish(kind)

    def _finish(self, kind: int) -> None:
        for open_files in (self._times, self._open):
            if kind in open_files:
                open_files.pop(kind).close()
        final = self._path(kind)
        os.replace(final.parent / f".{final.name}.tmp", final)
        self._number[kind] += 1
        self._lines[kind] = 0
