"""Which songs are heard together: in the same sessions, more often than their popularity explains.

The score of two songs is their cosine over sessions, shrunk towards 0 where few sessions have both:

    together / √(sessions of one · sessions of the other) · together / (together + SHRINK)

(item-to-item collaborative filtering: Linden, Smith and York, 2003; shrinkage: Bell and Koren, 2007). A session counts
each of its songs once, and 1 / (songs − 1) for each pair, so that a long one does not outvote many short ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from music_platform.learning.evaluation import RECALL_AT, Ranking, Verdict, beats, ranked, stability
from music_platform.learning.listens import codes

#: Changes with the formulas or the constants here: part of the data version of what is published.
CODE_VERSION = "1"
SHRINK, LENGTH, CHUNK = 3.0, 20, 512
#: Days that are learned from. A session with more songs than this is a place's, not a mood's.
DAYS, MOST_SONGS = 84, 200
#: Days that are judged, at least as many before them, and sessions in them, without which there is no verdict.
WEEK, LEAST_SESSIONS = 7, 500
_BINS = (1, 2, 3, 5, 10, 20)


@dataclass(frozen=True)
class Sessions:
    """A row for each session and song, in ascending order; `sessions` and `songs` are ids, ascending too. `day`: of the
    row, since 1970-01-01."""

    sessions: npt.NDArray[np.str_]
    songs: npt.NDArray[np.str_]
    session: npt.NDArray[np.int32]
    song: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]

    @classmethod
    def of(cls, table: pa.Table) -> "Sessions":
        """From columns session_key, song_key and activity_date (the session's first), in any order of rows; no two rows
        of one session and song."""
        (sessions, session), (songs, song) = codes(table.column("session_key")), codes(table.column("song_key"))
        day = table.column("activity_date").cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int32)
        order = np.lexsort((song, session))
        return cls(sessions, songs, session[order], song[order], day[order])

    def __len__(self) -> int:
        return len(self.session)

    def between(self, first: int, end: int) -> "Sessions":
        """The rows from day `first` to the day before `end`; the lists of sessions and songs stay."""
        kept = (self.day >= first) & (self.day < end)
        return Sessions(self.sessions, self.songs, self.session[kept], self.song[kept], self.day[kept])

    def matrix(self) -> sparse.csr_matrix:
        """Sessions × songs, 1 where the session has the song; only sessions with two songs or more."""
        codes_of, row = np.unique(self.session, return_inverse=True)
        found = sparse.csr_matrix(
            (np.ones(len(self), dtype=np.float64), (row, self.song)), shape=(len(codes_of), len(self.songs))
        )
        many = np.asarray(found.getnnz(axis=1))
        return found[np.flatnonzero((many > 1) & (many <= MOST_SONGS))]


@dataclass(frozen=True)
class Pairs:
    """For each song of `of` (ascending) the songs that are heard with it, best first: `other` (-1: none), the score,
    sessions with both, and the lift: how many times as many as if the two had nothing to do with each other."""

    of: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    sessions: npt.NDArray[np.int64]
    lift: npt.NDArray[np.float64]


def pairs(sessions: Sessions, end: int) -> Iterator[Pairs]:
    """The songs that are heard together, from the sessions of the DAYS days before the day `end`; some hundred songs at
    a time."""
    has = sessions.between(end - DAYS, end).matrix()
    weight = 1.0 / np.maximum(np.asarray(has.getnnz(axis=1)) - 1, 1)
    weighed = sparse.diags_array(weight) @ has
    of_song = np.asarray(has.sum(axis=0)).ravel()
    norm = np.asarray(weighed.sum(axis=0)).ravel()
    heard = np.flatnonzero(of_song)
    by_song = has.T.tocsr()
    for at in range(0, len(heard), CHUNK):
        of = heard[at : at + CHUNK]
        both = (by_song[of] @ has).tocsr()
        shared = (by_song[of] @ weighed).tocsr()
        yield _best(of, both, shared, of_song, norm, has.shape[0])


def _best(
    of: npt.NDArray[np.int64], both: sparse.csr_matrix, shared: sparse.csr_matrix, of_song: npt.NDArray[np.float64],
    norm: npt.NDArray[np.float64], sessions: int,
) -> Pairs:  # fmt: skip
    other = np.full((len(of), LENGTH), -1, dtype=np.int64)
    score, lift = np.zeros(other.shape), np.zeros(other.shape)
    count = np.zeros(other.shape, dtype=np.int64)
    both.sort_indices()
    shared.sort_indices()
    for row, song in enumerate(of.tolist()):
        begin, end = both.indptr[row], both.indptr[row + 1]
        songs, together = both.indices[begin:end].astype(np.int64), both.data[begin:end]
        weighed = shared.data[begin:end]
        # Rounded, so that the last bit of a sum decides nothing.
        said = np.round(weighed / np.sqrt(norm[song] * norm[songs]) * together / (together + SHRINK), 9)
        said[songs == song] = 0.0
        first = np.argsort(-said, kind="stable")[:LENGTH]
        first = first[said[first] > 0]
        n = len(first)
        other[row, :n], score[row, :n], count[row, :n] = songs[first], said[first], together[first]
        lift[row, :n] = together[first] * sessions / (of_song[song] * of_song[songs[first]])
    return Pairs(of, other, score, count, lift)


@dataclass(frozen=True)
class Judged:
    """What was known a week ago, and what is popular, on the last complete week, and the verdict. None: no verdict."""

    measures: dict[str, Ranking]
    verdict: Verdict | None
    why_not: str = ""


def judge(sessions: Sessions, end: int) -> Judged:
    """Learn from what was before the last week before `end`, and of each session in it look at one song: which share of
    the ten songs that are heard with it were heard in that session? The baseline: what is in most sessions. The gate:
    precision@10 better than that."""
    if not len(sessions) or end - 2 * WEEK < int(sessions.day.min()):
        return Judged({}, None, f"there are no {WEEK} days of sessions before the last complete week")
    week = sessions.between(end - WEEK, end).matrix()
    before = sessions.between(end - WEEK - DAYS, end - WEEK)
    popular = np.argsort(-np.bincount(before.song, minlength=len(sessions.songs)), kind="stable")[: RECALL_AT + 1]
    known = np.bincount(before.song, minlength=len(sessions.songs)) > 0
    # A song of each session, as arbitrary as the order of the sessions: the next place in each.
    many = np.asarray(week.getnnz(axis=1))
    asked = week.indices[week.indptr[:-1] + np.arange(len(many)) % np.maximum(many, 1)].astype(np.int64)
    kept = np.flatnonzero(known[asked])
    if len(kept) < LEAST_SESSIONS:
        why = f"only {len(kept)} sessions of the last complete week have two songs; {LEAST_SESSIONS} are needed"
        return Judged({}, None, why)
    asked, heard = asked[kept], _without(week[kept], asked[kept])
    best = np.full((len(sessions.songs), RECALL_AT), -1, dtype=np.int64)
    for part in pairs(sessions, end - WEEK):
        best[part.of] = part.other[:, :RECALL_AT]
    others = np.stack([popular[popular != song][:RECALL_AT] for song in asked.tolist()])
    measures = {"model": ranked(best[asked], heard), "popular": ranked(others, heard)}
    return Judged(
        measures, beats(measures["model"].precision, {"popular": measures["popular"].precision}, "precision@10")
    )


def _without(week: sparse.csr_matrix, asked: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    own = sparse.csr_matrix((np.ones(len(asked)), (np.arange(len(asked)), asked)), shape=week.shape)
    out = (week - own).tocsr()
    out.eliminate_zeros()
    return out


def drift(sessions: Sessions, end: int) -> dict[str, float]:
    """Population stability of the sessions of the last week before `end` against the four weeks before it, by the
    number of their songs. Empty without such weeks."""
    if not len(sessions) or int(sessions.day.min()) > end - 5 * WEEK:
        return {}
    counts = []
    for part in (sessions.between(end - 5 * WEEK, end - WEEK), sessions.between(end - WEEK, end)):
        songs = np.unique(part.session, return_counts=True)[1]
        counts.append(np.bincount(np.searchsorted(_BINS, songs), minlength=len(_BINS) + 1))
    return {"songs of a session": stability(*counts)}
