"""Which plays are artificial: evidence by rules, corroborated by isolation forests, and a sentence for each verdict.

A row is what a user played of a song on a date. Two rules give evidence of a user's date:

- cut: plays that were left for another song soon after the 30 seconds that make a stream, well before the end, and
  without the skip that a person's client sends. Who plays for the count plays like that; who dislikes a song skips it,
  mostly within seconds. Rows of the date with such plays are concerned.
- loop: nearly all plays of the date are of one song, and there are many. The row of that song is concerned.

Strong evidence is a verdict by itself. Weak evidence is one if both forests (Liu, Ting and Zhou, "Isolation forest",
ICDM 2008) corroborate it: the date is among the most isolated dates of users, and the song among the most isolated
songs. A forest alone accuses nobody, because who is unusual is mostly honest: a shop that plays all day, a fan of one
artist, somebody asleep. And an account with strong evidence on several dates has a habit: whatever it plays of a song
that it mostly cuts, or once looped, is artificial too, such as the few plays before midnight.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from music_platform.learning.evaluation import F64, Verdict, beats, stability
from music_platform.learning.plays import COUNTS, Plays

#: Changes with the formulas or the constants here: part of the data version of what is published.
CODE_VERSION = "1"
#: Plays, and share of the date's plays, that are strong and weak evidence.
STRONG_CUT, WEAK_CUT = (10, 0.5), (4, 0.3)
STRONG_LOOP, WEAK_LOOP = (30, 0.9), (12, 0.95)
#: Dates with strong evidence that make a habit of a user.
DATES_OF_HABIT = 2
#: Share of the users' dates, and of the songs, that are the most isolated.
ISOLATED = 0.02
TREES, MOST_ROWS, SEED = 100, 50_000, 1
#: With a greater share of all streams something else is wrong than the accounts: services find 1 to 3 % (Centre
#: national de la musique, 2023), the Music Fights Fraud Alliance names 10 %. All schemes of the simulator make 40 %.
MOST_SUSPICIOUS = 0.5
#: Accounts that are made up for the gate, of each scheme.
MADE_UP = 50
#: Streams of a song, user and date above which the baseline finds something.
REPEATED = 50
LEAST_USERS = 200
CUT, LOOP, HABIT = 1, 2, 3


@dataclass(frozen=True)
class Verdicts:
    """Rows of plays that are artificial, in columns: positions and rule; `plays` of the user on the date and how many
    of them are `evidence`; how isolated the date is among all (0 to 1); whether the evidence of the date is strong; on
    how many dates it is strong against the user."""

    rows: npt.NDArray[np.int64]
    rule: npt.NDArray[np.int8]
    plays: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.int64]
    isolation: F64
    strong: npt.NDArray[np.bool_]
    dates: npt.NDArray[np.int64]

    def scores(self) -> F64:
        """How sure each verdict is, 0 to 1: half the share of the date's plays that are evidence, a quarter if it is
        strong, and a quarter of the isolation; by habit, half at least."""
        shown = 0.5 * self.evidence / self.plays + 0.25 * self.strong + 0.25 * self.isolation
        return np.where(self.rule == HABIT, np.maximum(shown, 0.5), shown)


@dataclass(frozen=True)
class _Dates:
    """The dates of users: the first row of each, the date of each row, and sums of the rows."""

    begin: npt.NDArray[np.int64]
    of_row: npt.NDArray[np.int64]
    sums: dict[str, npt.NDArray[np.int64]]
    most: npt.NDArray[np.int64]


def judge_plays(plays: Plays) -> Verdicts:
    """All verdicts on these plays."""
    dates = _dates(plays)
    cut, total = dates.sums["cut"], dates.sums["plays"]
    strong_cut, weak_cut = (_enough(cut, total, *least) for least in (STRONG_CUT, WEAK_CUT))
    strong_loop, weak_loop = (_enough(dates.most, total, *least) for least in (STRONG_LOOP, WEAK_LOOP))
    strong = strong_cut | strong_loop
    suspects = np.flatnonzero(strong | weak_cut | weak_loop)
    isolation = np.zeros(len(total))
    isolation[suspects] = _isolation(_date_features(dates), suspects)
    odd = (isolation >= 1.0 - ISOLATED)[dates.of_row] & _odd_songs(plays)[plays.song]
    looped = dates.most[dates.of_row] == plays.plays
    by_loop = looped & (strong_loop[dates.of_row] | (weak_loop[dates.of_row] & odd))
    by_cut = (2 * plays.cut >= plays.plays) & (strong_cut[dates.of_row] | (weak_cut[dates.of_row] & odd))
    of_user = np.bincount(plays.user[dates.begin], strong, len(plays.users)).astype(np.int64)
    by_habit = (of_user >= DATES_OF_HABIT)[plays.user] & _chosen(plays, looped & strong_loop[dates.of_row])
    rows = np.flatnonzero(by_loop | by_cut | by_habit)
    date = dates.of_row[rows]
    return Verdicts(
        rows=rows,
        rule=np.where(by_loop[rows], LOOP, np.where(by_cut[rows], CUT, HABIT)).astype(np.int8),
        plays=total[date],
        evidence=np.where(by_loop[rows], dates.most[date], cut[date]),
        isolation=isolation[date],
        strong=strong[date],
        dates=of_user[plays.user[rows]],
    )


def _chosen(plays: Plays, looped: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Rows of songs that their user cuts in at least half of all plays, or has looped."""
    pair = np.unique(plays.user.astype(np.int64) * len(plays.songs) + plays.song, return_inverse=True)[1]
    cut, all_plays, loops = (np.bincount(pair, of) for of in (plays.cut, plays.plays, looped))
    out: npt.NDArray[np.bool_] = (((cut > 0) & (2 * cut >= all_plays)) | (loops > 0))[pair]
    return out


