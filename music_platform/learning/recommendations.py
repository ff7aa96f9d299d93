"""Songs for each user: what they play again, and what people with their taste play.

The score of a song is the sum of two terms:

- again: the user's streams of it, each counted 1 if it was chosen from the library and OTHER_SOURCES if not, halved
  every HALF_LIFE_DAYS;
- taste: TASTE times the song's share of the user's affinity, max(0, x · y) over its sum, where x and y are factors of
  user and song by alternating least squares on implicit feedback (Hu, Koren and Volinsky, "Collaborative filtering for
  implicit feedback datasets", ICDM 2008) with the confidence 1 + CONFIDENCE · ln(1 + streams).

Someone of whom nothing was heard gets the songs that most people stream. Someone new since the training is folded in:
their factors are the least-squares solution for the songs' factors as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from music_platform.learning.evaluation import RECALL_AT, Ranking, Verdict, beats, ranked, stability
from music_platform.learning.listens import Listens

F32 = npt.NDArray[np.float32]

#: Changes with the formulas or the constants here: part of the data version of what is published.
CODE_VERSION = "1"
FACTORS, ITERATIONS, REGULARIZATION, CONFIDENCE, SEED = 64, 15, 1.0, 5.0, 1
HALF_LIFE_DAYS, OTHER_SOURCES, TASTE = 30.0, 0.2, 200.0
#: Songs of a list, and users whose lists are made at once.
LENGTH, CHUNK = 20, 512
#: A week to judge, at least as much before it, and users in it, without which there is no verdict.
WEEK, LEAST_DAYS_BEFORE, LEAST_USERS = 7, 7, 200
REASONS = ("again", "taste", "popular")
#: Upper ends of the bins of streams per user and week.
_BINS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Factors:
    """Factors of users and songs: their products are affinities."""

    users: F32
    songs: F32


#: From confidences (users × songs) to factors.
Factorize = Callable[[sparse.csr_matrix], Factors]


def implicit_als(confidence: sparse.csr_matrix) -> Factors:
    """Factors by the library implicit, on one thread. Bytes repeat with the input."""
    from implicit.als import AlternatingLeastSquares

    with threadpool_limits(limits=1):
        model = AlternatingLeastSquares(
            factors=min(FACTORS, *confidence.shape), iterations=ITERATIONS, regularization=REGULARIZATION,
            num_threads=1, random_state=SEED, use_gpu=False,
        )  # fmt: skip
        model.fit(confidence, show_progress=False)
    return Factors(np.asarray(model.user_factors), np.asarray(model.item_factors))


def fold_in(songs: F32, confidence: sparse.csr_matrix) -> F32:
    """Factors of users by their confidences alone: (YᵀY + Yᵀ(C − I)Y + λI) x = Yᵀ C p, the user's half of a step."""
    out = np.zeros((confidence.shape[0], songs.shape[1]), dtype=np.float32)
    with threadpool_limits(limits=1):
        whole = songs.T @ songs + REGULARIZATION * np.eye(songs.shape[1], dtype=np.float32)
        for row in range(confidence.shape[0]):
            begin, end = confidence.indptr[row], confidence.indptr[row + 1]
            if begin < end:
                theirs, c = songs[confidence.indices[begin:end]], confidence.data[begin:end]
                out[row] = np.linalg.solve(whole + theirs.T @ (theirs * (c - 1)[:, None]), theirs.T @ c)
    return out


@dataclass(frozen=True)
class Model:
    """What is needed to rank the songs that were streamed before the day `end` (`known`) for each user of `listens`."""

    listens: Listens
    history: sparse.csr_matrix
    factors: Factors
    popular: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


