"""When the lag sensor starts a run."""

import pytest

from music_platform.automation import decide_build, decide_ingest


@pytest.mark.parametrize(
    ("kafka", "lake", "threshold", "in_flight", "start"),
    [
        (0, 0, 1, False, False),
        (1, 0, 1, False, True),
        (9, 0, 10, False, False),
        (10, 0, 10, False, True),
        (0, 1, 10, False, True),
        (5, 5, 1, True, False),
    ],
)
def test_a_run_starts_when_a_stage_is_behind_and_none_is_at_it(
    kafka: int, lake: int, threshold: int, in_flight: bool, start: bool
) -> None:
    decision = decide_ingest(kafka, lake, threshold, in_flight)
    assert decision.start is start
    assert decision.reason


@pytest.mark.parametrize(
    ("failures", "idle", "start"),
    [(0, 0, True), (1, 59, False), (1, 60, True), (2, 299, False), (3, 900, True), (4, 3599, False), (40, 3600, True)],
)
def test_what_fails_again_and_again_waits_longer_each_time(failures: int, idle: float, start: bool) -> None:
    decision = decide_ingest(5, 0, 1, False, failures, idle)
    assert decision.start is start
    assert start or "failed" in decision.reason


def test_a_build_starts_when_its_inputs_have_changed_and_none_is_at_it() -> None:
    assert not decide_build("raw 3", "raw 3", False).start
    assert decide_build("raw 3", "raw 2", False).start
    assert decide_build("raw -1", None, False).start
    assert not decide_build("raw 3", "raw 2", True).start
    assert not decide_build("raw 3", "raw 2", False, failures=1, idle_seconds=59).start
    assert decide_build("raw 3", "raw 2", False, failures=1, idle_seconds=61).start
