"""The risk of leaving: as much of the planted hazard as can be known, calibrated, and blind to what comes later."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.churn import true_chances, walk
from benchmarks.learning import START
from music_platform.learning import churn
from music_platform.learning.daily import COUNTS, UserDays
from music_platform.learning.evaluation import auc, calibration, lift, log_likelihood
from music_platform.learning.listens import date_of, day_number
from music_simulator.options import Options

RUN = Options(seed=9, users=16_000, songs=4000, days=91, start=START, growth=0.0)
FIRST = day_number(START.date())
END = FIRST + RUN.days


@pytest.fixture(scope="module")
def walked() -> tuple[pa.Table, object, object]:
    """Thirteen weeks of 16,000 listeners, and what the simulator knows of them four weeks before the end."""
    return walk(RUN, RUN.days - churn.HORIZON)


@pytest.fixture(scope="module")
def days(walked: tuple[pa.Table, object, object]) -> UserDays:
    """The same as columns."""
    return UserDays.of(walked[0])


@pytest.fixture(scope="module")
def judged(days: UserDays) -> churn.Judged:
    """The verdict on those four weeks."""
    return churn.judge(days, END)


def test_the_planted_hazard_is_found(
    judged: churn.Judged, days: UserDays, walked: tuple[pa.Table, object, object]
) -> None:
    """At least 95 % of the true hazard's AUC, and better than base rate, recency and habits."""
    assert judged.verdict is not None
    assert judged.verdict.publish, judged.verdict.sentence
    numbers = days.users[judged.users].astype(np.int64)
    ceiling = true_chances(walked[1], numbers, RUN.days - churn.HORIZON, walked[2], classic=False)  # type: ignore[arg-type]
    found = auc(judged.said["model"], judged.labels)
    assert found >= 0.95 * auc(ceiling, judged.labels)
    assert auc(ceiling, judged.labels) > found
    assert found > auc(judged.said["habits"], judged.labels) > auc(judged.said["recency"], judged.labels)


def test_probabilities_are_what_happens(judged: churn.Judged) -> None:
    """Within 2 points in each decile, and three standard errors of so few users."""
    for decile in calibration(judged.said["model"], judged.labels):
        error = np.sqrt(decile.said * (1 - decile.said) / decile.individuals)
        assert abs(decile.said - decile.seen) < 0.02 + 3 * error


def test_where_nothing_is_planted_the_gate_refuses() -> None:
    classic = UserDays.of(walk(replace(RUN, classic=True), 1)[0])
    verdict = churn.judge(classic, END).verdict
    assert verdict is not None
    assert not verdict.publish
    assert "which is not better" in verdict.sentence


def test_the_same_rows_in_another_order_give_the_same_bytes(walked: tuple[pa.Table, object, object]) -> None:
    order = np.random.default_rng(1).permutation(walked[0].num_rows)
    scores = [
        churn.score(churn.train(some, END), some, END)
        for some in (UserDays.of(rows) for rows in (walked[0], walked[0].take(pa.array(order))))
    ]
    assert scores[0].probabilities.tobytes() == scores[1].probabilities.tobytes()
    assert scores[0].users.tobytes() == scores[1].users.tobytes()


def test_what_comes_later_changes_no_feature_and_no_score(walked: tuple[pa.Table, object, object]) -> None:
    """Everything from the day on is moved by some days and multiplied, and new users come."""
    table, as_of = walked[0], END - 14
    later = pc.greater_equal(table.column("activity_date"), pa.scalar(date_of(as_of)))
    before, after = table.filter(pc.invert(later)), table.filter(later)
    moved = after.set_column(1, "activity_date", pa.array(
        after.column("activity_date").cast(pa.int32()).to_numpy() + 5, pa.int32()).cast(pa.date32())
    )  # fmt: skip
    for name in COUNTS:
        at = moved.column_names.index(name)
        moved = moved.set_column(at, name, pc.add(pc.multiply(moved.column(name), 3), 1))
    strangers = moved.slice(0, 500).set_column(0, "user_id", pa.array([f"{'0Zz'[n % 3]}{n}" for n in range(500)]))
    said = []
    for rows in (table, before, pa.concat_tables([before, moved, strangers])):
        days = UserDays.of(rows)
        found = churn.at_risk(days, as_of)
        scores = churn.score(churn.train(days, as_of), days, as_of)
        said.append((days.users[found.users].tolist(), found.features.tobytes(), scores.probabilities.tobytes()))
    assert len(said[0][0]) > 5_000
    assert said[0] == said[1] == said[2]