def _enough(
    evidence: npt.NDArray[np.int64], plays: npt.NDArray[np.int64], least: int, share: float
) -> npt.NDArray[np.bool_]:
    out: npt.NDArray[np.bool_] = (evidence >= least) & (evidence >= share * plays)
    return out


def _dates(plays: Plays) -> _Dates:
    is_first = np.ones(len(plays), dtype=np.bool_)
    is_first[1:] = (np.diff(plays.user) != 0) | (np.diff(plays.day) != 0)
    begin, of_row = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    sums = {name: np.add.reduceat(getattr(plays, name).astype(np.int64), begin) for name in COUNTS}
    sums["songs"] = np.diff(np.r_[begin, len(plays)])
    return _Dates(begin, of_row, sums, np.maximum.reduceat(plays.plays.astype(np.int64), begin))


def _date_features(dates: _Dates) -> F64:
    """Of each date of a user: how much was heard, and shares of its plays."""
    s, plays = dates.sums, np.maximum(dates.sums["plays"], 1)
    return np.column_stack([
        np.log1p(s["plays"]), s["seconds"] / 3600.0, s["cut"] / plays, s["skips"] / plays, s["streams"] / plays,
        s["collected"] / plays, s["songs"] / plays, dates.most / plays,
    ])  # fmt: skip


