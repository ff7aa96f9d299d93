"""What OPS says about the marts: which build each is of, up to when it is complete, and which checks fail.

What is learned is a mart whose builds are the versions that were published.

One statement reads all of it. The key of a cached result is the builds of the models that it was read from, so a result
is read again when one of them was built, and never before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

#: Table whose checks are about every number: all marts come from it.
RAW = "RAW.EVENTS"
#: What is learned. Each has a table in GOLD, and is an asset of the group ml.
LEARNED = ("recommendations", "churn_risk", "suspicious_streams", "listener_segments", "songs_heard_together")


@dataclass(frozen=True)
class Model:
    """The latest build of a model. Times are UTC.

    `complete_until`: time of the lake up to which every row is in it; None before the first load. `behind_seconds`: the
    part of the lake, in seconds, that RAW has and this model has not. Of a model that is learned, `build_id` is the
    version that was published, and `learned_before` the date before which all happened that it was learned from.
    """

    name: str
    build_id: str
    built_at: datetime
    complete_until: datetime | None
    behind_seconds: int
    learned_before: date | None = None


@dataclass(frozen=True)
class Verdict:
    """The latest verdict of a check of a table."""

    model: str
    check: str
    passed: bool
    said: str
    checked_at: datetime


@dataclass(frozen=True)
class Standing:
    """What holds for numbers that come from several models: the earliest times, the longest delay, all their checks."""

    complete_until: datetime | None
    behind_seconds: int
    passed: int
    failed: tuple[Verdict, ...]
    learned_before: date | None = None


@dataclass(frozen=True)
class State:
    """The models and verdicts at one moment."""

    models: Mapping[str, Model]
    verdicts: tuple[Verdict, ...]

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of these models that were never built."""
        return sorted(set(names) - self.models.keys())

    def key(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The builds of these models: what was read from the same builds is the same. Of none: all that is known."""
        if not (names := set(names)):
            verdicts = tuple((verdict.check, str(verdict.checked_at)) for verdict in self.verdicts)
            return (*self.key(self.models), *verdicts) if self.models else verdicts
        return tuple((name, self.models[name].build_id) for name in sorted(set(names)) if name in self.models)

    def standing(self, names: Iterable[str]) -> Standing:
        """What holds for numbers from these models. Of none: for everything. The checks of RAW are about all."""
        asked = set(names)
        wanted = asked or self.models.keys()
        found = [self.models[name] for name in wanted & self.models.keys()]
        times = [model.complete_until for model in found if model.complete_until is not None]
        verdicts = [verdict for verdict in self.verdicts if verdict.model in wanted | {RAW}]
        return Standing(
            min(times, default=None),
            max((model.behind_seconds for model in found), default=0),
            sum(verdict.passed for verdict in verdicts),
            tuple(verdict for verdict in verdicts if not verdict.passed),
            min((model.learned_before for model in found if asked and model.learned_before is not None), default=None),
        )


def state_of(rows: Iterable[Sequence[Any]]) -> State:
    """The state by the rows of queries/state.sql."""
    models: dict[str, Model] = {}
    verdicts: list[Verdict] = []
    for kind, name, build_id, at, until, behind, check, passed, said in rows:
        if kind == "model":
            models[name] = Model(name, build_id, at, until, int(behind or 0))
        elif kind == "learned":
            models[name] = Model(name, build_id, at, None, 0, until.date())
        else:
            verdicts.append(Verdict(name, check, bool(passed), said or "", at))
    return State(models, tuple(sorted(verdicts, key=lambda verdict: (verdict.passed, verdict.model, verdict.check))))
