"""Alerts: each problem is reported once to each receiver, and once more when it is resolved.

The functions are pure decisions about the current problems and what each receiver was told; `sources` finds the
problems and `watch` sends the messages. A problem stays open until it has been gone for a while, so that a flapping one
is one alert and one all-clear. A receiver that does not answer is tried again after a growing pause, and keeps no other
one waiting or told twice.
"""

import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from music_platform.clock import seconds_since
from music_platform.ingestion.waiting import Seen

CRITICAL, WARNING, SUCCESS = "critical", "warning", "success"

Found = TypeVar("Found")

#: Seconds until a receiver is tried again after the first, second … failure in a row; the last applies to later ones.
RETRY_PAUSES = (10.0, 60.0, 300.0, 900.0)
#: Maximum number of problems that a message lists.
MAX_LISTED = 5


@dataclass(frozen=True)
class Problem:
    """Something that is wrong: what (`key` identifies it), since when (epoch seconds), its impact, where to look.

    Problems of one `group` that are reported together share a message; the group is its title, `{n}` their number.
    `source` is the part of the watch that found it.
    """

    key: str
    what: str
    since: float
    how_bad: str
    where: str
    severity: str = CRITICAL
    group: str = ""
    source: str = ""


@dataclass(frozen=True)
class OpenProblem:
    """A problem that is not resolved yet; `seen` is when it was last observed."""

    problem: Problem
    seen: float


@dataclass(frozen=True)
class Outage:
    """A period without a service; `until` is when it was last observed as down."""

    service: str
    since: float
    until: float