def train(listens: Listens, end: int, factorize: Factorize = implicit_als) -> Model:
    """Learn from the streams before the day `end`, and from nothing later: not even that a user or a song exists."""
    past = listens.between(-(1 << 30), end)
    streams = past.matrix()
    users = np.flatnonzero(np.asarray(streams.getnnz(axis=1)))
    songs = np.flatnonzero(np.asarray(streams.getnnz(axis=0)))
    found = factorize(_confidence(streams[users][:, songs]))
    factors = Factors(
        np.zeros((streams.shape[0], found.users.shape[1]), dtype=np.float32),
        np.zeros((streams.shape[1], found.songs.shape[1]), dtype=np.float32),
    )
    factors.users[users], factors.songs[songs] = found.users, found.songs
    totals = np.asarray(streams.sum(axis=0)).ravel()
    popular = np.argsort(-totals, kind="stable")
    return Model(listens, past.matrix(_weights(past, end)), factors, popular[: len(songs)], totals > 0)


def _confidence(streams: sparse.csr_matrix) -> sparse.csr_matrix:
    out = streams.copy()
    out.data = (1.0 + CONFIDENCE * np.log1p(out.data)).astype(np.float32)
    return out


def _weights(past: Listens, end: int) -> npt.NDArray[np.float64]:
    """What each row of streams counts on the day `end` for being played again."""
    source = np.where(past.collected, 1.0, OTHER_SOURCES)
    weights: npt.NDArray[np.float64] = source * past.plays * 0.5 ** ((end - past.day) / HALF_LIFE_DAYS)
    return weights


def with_newcomers(model: Model, end: int) -> Model:
    """The same model with users of whom it knows nothing, from their streams of known songs before the day `end`."""
    later = model.listens.between(-(1 << 30), end)
    strange = np.asarray(model.history.getnnz(axis=1))[later.user] == 0
    theirs = later.where(strange & model.known[later.song])
    streams = theirs.matrix()
    new = np.flatnonzero(np.asarray(streams.getnnz(axis=1)))
    if not new.size:
        return model
    users = model.factors.users.copy()
    users[new] = fold_in(model.factors.songs, _confidence(streams[new]))
    history = (model.history + theirs.matrix(_weights(theirs, end))).tocsr()
    return replace(model, history=history, factors=Factors(users, model.factors.songs))


@dataclass(frozen=True)
class Lists:
    """Lists of some users: songs (indices; best first), scores, and why each song is there (index into REASONS)."""

    users: npt.NDArray[np.int64]
    songs: npt.NDArray[np.int64]
    scores: F32
    reasons: npt.NDArray[np.int8]


def lists(model: Model, users: npt.NDArray[np.int64]) -> Iterator[Lists]:
    """The lists of these users, some hundred at a time. A list is shorter than LENGTH only if there are fewer songs."""
    for at in range(0, len(users), CHUNK):
        yield _lists(model, users[at : at + CHUNK])


def _lists(model: Model, users: npt.NDArray[np.int64]) -> Lists:
    columns = np.flatnonzero(model.known)
    history = model.history[users]
    again = history[:, columns].toarray()
    with threadpool_limits(limits=1):
        affinity = np.maximum(model.factors.users[users] @ model.factors.songs[columns].T, 0.0)
    total = affinity.sum(axis=1, keepdims=True)
    # Rounded, so that the last bit of a product, which depends on who else is ranked at once, decides nothing.
    whole = np.round(again + TASTE * affinity / np.where(total > 0, total, 1.0), 4).astype(np.float32)
    at = best(whole, min(LENGTH, len(columns)))
    row = np.arange(len(users))[:, None]
    songs, scores = columns[at], whole[row, at]
    reasons = np.where(again[row, at] > 0, 0, 1).astype(np.int8)
    unknown = (total[:, 0] == 0) & (np.asarray(history.getnnz(axis=1)) == 0)
    songs[unknown] = model.popular[: songs.shape[1]]
    scores[unknown], reasons[unknown] = 0.0, 2
    return Lists(users, songs, scores, reasons)


def best(scores: F32, length: int) -> npt.NDArray[np.int64]:
    """Indices of the greatest scores of each row, greatest first; of equal ones the first index."""
    length = min(length, scores.shape[1])
    some = np.sort(np.argpartition(-scores, length - 1, axis=1)[:, :length], axis=1)
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


