"""What OPS says: builds are the keys of results, the earliest time counts, and RAW's checks are everybody's."""

from datetime import date, datetime

from music_dashboard.state import RAW, Standing, State, state_of

T1, T2 = datetime(2026, 6, 30, 12), datetime(2026, 6, 30, 13)
ROWS = [
    ("model", "songs", "b1", T2, T1, 30, None, None, None),
    ("model", "listens", "b2", T2, T2, 0, None, None, None),
    ("model", "a_view", "b1", T1, None, None, None, None, None),
    ("check", "songs", None, T2, None, None, "unique", True, "passed"),
    ("check", "songs", None, T2, None, None, "balance", False, "3 rows differ"),
    ("check", "other", None, T2, None, None, "unique", False, "1 row"),
    ("check", RAW, None, T2, None, None, "conservation", True, "balances"),
]


def state() -> State:
    return state_of(ROWS)


def test_numbers_from_two_models_are_as_complete_as_the_earlier() -> None:
    standing = state().standing(("songs", "listens", "a_view"))
    assert (standing.complete_until, standing.behind_seconds) == (T1, 30)
    assert standing.passed == 2
    assert [verdict.check for verdict in standing.failed] == ["balance"]


def test_the_checks_of_raw_are_about_every_number() -> None:
    assert state().standing(("listens",)) == Standing(T2, 0, 1, ())


def test_a_key_changes_with_a_build_of_its_models_and_with_no_other() -> None:
    before = state()
    other = state_of([*ROWS[:1], ("model", "listens", "b3", T2, T2, 0, None, None, None), *ROWS[2:]])
    assert before.key(("songs",)) == other.key(("songs",)) == (("songs", "b1"),)
    assert before.key(("songs", "listens")) != other.key(("listens", "songs"))
    assert before.key(("songs", "listens")) == before.key(("listens", "songs"))


def test_the_key_of_nothing_is_of_everything() -> None:
    checked = [*ROWS[:3], ("check", "songs", None, T1, None, None, "unique", True, "passed"), *ROWS[4:]]
    assert state().key(()) == state().key(())
    assert state().key(()) != state_of(checked).key(())
    assert state_of([]).key(()) == ()


def test_what_is_learned_has_versions_for_builds_and_is_of_a_date() -> None:
    rows = [*ROWS, ("learned", "segments", "v1", T2, datetime(2026, 6, 29), None, None, None, None),
            ("learned", "risk", "v7", T2, datetime(2026, 6, 22), None, None, None, None)]  # fmt: skip
    found = state_of(rows)
    assert found.missing(("segments", "risk", "songs_together")) == ["songs_together"]
    assert found.key(("segments", "songs")) == (("segments", "v1"), ("songs", "b1"))
    assert found.standing(("segments", "risk", "songs")).learned_before == date(2026, 6, 22)
    assert found.standing(("songs",)).learned_before is None
    assert found.standing(()).learned_before is None
    assert found.standing(()).complete_until == T1


def test_a_model_that_was_never_built_is_missing() -> None:
    assert state().missing(("songs", "new", "gone")) == ["gone", "new"]
