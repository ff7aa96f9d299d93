"""Segments of listeners by taste: people who stream the same artists.

Users and artists get factors by alternating least squares on implicit feedback (`recommendations`, with artists in the
place of songs), and the users' directions are clustered by k-means. A segment is named by the artists whom its members
stream more than others do: by the share of the segment's streams times the logarithm of its lift over all streams.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from music_platform.learning import recommendations
from music_platform.learning.evaluation import RECALL_AT, Ranking, Verdict, beats, ranked, stability
from music_platform.learning.listens import Listens

#: Changes with the formulas or the constants here: part of the data version of what is published.
CODE_VERSION = f"1.{recommendations.CODE_VERSION}"
#: Segments at most, and members that one has on average at least.
SEGMENTS, MEMBERS, SEED, STARTS = 40, 50, 1, 3
#: Users with fewer streams are in no segment: of them too little is known.
LEAST_STREAMS = 10
#: Artists that name a segment.
NAMED_BY = 3
WEEK, LEAST_DAYS_BEFORE, LEAST_USERS = 7, 7, 500


@dataclass(frozen=True)
class Segments:
    """Users in segments (indices, ascending), the segment of each, and how close to its middle (cosine, at most 1); for
    each segment its artists (indices), the most streamed ones and the most characteristic ones first."""

    users: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    closeness: npt.NDArray[np.float64]
    streamed: npt.NDArray[np.int64]
    characteristic: npt.NDArray[np.int64]


def segments(artists: Listens, end: int) -> Segments:
    """Segments from the streams before the day `end`; the `songs` of these listens are artists."""
    past = artists.between(-(1 << 30), end)
    streams = past.matrix()
    users = np.flatnonzero(np.asarray(streams.sum(axis=1)).ravel() >= LEAST_STREAMS)
    factors = recommendations.train(past, end).factors.users[users].astype(np.float64)
    directions = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
    count = max(1, min(SEGMENTS, len(users) // MEMBERS))
    with threadpool_limits(limits=1):
        found = KMeans(count, n_init=STARTS, random_state=SEED).fit(directions)
        middles = found.cluster_centers_ / np.maximum(
            np.linalg.norm(found.cluster_centers_, axis=1, keepdims=True), 1e-12
        )
    # Largest first, so that numbers mean something.
    size = np.bincount(found.labels_, minlength=count)
    place = np.empty(count, dtype=np.int64)
    place[np.argsort(-size, kind="stable")] = np.arange(count)
    segment = place[found.labels_]
    # Rounded, so that the last bit of a product decides nothing.
    closeness = np.round((directions * middles[found.labels_]).sum(axis=1), 6)
    heard = np.stack([np.asarray(streams[users[segment == one]].sum(axis=0)).ravel() for one in range(count)])
    share = heard / np.maximum(heard.sum(axis=1, keepdims=True), 1)
    usual = heard.sum(axis=0) / max(1, heard.sum())
    lift = np.divide(share, usual, out=np.ones_like(share), where=share > 0)
    return Segments(users, segment, closeness, _first(share), _first(share * np.log(lift)))


def _first(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    out: npt.NDArray[np.int64] = np.argsort(-np.round(scores, 12), axis=1, kind="stable")[:, :RECALL_AT]
    return out


@dataclass(frozen=True)
class Judged:
    """The segments of a week ago and what is popular, on the last complete week, and the verdict. None: no verdict."""

    measures: dict[str, Ranking]
    verdict: Verdict | None
    why_not: str = ""


def judge(artists: Listens, end: int) -> Judged:
    """Segment by what was before the last week before `end`, and look at that week: which share of their segment's ten
    most streamed artists did the members stream? The baseline: everybody's most streamed artists. The gate:
    precision@10 better than that."""
    if not len(artists) or end - WEEK - int(artists.day.min()) < LEAST_DAYS_BEFORE:
        return Judged({}, None, f"there are no {LEAST_DAYS_BEFORE} days of streams before the last complete week")
    before = artists.between(-(1 << 30), end - WEEK).matrix()
    known = np.asarray(before.sum(axis=1)).ravel() >= LEAST_STREAMS
    week = artists.between(end - WEEK, end).matrix()
    users = np.flatnonzero(known & (np.asarray(week.getnnz(axis=1)) > 0))
    if len(users) < LEAST_USERS:
        why = f"only {len(users)} users of whom enough is known streamed in the last complete week"
        return Judged({}, None, f"{why}; {LEAST_USERS} are needed")
    if (np.asarray(before.getnnz(axis=0)) > 0).sum() < RECALL_AT:
        return Judged({}, None, f"fewer than {RECALL_AT} artists were streamed before it")
    found = segments(artists, end - WEEK)
    of = found.segment[np.searchsorted(found.users, users)]
    popular = np.argsort(-np.asarray(before.sum(axis=0)).ravel(), kind="stable")[:RECALL_AT]
    measures = {
        "model": ranked(found.streamed[of], week[users]),
        "popular": ranked(np.tile(popular, (len(users), 1)), week[users]),
    }
    return Judged(
        measures, beats(measures["model"].precision, {"popular": measures["popular"].precision}, "precision@10")
    )


def drift(artists: Listens, found: Segments, end: int) -> dict[str, float]:
    """Population stability of the last week before `end` against the four before it: of the streams by segment. Empty
    without such weeks."""
    if not len(artists) or int(artists.day.min()) > end - 5 * WEEK:
        return {}
    of_user = np.full(len(artists.users), -1)
    of_user[found.users] = found.segment
    counts = []
    for part in (artists.between(end - 5 * WEEK, end - WEEK), artists.between(end - WEEK, end)):
        known = of_user[part.user] >= 0
        counts.append(np.bincount(of_user[part.user][known], part.plays[known], int(found.segment.max(initial=0)) + 1))
    return {"streams by segment": stability(*counts)}