@dataclass(frozen=True)
class Judged:
    """The model of a week ago and its baselines on the week after it, by name, and the verdict. None: no verdict."""

    measures: dict[str, Ranking]
    verdict: Verdict | None
    why_not: str = ""


def judge(listens: Listens, end: int, factorize: Factorize = implicit_als) -> Judged:
    """Train on what was before the last week before `end`, and measure on that week, songs known to the user included.

    The baselines: what most people stream (`popular`), and what the user streamed most often, filled up with that
    (`repeats`). The gate: precision@10 better than both.
    """
    if not len(listens) or end - WEEK - int(listens.day.min()) < LEAST_DAYS_BEFORE:
        return Judged({}, None, f"there are no {LEAST_DAYS_BEFORE} days of streams before the last complete week")
    week = listens.between(end - WEEK, end).matrix()
    users = np.flatnonzero(np.asarray(week.getnnz(axis=1)) > 0)
    if len(users) < LEAST_USERS:
        return Judged({}, None, f"only {len(users)} users streamed in the last complete week; {LEAST_USERS} are needed")
    model = train(listens, end - WEEK, factorize)
    if len(model.popular) < LENGTH:
        return Judged({}, None, f"only {len(model.popular)} songs were streamed before it; {LENGTH} are needed")
    past = listens.between(-(1 << 30), end - WEEK).matrix()
    heard = week[users]
    popular = np.tile(model.popular[:RECALL_AT], (len(users), 1))
    repeats = np.vstack([_repeats(past, model.popular, users[at : at + CHUNK]) for at in range(0, len(users), CHUNK)])
    ours = np.vstack([part.songs for part in lists(model, users)])
    measures = {
        "model": ranked(ours, heard), "popular": ranked(popular, heard), "repeats": ranked(repeats, heard),
    }  # fmt: skip
    baselines = {name: measures[name].precision for name in ("popular", "repeats")}
    return Judged(measures, beats(measures["model"].precision, baselines, "precision@10"))


def _repeats(
    past: sparse.csr_matrix, popular: npt.NDArray[np.int64], users: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Each user's own songs by number of streams; songs that are equal, and those to fill up, by popularity."""
    tie = np.zeros(past.shape[1], dtype=np.float32)
    tie[popular] = np.linspace(0.5, 0.0, len(popular), dtype=np.float32)
    return best(past[users].toarray() + tie, RECALL_AT)


def drift(listens: Listens, end: int) -> dict[str, float]:
    """Population stability of the last week before `end` against the four weeks before it: of the streams per user and
    week, and of the streams by the songs' popularity in those four weeks (deciles). Empty without such weeks."""
    before, last = listens.between(end - 5 * WEEK, end - WEEK), listens.between(end - WEEK, end)
    if not len(last) or not len(listens) or int(listens.day.min()) > end - 5 * WEEK:
        return {}

    def per_user(part: Listens) -> npt.NDArray[np.int64]:
        weeks = part.user.astype(np.int64) * 8 + (part.day - (end - 5 * WEEK)) // WEEK
        streams = np.bincount(np.unique(weeks, return_inverse=True)[1], part.plays)
        return np.bincount(np.searchsorted(_BINS, streams), minlength=len(_BINS) + 1)

    songs = np.bincount(before.song, before.plays, minlength=len(listens.songs))
    decile = np.argsort(np.argsort(songs, kind="stable"), kind="stable") * 10 // len(songs)

    def by_popularity(part: Listens) -> npt.NDArray[np.float64]:
        counts: npt.NDArray[np.float64] = np.bincount(decile[part.song], part.plays, minlength=10).astype(np.float64)
        return counts

    return {
        "streams per user": stability(per_user(before), per_user(last)),
        "popularity of songs": stability(by_popularity(before), by_popularity(last)),
    }
