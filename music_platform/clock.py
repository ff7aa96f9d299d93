"""Seconds between moments of the wall clock, which can be set. Within one process, use `time.monotonic`."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

#: Seconds by which another machine's clock may be ahead.
SKEW_SECONDS = 5.0


def seconds_since(moment: float, now: float) -> float:
    """Seconds from `moment` to `now`, both in epoch seconds.

    A moment in the future is one from before the clock was set back. How long ago it was is unknown, and nothing may
    wait until the clock has caught up: the answer is infinite.
    """
    if moment > now + SKEW_SECONDS:
        return inf
    return max(0.0, now - moment)


@dataclass(frozen=True)
class Step:
    """The clock was set: to `at` in epoch seconds, which is `by` seconds more than it would have shown."""

    at: float
    by: float


def as_shown_now(moment: float, steps: Iterable[Step], now: float) -> float:
    """What the clock of now would have shown at a moment that was noted when it did, before or after these steps.

    Never in the future. Of a clock that was set back, the hours that it goes through twice are those of the second
    time.
    """
    for step in steps:
        before = moment <= step.at - step.by if step.by > 0 else moment > now
        if before:
            moment += step.by
    return min(moment, now)


class StepDetector:
    """Notices that the clock was set: it has then moved by more or less than the monotonic one, which nobody sets.

    A machine that was suspended counts as one whose clock was set forward: nothing on it has waited meanwhile.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._apart = wall() - monotonic()

    def seconds(self) -> float:
        """Seconds by which the clock was set since the last call; 0 for less than SKEW_SECONDS."""
        before, self._apart = self._apart, self._wall() - self._monotonic()
        by = self._apart - before
        return by if abs(by) > SKEW_SECONDS else 0.0
