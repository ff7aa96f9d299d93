"""How long `up` waits for a service that has been started: for as long as it makes progress, within bounds.

A cold JVM takes ten seconds on an idle machine and minutes on a busy one. Whether it is slow or stuck shows from
outside: a slow one uses CPU or writes to its log.
"""

from dataclasses import dataclass, field

#: Seconds that every service gets, whatever it does.
PATIENCE = 120.0
#: Seconds without progress after which a service counts as stuck, once it has had those.
QUIET = 60.0
#: Seconds after which the wait ends in any case: a service may be busy with failing.
LIMIT = 600.0
#: CPU seconds that count as progress. A starting service on a crowded machine gets a few hundredths of a core; an idle
#: JVM uses less.
WORK_SECONDS = 1.0


@dataclass(frozen=True)
class Work:
    """What a service has done so far, as seen from outside: CPU seconds of its processes and bytes of its log."""

    cpu_seconds: float
    log_bytes: int


@dataclass
class Wait:
    """The wait for one service. Times are those of a monotonic clock."""

    begun: float
    pids: set[int] = field(default_factory=set)
    _seen: Work = Work(0.0, 0)
    _progress: float = float("-inf")

    def note(self, now: float, work: Work) -> None:
        """Compare what the service has done with what it had done at its last progress."""
        # Less than before is progress too: another process has taken the place of one that ended.
        worked = abs(work.cpu_seconds - self._seen.cpu_seconds) >= WORK_SECONDS
        if worked or work.log_bytes != self._seen.log_bytes:
            self._seen, self._progress = work, now

    def is_over(self, now: float) -> bool:
        """Whether to give the service up."""
        waited, quiet = now - self.begun, now - self._progress
        return waited > LIMIT or (waited > PATIENCE and quiet > QUIET)
