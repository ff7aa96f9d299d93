"""How likely each user is to be lost: to stream nothing in the next 28 days, or to cancel in them.

On a date `as_of`, the users at risk are those who streamed in the 28 days before it and have not cancelled. The label
is true if no stream of theirs follows in the 28 days from `as_of` on, or a cancellation does. What the model knows of a
user is from before `as_of`:

- habits: how long they have been silent, how often they come, how regular that is, whether they pay, how long they are
  known;
- liking: which share of what was played they skipped or let play, the adverts in between, and where they chose it from,
  overall and with weights that halve every 10 or 40 plays, since the last songs matter most.

Gradient boosting of small trees (scikit-learn's HistGradientBoosting, after LightGBM: Ke et al., NIPS 2017) on log
loss, made a probability by isotonic regression (Zadrozny and Elkan, KDD 2002) on predictions for users that each fold's
trees have not seen. It learns from several past dates whose 28 days are over, a week apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from music_platform.learning.daily import UserDays
from music_platform.learning.evaluation import F64, Verdict, beats, log_likelihood, stability

#: Changes with the formulas or the constants here: part of the data version of what is published.
CODE_VERSION = "1"
#: Days without a stream after which a user is lost, which are also the days in which who is at risk has streamed.
HORIZON = 28
#: Days that features look back.
LOOKBACK = 84
#: Days between the dates that are learned from, how many there are at most, and the days of history before the first.
STEP, MOST_DATES, LEAST_DAYS_BEFORE = 7, 6, 14
#: Users at risk on the date that is judged, and lost ones and others among them, without which there is no verdict.
LEAST_USERS, LEAST_OF_A_KIND = 500, 50
#: Rows that are learned from at most. Which ones depends on nothing but their order.
MOST_ROWS = 400_000
FOLDS, TREES, LEAVES, RATE, LEAST_IN_A_LEAF, SEED = 4, 120, 12, 0.06, 80, 1
#: Probabilities are kept off 0 and 1, which no finite number of users shows.
LEAST_PROBABILITY = 0.002
#: Plays after which what was heard before counts half.
SHORT, LONG = 10.0, 40.0

HABITS = (
    "days since a stream", "days since a visit", "visits missed", "logged out", "days with streams in 7",
    "days with streams in 28", "days with streams a day", "days with visits a day", "mean days between streams",
    "longest days between streams", "silence of the usual", "plays of a day", "streams of a day", "pays", "days known",
)  # fmt: skip
LIKING = (
    "skips",
    "skips lately",
    "skips just now",
    "liking lately",
    "liking just now",
    "adverts",
    "library",
    "streams of plays",
)
FEATURES = (*HABITS, *LIKING)
RECENCY = FEATURES[:1]


@dataclass(frozen=True)
class AtRisk:
    """Users at risk on a day (indices, ascending), and their features in the order of FEATURES."""

    users: npt.NDArray[np.int64]
    features: F64


def at_risk(days: UserDays, as_of: int) -> AtRisk:
    """The users at risk on the day `as_of` and what is known of them by then, from the rows before it alone."""
    past = days.between(as_of - LOOKBACK, as_of)
    streamed = past.streams > 0
    last = np.full(len(days.users), -(1 << 30))
    np.maximum.at(last, past.user[streamed], past.day[streamed])
    cancelled = days.total(days.cancels * (days.day < as_of)) > 0
    users = np.flatnonzero((last >= as_of - HORIZON) & ~cancelled)
    return AtRisk(users, _features(past, users, as_of))


def lost(days: UserDays, users: npt.NDArray[np.int64], as_of: int) -> npt.NDArray[np.bool_]:
    """Whether each of these users streamed nothing in the 28 days from `as_of` on, or cancelled in them."""
    after = days.between(as_of, as_of + HORIZON)
    gone: npt.NDArray[np.bool_] = (after.total(after.streams) == 0) | (after.total(after.cancels) > 0)
    return gone[users]


def _features(past: UserDays, users: npt.NDArray[np.int64], as_of: int) -> F64:
    """What is known of these users, a column for each of FEATURES. NaN: not known."""
    columns = {**_habits(past, as_of), **_liking(past)}
    return np.column_stack([columns[name][users] for name in FEATURES])


def _habits(past: UserDays, as_of: int) -> dict[str, F64]:
    streamed, visited = past.where(past.streams > 0), past.where(past.views > 0)
    known = as_of - _extreme(past, np.minimum)
    first, last = _extreme(streamed, np.minimum), _extreme(streamed, np.maximum)
    dates, silent = streamed.total(np.ones(len(streamed))), as_of - last
    mean = _share(last - first, dates - 1)
    gap = np.zeros(len(past.users))
    same = np.flatnonzero(streamed.user[1:] == streamed.user[:-1]) + 1
    np.maximum.at(gap, streamed.user[same], streamed.day[same] - streamed.day[same - 1])
    last_visit, visits = _extreme(visited, np.maximum), _share(visited.total(np.ones(len(visited))), known)
    newest = visited.day == last_visit[visited.user]
    plays = past.where(past.plays > 0)
    at_last = plays.day == _extreme(plays, np.maximum)[plays.user]

    def recent(days: int) -> F64:
        return streamed.total(streamed.day >= as_of - days)

    return {
        "days since a stream": silent,
        "days since a visit": as_of - last_visit,
        "visits missed": (as_of - last_visit) * visits,
        "logged out": (visited.where(newest).total(visited.logouts[newest]) > 0).astype(np.float64),
        "days with streams in 7": recent(7),
        "days with streams in 28": recent(28),
        "days with streams a day": _share(dates, known),
        "days with visits a day": visits,
        "mean days between streams": mean,
        "longest days between streams": np.where(dates > 1, gap, np.nan),
        "silence of the usual": _share(silent, mean),
        "plays of a day": _share(past.total(past.plays), dates),
        "streams of a day": _share(past.total(past.streams), known),
        "pays": (plays.where(at_last).total(plays.paid[at_last]) > 0).astype(np.float64),
        "days known": known,
    }


def _liking(past: UserDays) -> dict[str, F64]:
    plays, skips, adverts = (past.total(values) for values in (past.plays, past.skips, past.adverts))
    pleased = past.plays - 2.0 * past.skips - past.adverts
    after = _plays_after(past)

    def lately(values: npt.ArrayLike, half: float) -> F64:
        weights = 0.5 ** (after / half) * _within(past.plays, half)
        return _share(past.total(weights * np.asarray(values, np.float64)), past.total(weights * past.plays))

    return {
        "skips": _share(skips, plays),
        "skips lately": lately(past.skips, LONG),
        "skips just now": lately(past.skips, SHORT),
        "liking lately": lately(pleased, LONG),
        "liking just now": lately(pleased, SHORT),
        "adverts": _share(adverts, plays),
        "library": _share(past.total(past.collected), plays),
        "streams of plays": _share(past.total(past.streams), plays),
    }


def _plays_after(past: UserDays) -> F64:
    """How many plays the same user made on later dates, for each row."""
    upto = np.cumsum(past.plays, dtype=np.int64)
    ends = np.searchsorted(past.user, past.user, side="right") - 1
    after: F64 = (upto[ends] - upto).astype(np.float64)
    return after


def _within(plays: npt.NDArray[np.int32], half: float) -> F64:
    """Mean weight of the plays of a date, of which the last one weighs 1: of a geometric series."""
    n, ratio = np.maximum(plays, 1).astype(np.float64), 0.5 ** (1.0 / half)
    mean: F64 = (1.0 - ratio**n) / (n * (1.0 - ratio))
    return mean


def _extreme(rows: UserDays, which: np.ufunc) -> F64:
    """The first (np.minimum) or last (np.maximum) day of each user's rows; NaN without one."""
    out = np.full(len(rows.users), np.nan)
    edge = (
        np.r_[True, rows.user[1:] != rows.user[:-1]]
        if which is np.minimum
        else np.r_[rows.user[1:] != rows.user[:-1], True]
    )
    if len(rows):
        out[rows.user[edge]] = rows.day[edge]
    return out