def _odd_songs(plays: Plays) -> npt.NDArray[np.bool_]:
    """Which songs are among the most isolated: by streams, streams a listener, and shares of their plays."""
    count = len(plays.songs)

    def total(values: npt.NDArray[np.generic]) -> F64:
        return np.bincount(plays.song, values.astype(np.float64), count).astype(np.float64)

    pairs = np.unique(plays.song.astype(np.int64) * len(plays.users) + plays.user)
    listeners = np.maximum(np.bincount(pairs // len(plays.users), minlength=count), 1)
    whole = total(plays.plays)
    heard = np.flatnonzero(whole)
    features = np.column_stack([
        np.log1p(total(plays.streams)), np.log1p(whole / listeners), *(total(of) / np.maximum(whole, 1)
        for of in (plays.cut, plays.skips, plays.collected)),
    ])[heard]  # fmt: skip
    out = np.zeros(count, dtype=np.bool_)
    out[heard] = _isolation(features, np.arange(len(heard))) >= 1.0 - ISOLATED
    return out


def _isolation(features: F64, of: npt.NDArray[np.int64]) -> F64:
    """How isolated some of the rows are: the share of all rows (or of a sample of them) that are less isolated."""
    if not len(of):
        return np.zeros(0)
    sample = features[:: -(-len(features) // MOST_ROWS)]
    with threadpool_limits(limits=1):
        forest = IsolationForest(n_estimators=TREES, random_state=SEED).fit(sample)
        # Rounded, so that the last bit decides nothing.
        usual = np.sort(np.round(-forest.score_samples(sample), 9))
        theirs = np.round(-forest.score_samples(features[of]), 9)
    out: F64 = np.searchsorted(usual, theirs, side="left") / len(usual)
    return out


def sentences(verdicts: Verdicts) -> list[str]:
    """Why each row is artificial, for people."""
    columns = (verdicts.rule, verdicts.plays, verdicts.evidence, verdicts.strong, verdicts.dates)
    return [_sentence(*one) for one in zip(*(column.tolist() for column in columns), strict=True)]


def _sentence(rule: int, plays: int, evidence: int, strong: bool, dates: int) -> str:
    if rule == HABIT:
        others = f"On {dates - strong} other dates the account played for the count"
        return f"{others}, and this song is one that it cuts or loops."
    weak = "" if strong else "; few, but the date and the song are far from all others"
    if rule == LOOP:
        return f"{evidence} of the user's {plays} plays on this date are of this song{weak}."
    return (
        f"{evidence} of the user's {plays} plays on this date were left without a skip soon after the 30 seconds that "
        f"count, this song's among them{weak}."
    )


@dataclass(frozen=True)
class Judged:
    """The verdicts, which share of all streams they concern, which share of made-up accounts' plays are found, by us
    and by the baseline, and whether this may be published. None: no verdict."""

    verdicts: Verdicts | None
    share: float
    found: dict[str, F64]
    verdict: Verdict | None
    why_not: str = ""


def judge(plays: Plays) -> Judged:
    """Find what is artificial, and try the rules on accounts that are made up and put among the real ones.

    The made-up accounts are a farm, loopers, and listeners whose accounts play a list besides. The baseline finds what
    a service finds that only caps streams: more than 50 of a song, user and date. The gate: a greater share of the
    made-up accounts' plays is found, and no more than half of all streams is suspicious.
    """
    users = len(np.unique(plays.user))
    if users < LEAST_USERS:
        return Judged(None, 0.0, {}, None, f"only {users} users have listened; {LEAST_USERS} are needed")
    verdicts = judge_plays(plays)
    share = float(plays.streams[verdicts.rows].sum() / max(1, plays.streams.sum()))
    mixed, account, made = made_up(plays)
    hit = np.zeros(len(mixed), dtype=np.bool_)
    hit[judge_plays(mixed).rows] = True
    found = {
        "model": _recall(account, made, hit),
        "cap of streams": _recall(account, made, mixed.streams > REPEATED),
    }
    verdict = beats(found["model"], {"cap of streams": found["cap of streams"]}, "share of made-up plays found")
    if share > MOST_SUSPICIOUS:
        verdict = Verdict(False, f"{share:.0%} of all streams would be suspicious, which says more of the rules")
    return Judged(verdicts, share, found, verdict)


def _recall(account: npt.NDArray[np.int64], made: npt.NDArray[np.int64], hit: npt.NDArray[np.bool_]) -> F64:
    whole = np.bincount(account, made)
    out: F64 = np.bincount(account, made * hit) / np.maximum(whole, 1)
    return out[whole > 0]


def made_up(plays: Plays) -> tuple[Plays, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The plays with made-up ones among them on their last date; for each row its made-up account (0 for all others)
    and how many of its plays are made up.

    A third are a farm: new accounts that play five songs 20 times each. A third play one song 120 times. A third are
    real listeners of that date, whose accounts play a list of 15 songs twice besides.
    """
    rng, day = np.random.default_rng(SEED), int(plays.day.max())
    there = np.unique(plays.user[plays.day == day])
    hosts = there[np.sort(rng.permutation(len(there))[:MADE_UP])]
    farm, lists = rng.choice(len(plays.songs), 5), rng.choice(len(plays.songs), 15)
    parts = [(-1 - n, song, 20, True) for n in range(MADE_UP) for song in farm.tolist()]
    parts += [(-1 - MADE_UP - n, int(rng.integers(len(plays.songs))), 120, False) for n in range(MADE_UP)]
    parts += [(int(host), song, 2, True) for host in hosts for song in np.unique(lists).tolist()]
    user, song, many, cut = (np.array(column) for column in zip(*parts, strict=True))
    new = len(plays.users) - 1 - user
    names = np.r_[plays.users, np.array([f"~{n:04d}" for n in range(2 * MADE_UP)])]
    theirs = np.where(user < 0, new, user)
    counts = {"plays": many, "streams": many, "cut": many * cut, "skips": many * 0, "collected": many * 0,
              "seconds": many * np.where(cut, 35, 200)}  # fmt: skip
    columns = {"user": theirs, "day": np.full(len(theirs), day), "song": song, **counts}
    whole = {name: np.r_[getattr(plays, name), values] for name, values in columns.items()}
    made = np.r_[np.zeros(len(plays), dtype=np.int64), many]
    first, songs = int(plays.day.min()), len(plays.songs)
    dates = day - first + 1
    keys, at = np.unique(
        (whole["user"].astype(np.int64) * dates + whole["day"] - first) * songs + whole["song"], return_inverse=True
    )
    who, when, what = keys // songs // dates, keys // songs % dates + first, keys % songs
    sums = {name: np.bincount(at, whole[name]).astype(np.int32) for name in COUNTS}
    mixed = Plays(names, plays.songs, *(column.astype(np.int32) for column in (who, when, what)), **sums)
    of_row = np.bincount(at, made).astype(np.int64)
    return mixed, np.where(of_row > 0, mixed.user.astype(np.int64) + 1, 0), of_row


def drift(plays: Plays, end: int) -> dict[str, float]:
    """Population stability of the last week before `end` against the four weeks before it: of the dates of users by
    plays, by the share that was cut and by the share of one song. Empty without five weeks."""
    if not len(plays) or int(plays.day.min()) > end - 35:
        return {}
    kept = plays.where((plays.day >= end - 35) & (plays.day < end))
    dates = _dates(kept)
    last = kept.day[dates.begin] >= end - 7
    features = _date_features(dates)
    shares = np.array([0.1, 0.25, 0.5, 0.75])
    out = {}
    for name, column, edges in (
        ("plays of a date", 0, np.log1p([1, 2, 5, 10, 20, 50])),
        ("cut plays", 2, shares),
        ("one song's share", 7, shares),
    ):  # fmt: skip
        bins = np.searchsorted(edges, features[:, column])
        out[name] = stability(*(np.bincount(bins[of], minlength=len(edges) + 1) for of in (~last, last)))
    return out
