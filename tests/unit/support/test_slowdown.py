"""Limits grow with the machine's slowness, and never shrink."""

import re
from pathlib import Path

import pytest

from tests.support import slowdown

#: A limit as people write it: a number of seconds where `slowdown.seconds(…)` belongs.
ABSOLUTE = re.compile(
    r"\btimeout=[1-9]|\bmonotonic\(\) \+ \d|\b(began|started) < \d|\.(wait|join|flush|result|communicate)\(\d"
)


def test_a_slow_machine_gets_as_much_more_time() -> None:
    reference = slowdown.REFERENCE_SECONDS
    assert slowdown.factor_of(3 * reference) == pytest.approx(3)
    assert slowdown.factor_of(reference / 2) == 1, "a limit holds as it is written on a fast machine"
    assert slowdown.factor_of(1000 * reference) == slowdown.LARGEST


def test_the_machine_is_measured_once_for_all_that_a_session_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowdown, "WORK", "import time; time.sleep(0.5)")
    monkeypatch.setattr(slowdown, "REFERENCE_SECONDS", 0.1)
    monkeypatch.delenv(slowdown.VARIABLE)
    assert slowdown.factor() >= 5
    assert slowdown.seconds(10) == pytest.approx(10 * slowdown.factor())
    monkeypatch.setenv(slowdown.VARIABLE, "2.5")
    assert slowdown.seconds(10) == 25


def test_each_test_s_own_time_limit_grows_too(request: pytest.FixtureRequest) -> None:
    mark = request.node.get_closest_marker("timeout")
    assert mark.args[0] == pytest.approx(slowdown.seconds(float(request.config.getini("timeout"))))


def test_no_limit_is_written_in_seconds_of_one_machine() -> None:
    found = [
        f"{path.name}, line {number}: {line.strip()}"
        for path in sorted(Path(__file__).parents[2].rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ABSOLUTE.search(line)
    ]
    assert found == []


def test_a_known_piece_of_work_raises_the_factor_and_never_lowers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slowdown.VARIABLE, "1.50")
    assert slowdown.learn(taken=20, reference=25) == 1.5
    assert slowdown.learn(taken=100, reference=25) == 4.0
    assert slowdown.learn(taken=50, reference=25) == 4.0
    assert slowdown.seconds(10) == 40.0
    assert slowdown.learn(taken=10_000, reference=25) == slowdown.LARGEST