def _share(part: F64, whole: F64) -> F64:
    """Their quotient; NaN where the whole is not positive."""
    out: F64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return out


@dataclass(frozen=True)
class Model:
    """Trees over some of the features, and the curve from what they say to probabilities."""

    columns: npt.NDArray[np.int64]
    trees: HistGradientBoostingClassifier
    curve: IsotonicRegression

    def probabilities(self, features: F64) -> F64:
        """The chance that each of these users is lost."""
        return _probabilities(self.curve, _said(self.trees, features[:, self.columns]))


class TooFewError(ValueError):
    """There are no dates to learn from, or hardly anybody was lost, or hardly anybody stayed."""


def train(days: UserDays, end: int, names: Sequence[str] = FEATURES) -> Model:
    """Learn from the dates whose 28 days were over on the day `end`, by these features. Raises TooFewError."""
    rows, labels, users = _examples(days, end)
    if min(labels.sum(), (~labels).sum()) < LEAST_OF_A_KIND:
        raise TooFewError
    columns = np.array([FEATURES.index(name) for name in names])
    features = rows[:, columns]
    fold = np.unique(users, return_inverse=True)[1] % FOLDS
    unseen = np.empty(len(labels))
    with threadpool_limits(limits=1):
        for one in range(FOLDS):
            theirs = fold == one
            unseen[theirs] = _said(_trees(features[~theirs], labels[~theirs]), features[theirs])
        trees = _trees(features, labels)
    curve = IsotonicRegression(out_of_bounds="clip").fit(unseen, labels.astype(np.float64))
    return Model(columns, trees, curve)


