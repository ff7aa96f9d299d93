"""Decisions of the automation, as pure functions of what the sensors read. Times are in seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from music_platform.clock import seconds_since


@dataclass(frozen=True)
class Decision:
    """Whether to start a run, and why, in words for the UI."""

    start: bool
    reason: str


@dataclass(frozen=True)
class Runs:
    """What is known about the runs of a kind.

    `in_flight`: a run that does this work, or changes its inputs, is queued or running. `failures`: how many of the
    latest runs failed in a row; the last of them ended `idle_seconds` ago. `pauses`: seconds to wait after the first,
    second, third … failure in a row; the last number applies to all later ones.
    """

    in_flight: bool = False
    failures: int = 0
    idle_seconds: float = 0.0
    pauses: Sequence[int] = (60, 300, 900, 3600)

    def obstacle(self) -> str | None:
        """Why no run can start now; None if one can."""
        if self.in_flight:
            return "a run is in progress"
        if (pause := pause_after(self.failures, self.pauses) - self.idle_seconds) > 0:
            return f"{self.failures} runs in a row failed, retrying in {pause:.0f} s"
        return None


def pause_after(failures: int, pauses: Sequence[int]) -> int:
    """Seconds to wait after this many failures in a row, so that a job that keeps failing runs less and less often."""
    return pauses[min(failures, len(pauses)) - 1] if failures else 0


def decide_ingest(
    kafka: tuple[int, float],
    lake: tuple[int, float],
    threshold: int,
    runs: Runs,
    shortage: str | None = None,
    unknown: str | None = None,
    patience: float = float("inf"),
    away: str | None = None,
) -> Decision:
    """Start a run when either stage has a backlog of at least `threshold` records, or one that has waited for
    `patience` seconds, and nothing is in the way.

    A backlog is its records and the age of the oldest; `kafka`'s are in no micro-batch yet, `lake`'s are not in RAW.
    What is in the lake is loaded whatever the threshold: a run that died between the two must not wait for new records.
    `shortage` says that there is no room on a disk; None where there is. `unknown` says why a topic cannot be read or a
    stage not be measured from here: a run then starts whatever the backlog, because it takes in the files, loads the
    lake and asks the warehouse, and stops with what to do. `away` says that the brokers do not answer: `kafka`'s are
    then the files of the intake, which wait for no broker.
    """
    if not kafka[0] and not lake[0] and not unknown:
        return Decision(False, away or "nothing to do: every record is in RAW")
    reason = f"{_backlog('the intake' if away else 'Kafka', *kafka)}, {_backlog('the lake', *lake)} not in RAW"
    if away:
        reason = f"{away} {reason}"
    if unknown:
        reason = f"{unknown}; {reason}"
    if obstacle := runs.obstacle() or shortage:
        return Decision(False, f"{reason}; {obstacle}")
    if unknown or lake[0] > 0 or kafka[0] >= threshold or kafka[1] >= patience:
        return Decision(True, reason)
    return Decision(False, f"{reason}; LAG_THRESHOLD_RECORDS is {threshold:,}, and fewer wait for {patience:.0f} s")


def _backlog(where: str, records: int, seconds: float) -> str:
    return f"{records:,} records in {where}" + (f" (oldest {seconds:.0f} s)" if seconds else "")


def decide_live(now: str, built: str | None, behind: str, failed_checks: Iterable[str], runs: Runs) -> Decision:
    """Start a build of the live models if their inputs have changed since the last build.

    `now` and `built` name the inputs (see `inputs`); `behind` says how far apart they are. While a blocking check of
    the inputs fails (`failed_checks`), nothing is built, so that wrong data does not spread.
    """
    if now == built:
        return Decision(False, f"nothing to do: the live models are built from {now}")
    reason = f"the live models are built from {built or 'nothing yet'}, the inputs are now {now}{behind}"
    if failed := sorted(failed_checks):
        return Decision(False, f"{reason}; held back by the failed check {', '.join(failed)}")
    if obstacle := runs.obstacle():
        return Decision(False, f"{reason}; {obstacle}")
    return Decision(True, reason)


def decide_policy(
    ages: Mapping[str, float], warn_after: float, backlog: str | None, failed_checks: Iterable[str], runs: Runs
) -> Decision:
    """Start a rebuild of the policy marts if one is older than `warn_after` and there are new inputs.

    `ages` are the seconds since each mart's last materialization, infinite for one that was never built. `backlog` says
    what the live models have and these lack; None for nothing.
    """
    oldest = max(ages, key=lambda mart: ages[mart], default="")
    if not oldest or backlog is None:
        return Decision(False, "nothing to do: the policy marts are as recent as the live models")
    age = "was never built" if ages[oldest] == float("inf") else f"is {ages[oldest]:.0f} s old"
    reason = f"{backlog}; the oldest policy mart, {oldest}, {age}"
    if ages[oldest] < warn_after:
        return Decision(False, f"{reason}; the rebuild is due at {warn_after:.0f} s")
    if failed := sorted(failed_checks):
        return Decision(False, f"{reason}; held back by the failed check {', '.join(failed)}")
    if obstacle := runs.obstacle():
        return Decision(False, f"{reason}; {obstacle}")
    return Decision(True, reason)


def decide_upkeep(
    now: str, covered: str | None, idle_seconds: float = 0.0, interval: float = 0.0, *, in_flight: bool
) -> Decision:
    """Start checks or maintenance if the inputs changed since the last such run, which started `idle_seconds` ago, at
    most once per `interval`, and not while such a run is queued or at work: they would pile up in the queue."""
    if now == covered:
        return Decision(False, f"nothing to do: the last run covered {now}")
    reason = f"the last run covered {covered or 'nothing yet'}, the inputs are now {now}"
    if in_flight:
        return Decision(False, f"{reason}; a run is in progress")
    if idle_seconds < interval:
        return Decision(False, f"{reason}; the next run starts in {interval - idle_seconds:.0f} s")
    return Decision(True, reason)


def decide_reconciliation(verdict: str | None, idle_seconds: float, interval: float, *, in_flight: bool) -> Decision:
    """Compare RAW again while the last comparison found something wrong, or could not be made: `verdict` says what;
    None where it passed, or none was made yet. Its schedule starts all others."""
    if verdict is None:
        return Decision(False, "nothing to do: every partition balanced")
    if in_flight:
        return Decision(False, f"{verdict}; a run is in progress")
    if idle_seconds < interval:
        return Decision(False, f"{verdict}; it is compared again in {interval - idle_seconds:.0f} s")
    return Decision(True, verdict)


def verified_complete(ages: Mapping[str, float], half_window: float, complete: bool) -> list[str]:
    """Marts to report as complete without a run: they lack no data, and their last report is older than half their
    window. A mart that was never built is left out."""
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
        if parts != before[topic].ends and seconds_since(before[topic].at, now) >= OBSERVATION_SECONDS
    ]
    return sorted(moved, key=lambda topic: before[topic].at)[:OBSERVED_AT_ONCE]
