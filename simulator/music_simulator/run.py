"""A run: from the generation to the sink on schedule, until the end, the requested number of records or Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Protocol

import numpy as np

from music_simulator.disturbances import KINDS, Records
from music_simulator.generation import Batch, Generation
from music_simulator.options import Options
from music_simulator.pace import Pace
from music_simulator.sinks import Sink

#: Records that are handed to the sink at once, and seconds between two looks at the clock.
SLICE, TICK_SECONDS = 5_000, 0.02
#: Seconds to wait for the last records to be delivered: normally, and after Ctrl-C.
FLUSH_SECONDS, STOPPED_FLUSH_SECONDS = 900.0, 60.0


class Log(Protocol):
    """Keeps what was delivered, for the truth."""

    def append(self, records: Records) -> None:
        """The next records, in the order of delivery."""


@dataclass
class Progress:
    """How far a run is."""

    delivered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    total: int = 0
    second: int = 0
    behind_seconds: float = 0.0
    trouble: str = ""
    lost: int = 0
    stopped: bool = False
    seconds: float = 0.0


@dataclass
class Run:
    """Everything that takes part in a run. `stop` is called often, `show` a few times per second."""

    options: Options
    generation: Generation
    sink: Sink
    pace: Pace
    stop: Callable[[], bool]
    show: Callable[[Progress], None]
    log: Log | None = None
    progress: Progress = field(default_factory=Progress)
    lost: set[int] = field(default_factory=set)

    def carry_out(self) -> Progress:
        """Deliver all records, then flush. The numbers of records that did not arrive are in `lost`."""
        began = self._shown = self._launch = time.monotonic()
        for number, batch in enumerate(self.generation.batches()):
            if number == 0:  # the schedule starts when there is something to deliver
                self._launch = time.monotonic()
            self._deliver(self._cut(batch))
            if self.stop() or self.progress.total == self.options.events:
                break
        self.progress.stopped = self.stop()
        self._flush()
        self.progress.seconds = time.monotonic() - began
        self.progress.lost = len(self.lost)
        return self.progress

    def _cut(self, batch: Batch) -> Batch:
        """At most as many records as `--events` still allows."""
        if self.options.events is None:
            return batch
        n = max(0, self.options.events - self.progress.total)
        return Batch(batch.records[:n], batch.texts[:n], batch.keys[:n]) if n < len(batch) else batch

    def _deliver(self, batch: Batch) -> None:
        kinds = batch.records["kind"].tolist()
        due = self.pace.due(batch.records["due"])
        # Where clocks are wrong, the time of a record is part of what happens, so the sink must not choose it.
        start = int(self.options.start.replace(tzinfo=UTC).timestamp())
        times = ((batch.records["due"] + start) * 1000).tolist() if self.options.wrong_clocks else None
        at, n = 0, len(batch)
        while at < n and not self.stop():
            ready = min(n, at + SLICE)
            if due is not None:
                now = time.monotonic() - self._launch
                ready = min(ready, int(np.searchsorted(due, now, side="right")))
                if ready <= at:
                    self._wait(float(due[at]) - now)
                    continue
            part = slice(at, ready)
            ready = at + self.sink.deliver(
                kinds[part], batch.texts[part], batch.keys[part], None if times is None else times[part]
            )
            if ready == at:
                self._report()
                continue
            if due is not None:
                self.progress.behind_seconds = time.monotonic() - self._launch - float(due[ready - 1])
            self.progress.second = int(batch.records["due"][ready - 1])
            for number, count in enumerate(np.bincount(batch.records["kind"][at:ready], minlength=len(KINDS))):
                self.progress.delivered[KINDS[number]] += int(count)
            self.progress.total += ready - at
            at = ready
            self._report()
        if self.log is not None and at:
            self.log.append(batch.records[:at])

    def _wait(self, seconds: float) -> None:
        self.progress.behind_seconds = 0.0
        self._report()
        time.sleep(min(max(seconds, 0.001), TICK_SECONDS))

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._shown >= 0.25:
            self._shown = now
            self.progress.trouble = self.sink.poll()
            self.progress.seconds = now - self._launch
            self.show(self.progress)

    def _flush(self) -> None:
        patience = STOPPED_FLUSH_SECONDS if self.progress.stopped else FLUSH_SECONDS
        self.lost = self.sink.close(patience)