def _examples(days: UserDays, end: int) -> tuple[F64, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Features, labels and users of the dates to learn from, which are over on the day `end`."""
    first = int(days.day.min()) + LEAST_DAYS_BEFORE if len(days) else end
    dates = [end - HORIZON - STEP * n for n in range(MOST_DATES)]
    parts = []
    for as_of in (date for date in dates if date >= first):
        found = at_risk(days, as_of)
        parts.append((found.features, lost(days, found.users, as_of), found.users))
    if not parts:
        return np.empty((0, len(FEATURES))), np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int64)
    rows, labels, users = (np.concatenate(column) for column in zip(*parts, strict=True))
    stride = -(-len(labels) // MOST_ROWS)
    return rows[::stride], labels[::stride], users[::stride]


def _trees(features: F64, labels: npt.NDArray[np.bool_]) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=TREES, learning_rate=RATE, max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_IN_A_LEAF,
        early_stopping=False, random_state=SEED,
    ).fit(features, labels)  # fmt: skip


def _said(trees: HistGradientBoostingClassifier, features: F64) -> F64:
    out: F64 = trees.decision_function(features).astype(np.float64)
    return out


def _probabilities(curve: IsotonicRegression, said: F64) -> F64:
    out: F64 = np.clip(curve.predict(said), LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    return out


@dataclass(frozen=True)
class Judged:
    """Probabilities of the model of four weeks ago and of its baselines, by name, the labels of the users who were at
    risk then, and the verdict. None: no verdict."""

    said: dict[str, F64]
    labels: npt.NDArray[np.bool_]
    users: npt.NDArray[np.int64]
    verdict: Verdict | None
    why_not: str = ""


def judge(days: UserDays, end: int) -> Judged:
    """Train on what was known 28 days before `end`, and measure on the users at risk then, of whom we know by now.

    The baselines: the share of users who were lost (`base rate`), the same model by the days since the last stream
    alone (`recency`), and by all habits (`habits`). The gate: log likelihood better than all. So a model that only
    knows that who comes rarely is seen rarely, which is true of any data, is not published.
    """
    as_of = end - HORIZON
    needed = 2 * HORIZON + LEAST_DAYS_BEFORE
    if not len(days) or end - int(days.day.min()) < needed:
        return _unjudged(f"there are no {needed} days of listening before the last Monday")
    found = at_risk(days, as_of)
    if len(found.users) < LEAST_USERS:
        return _unjudged(f"only {len(found.users)} users were at risk four weeks ago; {LEAST_USERS} are needed")
    try:
        models = {name: train(days, as_of, of) for name, of in
                  (("model", FEATURES), ("recency", RECENCY), ("habits", HABITS))}  # fmt: skip
    except TooFewError:
        return _unjudged(f"fewer than {LEAST_OF_A_KIND} users were lost, or fewer stayed, until four weeks ago")
    labels = lost(days, found.users, as_of)
    said = {name: model.probabilities(found.features) for name, model in models.items()}
    said["base rate"] = np.full(len(labels), _examples(days, as_of)[1].mean())
    likelihoods = {name: log_likelihood(probabilities, labels) for name, probabilities in said.items()}
    ours = likelihoods.pop("model")
    return Judged(said, labels, found.users, beats(ours, likelihoods, "log likelihood"))


def _unjudged(why: str) -> Judged:
    return Judged({}, np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int64), None, why)


@dataclass(frozen=True)
class Scores:
    """The users at risk on a day, and the chance that each is lost."""

    users: npt.NDArray[np.int64]
    probabilities: F64


def score(model: Model, days: UserDays, as_of: int) -> Scores:
    """What the model says on the day `as_of`."""
    found = at_risk(days, as_of)
    return Scores(found.users, model.probabilities(found.features))


def drift(days: UserDays, end: int) -> dict[str, float]:
    """Population stability of the users at risk on `end` against those of 28 days before: of the days since their last
    stream, of the days on which they streamed, and of what they skip. Empty without four weeks before both."""
    if not len(days) or int(days.day.min()) > end - 2 * HORIZON:
        return {}
    then, now = (at_risk(days, day).features for day in (end - HORIZON, end))
    out = {}
    for name in ("days since a stream", "days with streams in 28", "skips lately"):
        column = FEATURES.index(name)
        edges = np.unique(np.nanquantile(then[:, column], np.linspace(0.1, 0.9, 9)))
        counts = [
            np.bincount(np.searchsorted(edges, part[:, column]), minlength=len(edges) + 1) for part in (then, now)
        ]
        out[name] = stability(*counts)
    return out
