"""When the sensors start a run: the pure decisions."""

from math import inf

import pytest

from music_platform.orchestration.automation import (
    Runs,
    decide_ingest,
    decide_live,
    decide_policy,
    decide_upkeep,
    verified_complete,
)

NONE = Runs()


@pytest.mark.parametrize(
    ("kafka", "lake", "threshold", "runs", "start"),
    [
        (0, 0, 1, NONE, False),
        (1, 0, 1, NONE, True),
        (9, 0, 10, NONE, False),
        (10, 0, 10, NONE, True),
        (0, 1, 10, NONE, True),
        (5, 5, 1, Runs(in_flight=True), False),
    ],
)
def test_a_run_starts_when_a_stage_has_a_backlog_and_none_is_running(
    kafka: int, lake: int, threshold: int, runs: Runs, start: bool
) -> None:
    decision = decide_ingest((kafka, 3.0), (lake, 2.0), threshold, runs)
    assert decision.start is start
    assert decision.reason


@pytest.mark.parametrize(
    ("failures", "idle", "start"),
    [(0, 0, True), (1, 59, False), (1, 60, True), (2, 299, False), (3, 900, True), (4, 3599, False), (40, 3600, True)],
)
def test_a_job_that_keeps_failing_waits_longer_each_time(failures: int, idle: float, start: bool) -> None:
    decision = decide_ingest((5, 1.0), (0, 0.0), 1, Runs(failures=failures, idle_seconds=idle))
    assert decision.start is start
    assert start or "failed" in decision.reason


def test_a_stage_that_cannot_be_measured_starts_a_run_that_finds_out() -> None:
    decision = decide_ingest((0, 0.0), (0, 0.0), 10, NONE, unknown="the log begins at 5")
    assert (decision.start, decision.reason.partition(";")[0]) == (True, "the log begins at 5")
    assert not decide_ingest((0, 0.0), (0, 0.0), 10, Runs(failures=1), unknown="the log begins at 5").start


def test_the_reason_says_records_and_seconds() -> None:
    assert (
        decide_ingest((1500, 7.2), (0, 0.0), 1, NONE).reason
        == "1,500 records in Kafka (oldest 7 s), 0 records in the lake not in RAW"
    )


def test_a_live_build_starts_when_its_inputs_have_changed_and_nothing_is_in_the_way() -> None:
    assert not decide_live("raw 3", "raw 3", "", (), NONE).start
    assert decide_live("raw 3", "raw 2", "", (), NONE).start
    assert decide_live("raw -1", None, "", (), NONE).start
    assert not decide_live("raw 3", "raw 2", "", (), Runs(in_flight=True)).start
    assert not decide_live("raw 3", "raw 2", "", (), Runs(failures=1, idle_seconds=59)).start
    assert decide_live("raw 3", "raw 2", "", (), Runs(failures=1, idle_seconds=61)).start
    held = decide_live("raw 3", "raw 2", "", ["conservation"], NONE)
    assert not held.start
    assert "conservation" in held.reason


def test_policy_marts_wait_for_their_policy_and_for_new_data() -> None:
    young, old = {"a": 10.0, "b": 40.0}, {"a": 10.0, "b": 61.0}
    assert not decide_policy(young, 60, "5 records", (), NONE).start
    assert decide_policy(old, 60, "5 records", (), NONE).start
    assert not decide_policy(old, 60, None, (), NONE).start
    assert decide_policy({"a": inf}, 60, "5 records", (), NONE).start
    assert not decide_policy(old, 60, "5 records", (), Runs(in_flight=True)).start
    assert not decide_policy(old, 60, "5 records", (), Runs(failures=2, idle_seconds=100)).start
    assert "b, is 61 s old" in decide_policy(old, 60, "5 records", (), NONE).reason


def test_completeness_is_reported_after_half_the_window_when_there_is_no_backlog() -> None:
    marts = {"young": 10.0, "silent": 30.0, "never": inf}
    assert verified_complete(marts, 30, complete=True) == ["silent"]
    assert verified_complete(marts, 30, complete=False) == []


def test_a_backlog_below_the_threshold_waits_for_a_while_and_not_for_ever() -> None:
    assert not decide_ingest((300, 149.0), (0, 0.0), 10_000, NONE, patience=150.0).start
    assert decide_ingest((300, 150.0), (0, 0.0), 10_000, NONE, patience=150.0).start
    assert not decide_ingest((300, 150.0), (0, 0.0), 10_000, Runs(in_flight=True), patience=150.0).start


def test_upkeep_starts_for_new_inputs_and_never_beside_itself() -> None:
    assert decide_upkeep("raw 3", "raw 2", in_flight=False).start
    assert not decide_upkeep("raw 3", "raw 3", in_flight=False).start
    assert not decide_upkeep("raw 3", "raw 2", 10, 60, in_flight=False).start
    assert not decide_upkeep("raw 3", "raw 2", 60, 60, in_flight=True).start
