"""Seconds between moments of the wall clock, which can be set back. Within one process, use `time.monotonic`."""

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