@dataclass(frozen=True)
class Receiver:
    """What a receiver was told and not yet that it is over: key of the problem → severity. Sends that failed in a row,
    and when the last of them did."""

    told: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    failed_at: float = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it may be sent something: at once, or after a growing pause if it did not take the last message."""
        if not self.failures:
            return True
        pause = RETRY_PAUSES[min(self.failures, len(RETRY_PAUSES)) - 1]
        return seconds_since(self.failed_at, now) >= pause


@dataclass(frozen=True)
class State:
    """Open problems; recent outages, which explain runs that failed during them; each receiver by name; and what was
    seen of the partitions at earlier looks."""

    open: dict[str, OpenProblem] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()
    receivers: dict[str, Receiver] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True)
class Message:
    """One message to people."""

    title: str
    body: str
    severity: str


@dataclass(frozen=True)
class Notice:
    """A message, and what a receiver has been told once it has it: problems raised, and problems resolved."""

    message: Message
    raised: tuple[Problem, ...] = ()
    resolved: tuple[OpenProblem, ...] = ()


def from_source(problem: Problem, source: str) -> Problem:
    """The problem with the part of the watch that found it."""
    return replace(problem, source=source)


def by_the_clock(state: State, by: float, now: float) -> State:
    """The state by a clock that was set by so many seconds since the state's moments were noted.

    None of them is in the future then. The clock may have been set back while no watch ran, and nothing may wait until
    it has caught up.
    """
    # A problem that was seen at this very moment is one of now.
    before_now = math.nextafter(now, -math.inf)

    def moved(moment: float) -> float:
        return moment + by if moment + by <= now else before_now

    return replace(
        state,
        open={
            key: OpenProblem(replace(o.problem, since=moved(o.problem.since)), moved(o.seen))
            for key, o in state.open.items()
        },
        outages=tuple(replace(o, since=moved(o.since), until=moved(o.until)) for o in state.outages),
        receivers={
            name: replace(known, failed_at=moved(known.failed_at)) if known.failures else known
            for name, known in state.receivers.items()
        },
        seen=state.seen.moved(moved),
    )


def observe(
    state: State, problems: Iterable[Problem], now: float, settle_seconds: float, unreadable: Collection[str] = ()
) -> State:
    """The state with the problems of now. Those of a source that could not be read stay open: nobody knows better."""
    current = {problem.key: problem for problem in problems}
    known = {
        key: replace(o, seen=now) if o.problem.source in unreadable else o
        for key, o in state.open.items()
        if key not in current
    }
    for key, problem in current.items():
        before = state.open.get(key)
        same = before is not None and now - before.seen < settle_seconds and not _is_worse(problem, before.problem)
        known[key] = OpenProblem(before.problem if same and before else problem, now)
    return replace(state, open=known)


def notices(state: State, receiver: str, now: float, settle_seconds: float) -> list[Notice]:
    """What to send to a receiver now. A problem is resolved when it has been gone for `settle_seconds`."""
    known = state.receivers.get(receiver, Receiver())
    if not known.is_due(now):
        return []
    raised = [
        o.problem
        for key, o in state.open.items()
        if o.seen == now
        and key != receiver_key(receiver)
        and (key not in known.told or (o.problem.severity, known.told[key]) == (CRITICAL, WARNING))
    ]
    gone = [(key, o) for key, o in state.open.items() if o.seen != now and now - o.seen >= settle_seconds]
    resolved = [o for key, o in gone if key in known.told]
    return [
        *(Notice(alert(group, now), raised=group) for group in _by_group(raised, lambda problem: problem)),
        *(Notice(all_clear(group), resolved=group) for group in _by_group(resolved, lambda o: o.problem)),
    ]


def _by_group(found: Iterable[Found], problem_of: Callable[[Found], Problem]) -> list[tuple[Found, ...]]:
    groups: dict[str, list[Found]] = {}
    for each in found:
        problem = problem_of(each)
        groups.setdefault(problem.group or problem.key, []).append(each)
    return [tuple(group) for group in groups.values()]


def receiver_key(receiver: str) -> str:
    """Key of the problem that a receiver does not answer. The receiver itself is not told."""
    return f"receiver {receiver}"


def sent(state: State, receiver: str, notice: Notice) -> State:
    """The state after a receiver got the message."""
    told = dict(state.receivers.get(receiver, Receiver()).told)
    told |= {problem.key: problem.severity for problem in notice.raised}
    over = {o.problem.key for o in notice.resolved}
    return _with(state, receiver, Receiver({key: severity for key, severity in told.items() if key not in over}))


def not_sent(state: State, receiver: str, now: float) -> State:
    """The state after a receiver did not take a message."""
    known = state.receivers.get(receiver, Receiver())
    return _with(state, receiver, replace(known, failures=known.failures + 1, failed_at=now))


def without_resolved(state: State, now: float, settle_seconds: float) -> State:
    """The state without problems that are over and that no receiver still has to hear the end of."""
    told = {key for receiver in state.receivers.values() for key in receiver.told}
    kept = {key: o for key, o in state.open.items() if now - o.seen < settle_seconds or o.seen == now or key in told}
    return replace(state, open=kept)


def _with(state: State, name: str, receiver: Receiver) -> State:
    return replace(state, receivers={**state.receivers, name: receiver})


def _is_worse(problem: Problem, before: Problem) -> bool:
    return (problem.severity, before.severity) == (CRITICAL, WARNING)


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


def caused_by_outage(ended: float, outages: Iterable[Outage], needed: Collection[str]) -> bool:
    """Whether a run that failed at `ended` failed because a service that it needs was down. The outage has its own
    alert."""
    return any(o.service in needed and o.since - SECONDS_BEFORE <= ended <= o.until + SECONDS_AFTER for o in outages)


def alert(problems: Sequence[Problem], now: float) -> Message:
    """The message that reports problems of one group."""
    since, first = min(problem.since for problem in problems), problems[0]
    body = [f"Since {_clock(since)} ({_duration(now - since)}).", *_listed([p.how_bad for p in problems]), first.where]
    severity = CRITICAL if any(problem.severity == CRITICAL for problem in problems) else WARNING
    return Message(f"music-platform: {_title(problems)}", "\n".join(body), severity)


def all_clear(resolved: Sequence[OpenProblem]) -> Message:
    """The message that reports the end of problems of one group."""
    problems = [o.problem for o in resolved]
    since, end = min(problem.since for problem in problems), max(o.seen for o in resolved)
    body = [
        f"It lasted from {_clock(since)} to {_clock(end)} ({_duration(end - since)}). No action is needed.",
        *(_listed([problem.what for problem in problems]) if len(problems) > 1 else ()),
    ]
    return Message(f"music-platform: resolved: {_title(problems)}", "\n".join(body), SUCCESS)


def _title(problems: Sequence[Problem]) -> str:
    return problems[0].group.format(n=len(problems)) if len(problems) > 1 else problems[0].what


def _listed(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MAX_LISTED
    return [*lines[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])]


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


#: Keys of an earlier version, which had one problem for many checks or marts. They are reported again one by one.
_FORMER_GROUPS = ("checks ", "unevaluated ", "freshness")


def read_state(path: Path, receivers: Collection[str] = ()) -> State:
    """The state in a file, for these receivers; an empty one if there is no file.

    In a file of an earlier version every receiver was told of every open problem. Raises ValueError, KeyError or
    TypeError for a file that is no state.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return State()
    problems = {key: OpenProblem(Problem(**o["problem"]), o["seen"]) for key, o in found["open"].items()}
    if "receivers" in found:
        known = {
            # An earlier version noted when the next attempt is due, and not when the last one failed.
            name: Receiver(each["told"], each["failures"], each.get("failed_at", 0.0))
            for name, each in found["receivers"].items()
            if name in receivers
        }
    else:
        problems = {key: o for key, o in problems.items() if not key.startswith(_FORMER_GROUPS)}
        told = {key: o.problem.severity for key, o in problems.items()}
        known = {name: Receiver(dict(told)) for name in receivers}
    seen = found.get("seen", {"unread": {}, "held": {}})
    unread = {where: tuple((int(at), float(when)) for at, when in ends) for where, ends in seen["unread"].items()}
    held = {where: (int(at), float(since)) for where, (at, since) in seen["held"].items()}
    return State(problems, tuple(Outage(**o) for o in found["outages"]), known, Seen(unread, held))


def write_state(path: Path, state: State) -> None:
    """Write the file atomically."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=2))
    os.replace(new, path)
