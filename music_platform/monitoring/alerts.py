"""Alerts: each problem is reported once, and once more when it is resolved.

`changes` is a pure decision about the current problems and the open ones; `watch` finds the problems and sends the
messages. A problem stays open until it has been gone for a while, so that a flapping one is one alert and one
all-clear.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

CRITICAL, WARNING, SUCCESS = "critical", "warning", "success"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong: what (`key` identifies it), since when (epoch seconds), its impact, where to look."""

    key: str
    what: str
    since: float
    how_bad: str
    where: str
    severity: str = CRITICAL


@dataclass(frozen=True)
class OpenProblem:
    """A reported problem that is not resolved yet; `seen` is when it was last observed."""

    problem: Problem
    seen: float


@dataclass(frozen=True)
class Outage:
    """A period without a service; `until` is when it was last observed as down."""

    service: str
    since: float
    until: float


@dataclass(frozen=True)
class State:
    """Open problems, and recent outages, which explain runs that failed during them."""

    open: dict[str, OpenProblem] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True)
class Message:
    """One message to people."""

    title: str
    body: str
    severity: str


@dataclass(frozen=True)
class Changes:
    """What to report: problems that are new or have become worse, and problems that are resolved."""

    raised: tuple[Problem, ...]
    resolved: tuple[OpenProblem, ...]


def changes(state: State, problems: Iterable[Problem], now: float, settle_seconds: float) -> Changes:
    """What to report now. A problem is resolved when it has been gone for `settle_seconds`."""
    current = {problem.key: problem for problem in problems}
    raised = [
        problem
        for key, problem in current.items()
        if key not in state.open or (problem.severity, state.open[key].problem.severity) == (CRITICAL, WARNING)
    ]
    resolved = [o for key, o in state.open.items() if key not in current and now - o.seen >= settle_seconds]
    return Changes(tuple(raised), tuple(resolved))


def next_state(
    state: State, problems: Iterable[Problem], reported: Changes, outages: Iterable[Outage], now: float
) -> State:
    """The state after reporting. Leave changes that could not be sent out of `reported`: they are reported again."""
    current = {problem.key: problem for problem in problems}
    known = {key: replace(o, seen=now) if key in current else o for key, o in state.open.items()}
    new = {problem.key: OpenProblem(problem, now) for problem in reported.raised}
    resolved = {o.problem.key for o in reported.resolved}
    return State({key: o for key, o in (known | new).items() if key not in resolved}, tuple(outages))


#: A run that fails within these seconds before or after an outage counts as a consequence of it: a run notices late
#: that a service is gone, and one that was started too early fails once more.
SECONDS_BEFORE, SECONDS_AFTER = 15.0, 90.0
#: Seconds for which an outage is remembered.
REMEMBERED = 3600.0


def update_outages(outages: Iterable[Outage], down: Mapping[str, float], now: float) -> tuple[Outage, ...]:
    """The outages, updated with the services that are down now (`down`: since when). Old ones are dropped."""
    kept = [o for o in outages if now - o.until < REMEMBERED]
    for service, since in down.items():
        current = [o for o in kept if o.service == service and o.until >= since - SECONDS_BEFORE]
        kept = [o for o in kept if o not in current]
        kept.append(Outage(service, min([since, *(o.since for o in current)]), now))
    return tuple(kept)


def caused_by_outage(ended: float, outages: Iterable[Outage]) -> bool:
    """Whether a run that failed at `ended` failed because a service was down. The outage has its own alert."""
    return any(o.since - SECONDS_BEFORE <= ended <= o.until + SECONDS_AFTER for o in outages)


def alert(problem: Problem, now: float) -> Message:
    """The message that reports a problem."""
    body = f"Since {_clock(problem.since)} ({_duration(now - problem.since)}).\n{problem.how_bad}\n{problem.where}"
    return Message(f"music-platform: {problem.what}", body, problem.severity)


def all_clear(resolved: OpenProblem) -> Message:
    """The message that reports the end of a problem."""
    problem, end = resolved.problem, resolved.seen
    body = (
        f"It lasted from {_clock(problem.since)} to {_clock(end)} ({_duration(end - problem.since)}). "
        "No action is needed."
    )
    return Message(f"music-platform: resolved: {problem.what}", body, SUCCESS)


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def read_state(path: Path) -> State:
    """The state in a file; an empty one if there is none."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return State()
    problems = {key: OpenProblem(Problem(**o["problem"]), o["seen"]) for key, o in found["open"].items()}
    return State(problems, tuple(Outage(**o) for o in found["outages"]))


def write_state(path: Path, state: State) -> None:
    """Write the file atomically."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=2))
    os.replace(new, path)
