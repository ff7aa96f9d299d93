"""Recommendations on planted tastes: better than their baselines, deterministic, and blind to what comes later."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import sparse

from benchmarks.learning import START, oracle_ranking, streams
from music_platform.learning import recommendations as learning
from music_platform.learning.evaluation import beats, ranked, stability
from music_platform.learning.listens import Listens, date_of, day_number
from music_simulator.options import Options

RUN = Options(seed=9, users=3000, songs=8000, days=42, start=START, growth=0.0)
END = day_number(START.date()) + RUN.days


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """The streams of six weeks of 3,000 listeners."""
    return streams(RUN)


@pytest.fixture(scope="module")
def listens(table: pa.Table) -> Listens:
    """The same as columns."""
    return Listens.of(table)


@pytest.fixture(scope="module")
def judged(listens: Listens) -> learning.Judged:
    """The verdict on the last week."""
    return learning.judge(listens, END)


def test_planted_tastes_are_found(judged: learning.Judged, listens: Listens) -> None:
    """At least three times as good as what is popular, better than repeats, and at least 70 % of what is knowable."""
    assert judged.verdict is not None
    assert judged.verdict.publish, judged.verdict.sentence
    found = {name: ranking.precision.mean() for name, ranking in judged.measures.items()}
    assert found["model"] >= 3 * found["popular"]
    assert found["model"] > found["repeats"]
    oracle = oracle_ranking(RUN, listens, END).precision.mean()
    assert found["model"] >= 0.7 * oracle
    assert oracle > found["model"]


def test_without_tastes_the_gate_refuses() -> None:
    classic = Listens.of(streams(replace(RUN, classic=True, days=28)))
    verdict = learning.judge(classic, day_number(START.date()) + 28).verdict
    assert verdict is not None
    assert not verdict.publish
    assert "which is not better" in verdict.sentence


def test_users_whose_taste_is_another_ones_are_refused(table: pa.Table) -> None:
    """A model for shuffled users knows nothing of anybody."""
    listens = Listens.of(table)
    names = np.random.default_rng(3).permutation(len(listens.users)).astype(np.int32)
    week = listens.day >= END - 7
    shuffled = replace(listens, user=np.where(week, names[listens.user], listens.user))
    verdict = learning.judge(shuffled, END).verdict
    assert verdict is not None
    assert not verdict.publish


def test_the_same_rows_in_another_order_give_the_same_bytes(table: pa.Table) -> None:
    order = np.random.default_rng(1).permutation(table.num_rows)
    one, other = (learning.train(Listens.of(rows), END - 14) for rows in (table, table.take(pa.array(order))))
    assert one.factors.users.tobytes() == other.factors.users.tobytes()
    assert one.factors.songs.tobytes() == other.factors.songs.tobytes()
    users = np.arange(500)
    for a, b in zip(learning.lists(one, users), learning.lists(other, users), strict=True):
        assert a.songs.tobytes() == b.songs.tobytes()
        assert a.scores.tobytes() == b.scores.tobytes()


def test_what_comes_later_changes_nothing(table: pa.Table) -> None:
    """Everything from the day on is moved to other songs; users and songs are the same, so the codes are."""
    listens, day = Listens.of(table), END - 14
    later = listens.day >= day
    moved = replace(
        listens,
        song=np.where(later, (listens.song + 7) % len(listens.songs), listens.song).astype(np.int32),
        plays=np.where(later, listens.plays + 3, listens.plays).astype(np.int32),
    )
    one, other = learning.train(listens, day), learning.train(moved, day)
    assert (one.history != other.history).nnz == 0
    assert one.factors.users.tobytes() == other.factors.users.tobytes()
    assert (one.popular == other.popular).all()


def test_users_and_songs_that_come_later_change_no_list(table: pa.Table) -> None:
    day = END - 14
    before = table.filter(pc.less(table.column("activity_date"), pa.scalar(date_of(day))))
    more = before.slice(0, 500)
    later = pa.table({
        "user_id": [f"{'aAzZ'[n % 4]}{n}" for n in range(500)],
        "song_key": [f"{'0Zz'[n % 3]}{n}" for n in range(500)],
        "activity_date": pa.array([date_of(day)] * 500),
        "is_collected": more.column("is_collected"),
        "plays": more.column("plays"),
    })  # fmt: skip
    one, other = (
        learning.train(Listens.of(before), day),
        learning.train(Listens.of(pa.concat_tables([before, later])), day),
    )
    said = [
        {
            (model.listens.users[user], model.listens.songs[song], score)
            for part in learning.lists(model, np.flatnonzero(np.asarray(model.history.getnnz(axis=1))))
            for user, songs, scores in zip(part.users, part.songs, part.scores.tolist(), strict=True)
            for song, score in zip(songs, scores, strict=True)
        }
        for model in (one, other)
    ]
    assert len(said[0]) > 10_000
    assert said[0] == said[1]


def test_newcomers_are_folded_in(listens: Listens) -> None:
    """Users who are hidden from the training get lists like those that training gives them."""
    many = np.bincount(listens.user, listens.plays, minlength=len(listens.users))
    hidden = np.argsort(-many, kind="stable")[5:105]
    until = END - 7
    late = np.isin(listens.user, hidden)
    arrived = replace(listens, day=np.where(late, until, listens.day).astype(np.int32))
    model = learning.train(arrived, until)
    assert model.history[hidden].nnz == 0
    before = np.vstack([part.songs for part in learning.lists(model, hidden)])
    assert (before == model.popular[: learning.LENGTH]).all()
    folded = learning.with_newcomers(model, until + 1)
    after = list(learning.lists(folded, hidden))
    assert (np.vstack([part.reasons for part in after]) < 2).all()
    whole = learning.train(listens, END)
    share = [
        len(set(a.tolist()) & set(b.tolist())) / learning.LENGTH
        for a, b in zip(
            np.vstack([part.songs for part in after]),
            np.vstack([part.songs for part in learning.lists(whole, hidden)]),
            strict=True,
        )
    ]
    assert np.mean(share) > 0.5
    others = np.setdiff1d(np.arange(300), hidden)
    assert (folded.factors.users[others] == model.factors.users[others]).all()


def test_little_history_has_no_verdict(listens: Listens) -> None:
    short = listens.where(listens.day >= END - 10)
    assert learning.judge(short, END).verdict is None
    few = listens.where(listens.user < 100)
    found = learning.judge(few, END)
    assert found.verdict is None
    assert "users streamed in the last complete week" in found.why_not


def test_drift_is_seen_and_a_quiet_month_is_not(listens: Listens) -> None:
    quiet = learning.drift(listens, END)
    assert set(quiet) == {"streams per user", "popularity of songs"}
    assert all(value < 0.1 for value in quiet.values()), quiet
    week = listens.day >= END - 7
    loud = replace(listens, song=np.where(week, listens.song % 40, listens.song).astype(np.int32))
    assert learning.drift(loud, END)["popularity of songs"] > 0.25
    assert learning.drift(listens.where(listens.day >= END - 21), END) == {}


def test_measures_of_a_list_by_hand() -> None:
    heard = sparse.csr_matrix(np.array([[1, 0, 1, 0] + [0] * 26, [0, 1, 0, 0] + [0] * 26]))
    lists = np.vstack([np.arange(20), np.arange(20) + 5])
    found = ranked(lists, heard)
    assert found.precision.tolist() == [0.2, 0.0]
    assert found.recall.tolist() == [1.0, 0.0]
    assert found.ndcg[0] == pytest.approx((1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3)))


def test_a_gain_within_its_error_is_none() -> None:
    rng = np.random.default_rng(0)
    model = rng.normal(1.0, 1.0, 1000)
    assert beats(model + 0.5, {"other": model}, "x").publish
    assert not beats(model + rng.normal(0.0, 1.0, 1000), {"other": model}, "x").publish
    assert not beats(model, {"worse": model - 1, "better": model + 1}, "x").publish


def test_stability_of_equal_and_shifted_populations() -> None:
    assert stability([100, 200, 300], [10, 20, 30]) < 0.01
    assert stability([100, 200, 300], [300, 200, 100]) > 0.25


def test_days_are_counted_from_1970() -> None:
    assert day_number(datetime(1970, 1, 2).date()) == 1
