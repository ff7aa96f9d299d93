"""The schedule of a run: when each record is due on the wall clock, in seconds after launch.

Three modes: as fast as possible (history), a number of records per second (`--rate`), or at the pace of the simulated
clock (`--live`). None of them changes a record or the order of records.
"""

from typing import Protocol

import numpy as np

from music_simulator.options import Burst
from music_simulator.randomness import F64, I64


class Pace(Protocol):
    """A schedule. It is asked for each record once, in order."""

    def due(self, seconds: I64) -> F64 | None:
        """Wall-clock seconds after launch of records due at these simulated seconds; None means at once."""


class AtOnce:
    """History mode."""

    def due(self, seconds: I64) -> F64 | None:  # noqa: ARG002
        """No schedule."""
        return None


class ByClock:
    """One simulated second per second."""

    def due(self, seconds: I64) -> F64 | None:
        """When the simulated clock reaches the record's second."""
        return seconds.astype(np.float64)


class ByRate:
    """`rate` records per second, multiplied by the factor of a burst while it lasts."""

    def __init__(self, rate: float, bursts: tuple[Burst, ...] = ()) -> None:
        self._rate, self._bursts, self._reached = rate, bursts, 0.0

    def due(self, seconds: I64) -> F64 | None:
        """Evenly spaced from launch."""
        step = np.full(len(seconds), 1.0 / self._rate)
        for burst in self._bursts:
            opens = burst.at_hour * 3600
            step[(seconds >= opens) & (seconds < opens + burst.minutes * 60)] /= burst.factor
        due: F64 = self._reached + np.cumsum(step) - step
        if len(step):
            self._reached = float(due[-1] + step[-1])
        return due