def days_of(*rows: tuple[str, int, dict[str, int]]) -> UserDays:
    """Rows by hand: user, days after the first, counts."""
    return UserDays.of(pa.table({
        "user_id": pa.array([user for user, _, _ in rows], pa.string()),
        "activity_date": pa.array([date_of(FIRST + day) for _, day, _ in rows], pa.date32()),
        **{name: pa.array([counts.get(name, 0) for _, _, counts in rows], pa.int64()) for name in COUNTS},
    }))  # fmt: skip


def test_who_is_at_risk_and_who_is_lost_by_hand() -> None:
    stream, cancel = {"plays": 1, "streams": 1, "views": 1}, {"views": 1, "cancels": 1}
    days = days_of(
        ("back", 30, stream), ("back", 67, stream),
        ("cancelled", 30, stream), ("cancelled", 39, cancel),
        ("cancels", 30, stream), ("cancels", 45, stream), ("cancels", 50, cancel),
        ("gone", 12, stream), ("gone", 68, stream),
        ("long ago", 11, stream), ("long ago", 45, stream),
        ("only skips", 30, stream), ("only skips", 50, {"plays": 4, "skips": 4, "views": 4}),
    )  # fmt: skip
    found = churn.at_risk(days, FIRST + 40)
    assert days.users[found.users].tolist() == ["back", "cancels", "gone", "only skips"]
    assert churn.lost(days, found.users, FIRST + 40).tolist() == [False, True, True, True]


def test_features_by_hand() -> None:
    days = days_of(
        ("u", 10, {"plays": 10, "streams": 6, "skips": 4, "collected": 5, "adverts": 2, "views": 12}),
        ("u", 20, {"plays": 2, "streams": 2, "paid": 2, "views": 3}),
        ("u", 26, {"views": 1, "logouts": 1}),
    )  # fmt: skip
    found = churn.at_risk(days, FIRST + 30)
    known = dict(zip(churn.FEATURES, found.features[0].tolist(), strict=True))
    assert known["days since a stream"] == 10
    assert known["days since a visit"] == 4
    assert known["visits missed"] == pytest.approx(4 * 3 / 20)
    assert known["logged out"] == 1
    assert known["days with streams in 7"] == 0
    assert known["days with streams in 28"] == 2
    assert known["days with streams a day"] == pytest.approx(2 / 20)
    assert known["mean days between streams"] == known["longest days between streams"] == 10
    assert known["silence of the usual"] == 1
    assert known["pays"] == 1
    assert known["skips"] == pytest.approx(4 / 12)
    assert known["liking just now"] > known["liking lately"] > (12 - 8 - 2) / 12
    assert known["skips just now"] < known["skips lately"] < 4 / 12
    assert known["library"] == pytest.approx(5 / 12)
    once = churn.at_risk(days_of(("u", 10, {"plays": 1, "streams": 1, "views": 1})), FIRST + 30).features[0]
    assert np.isnan(once[churn.FEATURES.index("mean days between streams")])


def test_little_history_has_no_verdict(days: UserDays) -> None:
    assert "days of listening" in churn.judge(days.between(END - 60, END), END).why_not
    few = churn.judge(days.where(days.user < 300), END)
    assert few.verdict is None
    assert "users were at risk" in few.why_not
    daily = {"plays": 1, "streams": 1, "views": 1}
    loyal = days_of(*((f"{user:03d}", day, daily) for user in range(600) for day in range(RUN.days)))
    assert "were lost" in churn.judge(loyal, END).why_not


def test_drift_is_seen_and_a_quiet_month_is_not(days: UserDays) -> None:
    quiet = churn.drift(days, END)
    assert set(quiet) == {"days since a stream", "days with streams in 28", "skips lately"}
    assert all(value < 0.1 for value in quiet.values()), quiet
    angry = replace(days, skips=np.where(days.day >= END - 28, days.plays, days.skips).astype(np.int32))
    assert churn.drift(angry, END)["skips lately"] > 0.25
    assert churn.drift(days.between(END - 40, END), END) == {}


def test_measures_of_probabilities_by_hand() -> None:
    labels = np.array([False, False, True, True])
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), labels) == 0.75
    assert auc(np.full(4, 0.5), labels) == 0.5
    assert log_likelihood(np.array([0.25, 0.5, 0.5, 0.25]), labels).tolist() == pytest.approx(
        np.log([0.75, 0.5, 0.5, 0.25]).tolist()
    )
    many = np.arange(100) / 100
    assert lift(many, many >= 0.9) == 10
    assert [decile.individuals for decile in calibration(many, many >= 0.5)] == [10] * 10
    assert [decile.seen for decile in calibration(many, many >= 0.5)] == [0.0] * 5 + [1.0] * 5
