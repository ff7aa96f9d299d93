"""Alerts: what is wrong is told once, and once more when it is over.

`changes` is a pure decision over the problems that are there now and those that are open; `watch` reads the problems
and sends the messages. A problem that comes and goes stays open until it has been away for a while, so that a fault
that flaps is one alert and one all-clear.
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
    """Something that is wrong: what (`key` names it), since when (epoch seconds), how bad, and where to look."""

    key: str
    what: str
    since: float
    how_bad: str
    where: str
    severity: str = CRITICAL


@dataclass(frozen=True)
class Open:
    """A problem that was told and is not over, or not for long enough; `seen` is when it was last there."""

    problem: Problem
    seen: float


@dataclass(frozen=True)
class Outage:
    """A time without a service; `until` is when it was last seen missing."""

    service: str
    since: float
    until: float


@dataclass(frozen=True)
class State:
    """What is open, and the outages of late, which explain runs that failed in them."""

    open: dict[str, Open] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True)
class Message:
    """One message to people."""

    title: str
    body: str
    severity: str


@dataclass(frozen=True)
class Changes:
    """What is to be told: problems that are new or have become worse, and problems that are over."""

    raised: tuple[Problem, ...]
    over: tuple[Open, ...]


def changes(state: State, problems: Iterable[Problem], now: float, settle_seconds: float) -> Changes:
    """What is to be told now. A problem is over when it has not been there for `settle_seconds`."""
    there = {problem.key: problem for problem in problems}
    raised = [
        problem
        for key, problem in there.items()
        if key not in state.open or (problem.severity, state.open[key].problem.severity) == (CRITICAL, WARNING)
    ]
    over = [told for key, told in state.open.items() if key not in there and now - told.seen >= settle_seconds]
    return Changes(tuple(raised), tuple(over))


def after(state: State, problems: Iterable[Problem], told: Changes, outages: Iterable[Outage], now: float) -> State:
    """The state once the changes have been told. What could not be told is to be left out of `told`: it comes again."""
    there = {problem.key: problem for problem in problems}
    still = {key: replace(o, seen=now) if key in there else o for key, o in state.open.items()}
    new = {problem.key: Open(problem, now) for problem in told.raised}
    over = {o.problem.key for o in told.over}
    return State({key: o for key, o in (still | new).items() if key not in over}, tuple(outages))


#: Seconds around an outage within which a run's failure counts as its consequence: a run notices late that a service is
#: gone, and one that was started too early fails once more.
BEFORE, BEHIND = 15.0, 90.0
#: Seconds for which an outage is remembered.
REMEMBERED = 3600.0


def note_outages(outages: Iterable[Outage], down: Mapping[str, float], now: float) -> tuple[Outage, ...]:
    """The outages, with the services that are down now; `down` says since when. Old ones are forgotten."""
    kept = [o for o in outages if now - o.until < REMEMBERED]
    for service, since in down.items():
        current = [o for o in kept if o.service == service and o.until >= since - BEFORE]
        kept = [o for o in kept if o not in current]
        kept.append(Outage(service, min([since, *(o.since for o in current)]), now))
    return tuple(kept)


def explained(ended: float, outages: Iterable[Outage]) -> bool:
    """Whether a run that failed at `ended` failed because a service was down: the outage is told already."""
    return any(o.since - BEFORE <= ended <= o.until + BEHIND for o in outages)


def alert(problem: Problem, now: float) -> Message:
    """The message that says that something is wrong."""
    body = f"Since {_clock(problem.since)} ({_duration(now - problem.since)}).\n{problem.how_bad}\n{problem.where}"
    return Message(f"music-platform: {problem.what}", body, problem.severity)


def all_clear(told: Open) -> Message:
    """The message that says that it is over."""
    problem = told.problem
    body = (
        f"It lasted from {_clock(problem.since)} to {_clock(told.seen)} ({_duration(told.seen - problem.since)}). "
        "Nothing is left to do."
    )
    return Message(f"music-platform: over: {problem.what}", body, SUCCESS)


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def read_state(path: Path) -> State:
    """The state of a file; an empty one where there is none."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return State()
    opened = {key: Open(Problem(**o["problem"]), o["seen"]) for key, o in found["open"].items()}
    return State(opened, tuple(Outage(**o) for o in found["outages"]))


def write_state(path: Path, state: State) -> None:
    """Write the file, as a whole."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=2))
    os.replace(new, path)
