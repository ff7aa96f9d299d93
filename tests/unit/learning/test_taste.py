"""Segments of listeners and songs that are heard together: the planted scenes, and nothing where there are none."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.learning import START
from benchmarks.taste import _ami, _same_scene, tables
from music_platform.learning import segments, together
from music_platform.learning.listens import Listens, date_of, day_number
from music_simulator.options import Options

RUN = Options(seed=9, users=4000, songs=4000, days=42, start=START, growth=0.0)
FIRST = day_number(START.date())
END = FIRST + RUN.days


@pytest.fixture(scope="module")
def planted() -> tuple[pa.Table, pa.Table]:
    """Six weeks of 4,000 listeners: streams by artist, songs by session."""
    return tables(RUN)


@pytest.fixture(scope="module")
def artists(planted: tuple[pa.Table, pa.Table]) -> Listens:
    """Streams by artist."""
    return Listens.of(planted[0])


@pytest.fixture(scope="module")
def sessions(planted: tuple[pa.Table, pa.Table]) -> together.Sessions:
    """Songs by session."""
    return together.Sessions.of(planted[1])


def test_the_planted_scenes_are_found(artists: Listens, sessions: together.Sessions) -> None:
    tastes, pairs = segments.judge(artists, END), together.judge(sessions, END)
    for judged in (tastes.verdict, pairs.verdict):
        assert judged is not None
        assert judged.publish, judged.sentence
    assert _ami(RUN, artists, END) > 0.3
    found = _same_scene(RUN, sessions, END)
    assert found["found"] > 4 * found["by chance"]


def test_where_there_are_no_scenes_the_gates_refuse() -> None:
    of_artists, of_sessions = tables(replace(RUN, classic=True))
    for verdict in (
        segments.judge(Listens.of(of_artists), END).verdict,
        together.judge(together.Sessions.of(of_sessions), END).verdict,
    ):
        assert verdict is not None
        assert not verdict.publish
        assert "which is not better" in verdict.sentence


def pairs_said(sessions: together.Sessions, end: int) -> list[tuple[object, ...]]:
    """All pairs, by name."""
    return [
        (sessions.songs[of], sessions.songs[other], score, count, lift)
        for part in together.pairs(sessions, end)
        for of, others, scores, counts, lifts in zip(
            part.of, part.other, part.score.tolist(), part.sessions.tolist(), part.lift.tolist(), strict=True
        )
        for other, score, count, lift in zip(others, scores, counts, lifts, strict=True)
        if other >= 0
    ]


def segments_said(artists: Listens, end: int) -> list[tuple[object, ...]]:
    """The segment of each user, by name."""
    found = segments.segments(artists, end)
    names = [tuple(artists.songs[row[:3]].tolist()) for row in found.characteristic]
    return [
        (artists.users[user], segment, names[segment], closeness)
        for user, segment, closeness in zip(found.users, found.segment, found.closeness.tolist(), strict=True)
    ]


def test_the_same_rows_in_another_order_give_the_same(planted: tuple[pa.Table, pa.Table]) -> None:
    orders = [np.random.default_rng(1).permutation(rows.num_rows) for rows in planted]
    shuffled = [rows.take(pa.array(order)) for rows, order in zip(planted, orders, strict=True)]
    assert segments_said(Listens.of(planted[0]), END) == segments_said(Listens.of(shuffled[0]), END)
    assert pairs_said(together.Sessions.of(planted[1]), END) == pairs_said(together.Sessions.of(shuffled[1]), END)


def test_what_comes_later_changes_nothing(planted: tuple[pa.Table, pa.Table]) -> None:
    """From the day on, other people and sessions play other songs."""
    day = END - 14

    def moved(rows: pa.Table, who: str) -> pa.Table:
        later = rows.filter(pa.compute.greater_equal(rows.column("activity_date"), pa.scalar(date_of(day))))
        before = rows.filter(pa.compute.less(rows.column("activity_date"), pa.scalar(date_of(day))))
        names = pa.array([f"{'0Zz'[n % 3]}{n}" for n in range(later.num_rows)])
        at = [later.column_names.index(name) for name in (who, "song_key")]
        return pa.concat_tables([before, later.set_column(at[0], who, names).set_column(at[1], "song_key", names)])

    listens, changed = (Listens.of(rows) for rows in (planted[0], moved(planted[0], "user_id")))
    assert segments_said(listens, day) == segments_said(changed, day)
    one, other = (together.Sessions.of(rows) for rows in (planted[1], moved(planted[1], "session_key")))
    said = pairs_said(one, day)
    assert len(said) > 10_000
    assert said == pairs_said(other, day)


def test_pairs_by_hand() -> None:
    """Three sessions of four have a and b, one more has a and c; a lone song and a place's session count nothing."""
    sets = [["a", "b"], ["a", "b"], ["a", "b", "c"], ["a", "c"], ["d"], [f"x{n}" for n in range(300)]]
    rows = [(f"s{n}", song) for n, songs in enumerate(sets) for song in songs]
    sessions = together.Sessions.of(pa.table({
        "session_key": [session for session, _ in rows],
        "song_key": [song for _, song in rows],
        "activity_date": pa.array([date_of(FIRST)] * len(rows), pa.date32()),
    }))  # fmt: skip
    said = {(str(of), str(other)): (score, count, lift) for of, other, score, count, lift in pairs_said(sessions, END)}
    assert set(said) == {(x, y) for x in "abc" for y in "abc" if x != y}
    score, count, lift = said["a", "b"]
    assert count == 3
    assert lift == pytest.approx(3 * 4 / (4 * 3))
    assert score == pytest.approx(2.5 / np.sqrt(3.5 * 2.5) * 3 / (3 + together.SHRINK), abs=1e-8)
    assert said["b", "a"] == said["a", "b"]


def test_little_history_has_no_verdict(artists: Listens, sessions: together.Sessions) -> None:
    assert segments.judge(artists.between(END - 10, END), END).verdict is None
    assert "of whom enough is known" in segments.judge(artists.where(artists.user < 100), END).why_not
    assert together.judge(sessions.between(END - 10, END), END).verdict is None
    alone = replace(sessions, session=np.arange(len(sessions), dtype=np.int32))
    assert "have two songs" in together.judge(alone, END).why_not


def test_drift_is_seen_and_a_quiet_month_is_not(artists: Listens, sessions: together.Sessions) -> None:
    found = segments.segments(artists, END)
    assert segments.drift(artists, found, END)["streams by segment"] < 0.1
    assert together.drift(sessions, END)["songs of a session"] < 0.1
    of_user = np.full(len(artists.users), -1)
    of_user[found.users] = found.segment
    few = artists.where((artists.day < END - 7) | (of_user[artists.user] == 3))
    assert segments.drift(few, found, END)["streams by segment"] > 0.25
    last = sessions.day >= END - 7
    alone = np.where(last, len(sessions.sessions) + np.arange(len(sessions)), sessions.session)
    assert together.drift(replace(sessions, session=alone.astype(np.int32)), END)["songs of a session"] > 0.25
    assert segments.drift(artists.between(END - 21, END), found, END) == {}
    assert together.drift(sessions.between(END - 21, END), END) == {}
