"""Decisions of the automation, as pure functions of what the sensors have read. Times are seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """Whether to start a run, and why, in words for the UI."""

    start: bool
    reason: str


@dataclass(frozen=True)
class Runs:
    """What is known of the runs of a kind.

    `in_flight`: one that would do this work, or that changes its inputs, is queued or at work. `failures`: how many of
    the last ones failed in a row; the last of them ended `idle_seconds` ago. `pauses`: seconds to wait after the first,
    second, third … failure in a row; from the last on it stays.
    """

    in_flight: bool = False
    failures: int = 0
    idle_seconds: float = 0.0
    pauses: Sequence[int] = (60, 300, 900, 3600)

    def obstacle(self) -> str | None:
        """Why no run can be started now; None if nothing is in the way."""
        if self.in_flight:
            return "a run is at it"
        if (pause := pause_after(self.failures, self.pauses) - self.idle_seconds) > 0:
            return f"{self.failures} runs in a row have failed, the next starts in {pause:.0f} s"
        return None


def pause_after(failures: int, pauses: Sequence[int]) -> int:
    """Seconds to wait after so many failures in a row, so that what fails for ever does not run for ever."""
    return pauses[min(failures, len(pauses)) - 1] if failures else 0


def decide_ingest(
    kafka: tuple[int, float], lake: tuple[int, float], threshold: int, runs: Runs, shortage: str | None = None
) -> Decision:
    """Start a run when either stage has a backlog of at least `threshold` records and nothing is in the way.

    A backlog is its records and the age of the oldest; `kafka`'s are in no micro-batch yet, `lake`'s are not in RAW.
    What is in the lake is loaded whatever the threshold: a run that died between the two must not wait for new records.
    `shortage` says that there is no room on a disk; None where there is.
    """
    if not kafka[0] and not lake[0]:
        return Decision(False, "nothing to do: every record is in RAW")
    said = f"{_backlog('Kafka', *kafka)}, {_backlog('the lake', *lake)} not in RAW"
    if obstacle := runs.obstacle() or shortage:
        return Decision(False, f"{said}; {obstacle}")
    if lake[0] > 0 or kafka[0] >= threshold:
        return Decision(True, said)
    return Decision(False, f"{said}; LAG_THRESHOLD_RECORDS is {threshold:,}")


def _backlog(where: str, records: int, seconds: float) -> str:
    return f"{records:,} records in {where}" + (f" (oldest {seconds:.0f} s)" if seconds else "")


def decide_live(now: str, built: str | None, behind: str, failed_checks: Iterable[str], runs: Runs) -> Decision:
    """Start a build of the live models when what they are made from is not what the last build was made from.

    `now` and `built` name the inputs (see `inputs`), `behind` says how far they are apart. While a blocking check on
    what the models read fails (`failed_checks`), nothing is built: wrong data goes no further.
    """
    if now == built:
        return Decision(False, f"nothing to do: the live models are built from {now}")
    said = f"the live models are built from {built or 'nothing yet'}, there is {now}{behind}"
    if failed := sorted(failed_checks):
        return Decision(False, f"{said}; held back by the failed check {', '.join(failed)}")
    if obstacle := runs.obstacle():
        return Decision(False, f"{said}; {obstacle}")
    return Decision(True, said)


def decide_policy(
    ages: Mapping[str, float], warn_after: float, backlog: str | None, failed_checks: Iterable[str], runs: Runs
) -> Decision:
    """Start a rebuild of the policy marts when one is older than `warn_after` and there is something new to build from.

    `ages` are seconds since the last materialization by mart, infinite for one that was never made; `backlog` says what
    is in the live models and not in these, None for nothing.
    """
    oldest = max(ages, key=lambda mart: ages[mart], default="")
    if not oldest or backlog is None:
        return Decision(False, "nothing to do: the policy marts are built from what the live models are")
    age = "was never built" if ages[oldest] == float("inf") else f"is {ages[oldest]:.0f} s old"
    said = f"{backlog}; the oldest policy mart, {oldest}, {age}"
    if ages[oldest] < warn_after:
        return Decision(False, f"{said}; the rebuild is due at {warn_after:.0f} s")
    if failed := sorted(failed_checks):
        return Decision(False, f"{said}; held back by the failed check {', '.join(failed)}")
    if obstacle := runs.obstacle():
        return Decision(False, f"{said}; {obstacle}")
    return Decision(True, said)


def decide_upkeep(now: str, seen: str | None, idle_seconds: float = 0.0, interval: float = 0.0) -> Decision:
    """Start checks or upkeep when there is something that the last such run, begun `idle_seconds` ago, has not seen,
    and at most once in `interval`."""
    if now == seen:
        return Decision(False, f"nothing to do: the last run has seen {now}")
    said = f"the last run has seen {seen or 'nothing yet'}, there is {now}"
    if idle_seconds < interval:
        return Decision(False, f"{said}; the next starts in {interval - idle_seconds:.0f} s")
    return Decision(True, said)


def verified_complete(ages: Mapping[str, float], half_window: float, complete: bool) -> list[str]:
    """Marts whose completeness is to be reported without a run: nothing is behind, and the last word on them is older
    than half their window. One that was never built has nothing to be complete."""
    return sorted(mart for mart, age in ages.items() if complete and half_window <= age < float("inf"))


#: Seconds from one observation of a topic to the next. Dagster's store keeps kilobytes of each.
OBSERVATION_SECONDS = 60.0
#: Topics that one tick observes. Each costs Dagster some 50 ms.
OBSERVED_AT_ONCE = 10


@dataclass(frozen=True)
class Observed:
    """The end offsets of a topic, by partition, as they were last reported, and when (epoch seconds)."""

    ends: Mapping[int, int]
    at: float


def topics_to_observe(ends: Mapping[str, Mapping[int, int]], observed: Mapping[str, Observed], now: float) -> list[str]:
    """Topics whose own end has moved since it was last reported, at most once in `OBSERVATION_SECONDS` for each.

    Those that have waited for longest come first, and `OBSERVED_AT_ONCE` at most.
    """
    never = Observed({}, float("-inf"))
    before = {topic: observed.get(topic, never) for topic in ends}
    moved = [
        topic
        for topic, parts in ends.items()
        if parts != before[topic].ends and now - before[topic].at >= OBSERVATION_SECONDS
    ]
    return sorted(moved, key=lambda topic: before[topic].at)[:OBSERVED_AT_ONCE]
