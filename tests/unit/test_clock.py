"""A clock that is set back makes nothing wait for longer than its interval, in any decision that subtracts times."""

from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from music_platform.clock import SKEW_SECONDS, Step, StepDetector, as_shown_now, seconds_since
from music_platform.ingestion.drain import seconds_until_load
from music_platform.ingestion.waiting import Seen
from music_platform.monitoring import alerts, delivery
from music_platform.monitoring.alerts import Outage, Problem, State
from music_platform.monitoring.sources import DAEMON_SILENT, Looker, Source
from music_platform.monitoring.watch import Watch
from music_platform.orchestration.automation import (
    OBSERVATION_SECONDS,
    Observed,
    Runs,
    decide_ingest,
    decide_upkeep,
    topics_to_observe,
)
from music_platform.orchestration.freshness import ages
from music_platform.orchestration.store import Store
from music_platform.settings import Settings

NOW = 1_800_000_000.0
HOUR = 3600.0
#: A moment before the clock was set back.
AHEAD = NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [(NOW - 10, 10), (NOW, 0), (NOW + 1, 0), (NOW + SKEW_SECONDS, 0), (NOW + SKEW_SECONDS + 1, inf), (AHEAD, inf)],
)
def test_a_moment_of_the_future_is_one_of_an_unknown_past(moment: float, seconds: float) -> None:
    assert seconds_since(moment, NOW) == seconds


def test_loads_go_on() -> None:
    assert seconds_until_load(NOW, AHEAD, 60) == 0
    assert seconds_until_load(NOW, NOW + 1, 60) == 60


def test_a_failed_job_is_tried_again() -> None:
    runs = Runs(failures=4, idle_seconds=seconds_since(AHEAD, NOW))
    assert decide_ingest((5, 1.0), (0, 0.0), 1, runs).start


def test_checks_run() -> None:
    assert decide_upkeep("b", "a", seconds_since(AHEAD, NOW), 900, in_flight=False).start


def test_topics_are_observed() -> None:
    assert topics_to_observe({"a": {0: 2}}, {"a": Observed({0: 1}, AHEAD)}, NOW) == ["a"]
    assert topics_to_observe({"a": {0: 2}}, {"a": Observed({0: 1}, NOW - OBSERVATION_SECONDS + 1)}, NOW) == []


def test_a_mart_of_the_future_is_not_taken_for_a_new_one() -> None:
    key = dg.AssetKey(["gold", "m"])
    with dg.DagsterInstance.ephemeral() as instance:
        with freeze_time(AHEAD):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        assert ages(instance, [key], NOW) == {"gold/m": inf}


@pytest.mark.parametrize("by", [2 * HOUR, -2 * HOUR])
def test_a_step_of_the_clock_is_noticed_and_its_run_is_not(by: float) -> None:
    wall, monotonic = [NOW], [100.0]
    clock = StepDetector(lambda: wall[0], lambda: monotonic[0])
    found = []
    for step in (0.0, 0.0, by, 0.0, 1.0):
        wall[0], monotonic[0] = wall[0] + 10 + step, monotonic[0] + 10
        found.append(clock.seconds())
    assert found == [0.0, 0.0, by, 0.0, 0.0]


@pytest.mark.parametrize(
    ("steps", "moment", "shown"),
    [
        ([], NOW - 10, NOW - 10),
        ([], AHEAD, NOW),
        ([Step(NOW - 30, HOUR)], NOW - 40 - HOUR, NOW - 40),
        ([Step(NOW - 30, HOUR)], NOW - 20, NOW - 20),
        ([Step(NOW - 30, -HOUR)], NOW - 40 + HOUR, NOW - 40),
        ([Step(NOW - 30, -HOUR)], NOW - 20, NOW - 20),
        ([Step(NOW - 30 - HOUR, -HOUR), Step(NOW - 20, HOUR)], NOW - 40, NOW - 40),
    ],
)
def test_a_moment_that_was_noted_before_the_clock_was_set(steps: list[Step], moment: float, shown: float) -> None:
    assert as_shown_now(moment, steps, NOW) == shown


PROBLEM = Problem("lag", "events arrive late in RAW", NOW - 60, "It is bad.", "Look.")
SETTLE = 30.0
#: What the watch noted before: a problem, an outage, a receiver that did not answer, a record and a transaction.
NOTED = State(
    {"lag": alerts.OpenProblem(PROBLEM, NOW - 10)},
    (Outage("kafka", NOW - 40, NOW - 20),),
    {"told": alerts.Receiver({"lag": alerts.CRITICAL}), "dead": alerts.Receiver({}, 1, NOW - 5)},
    Seen({"t/0": ((7, NOW - 10),)}, {"t/1": (3, NOW - 10)}),
)


@pytest.mark.parametrize("by", [2 * HOUR, -2 * HOUR, 0.0])
def test_after_a_step_that_it_saw_the_watch_decides_as_without(by: float) -> None:
    """Nothing is late, no pause is longer and no problem is resolved earlier, whichever way the clock was set."""
    state, now = alerts.by_the_clock(NOTED, by, NOW + by), NOW + by
    assert state.seen.waiting_seconds(now) == 10
    assert state.seen.held_longer_than(9, now) == {"t/1": (3, NOW - 10 + by)}
    assert not alerts.notices(alerts.observe(state, [], now, SETTLE), "told", now, SETTLE)
    (notice,) = alerts.notices(alerts.observe(state, [], now + 20, SETTLE), "told", now + 20, SETTLE)
    assert [o.problem.since for o in notice.resolved] == [PROBLEM.since + by]
    assert alerts.caused_by_outage(now - 15, state.outages, {"kafka"})
    assert not alerts.caused_by_outage(now + 90, state.outages, {"kafka"})
    again = alerts.observe(state, [PROBLEM], now + 5, SETTLE)
    assert not alerts.notices(alerts.observe(state, [PROBLEM], now + 4, SETTLE), "dead", now + 4, SETTLE)
    assert alerts.notices(again, "dead", now + 5, SETTLE)


def test_a_watch_that_starts_after_the_clock_was_set_back_waits_for_an_interval_at_most() -> None:
    now = NOW - 2 * HOUR
    state = alerts.by_the_clock(NOTED, 0.0, now)
    assert 0 <= state.seen.waiting_seconds(now) < 1
    assert not alerts.notices(state, "told", now, SETTLE), "what was seen before is not seen now"
    (notice,) = alerts.notices(alerts.observe(state, [], now + SETTLE, SETTLE), "told", now + SETTLE, SETTLE)
    assert notice.resolved
    assert alerts.notices(alerts.observe(state, [PROBLEM], now + 10, SETTLE), "dead", now + 10, SETTLE)
    assert not alerts.caused_by_outage(NOW - 30, state.outages, {"kafka"}), "a run that fails two hours later"


def test_the_dead_man_s_switch_is_called_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, watch_ping_url="http://127.0.0.1:1/")
    pings: list[str] = []
    monkeypatch.setattr(delivery, "ping", lambda url: not pings.append(url))
    watch = Watch(settings, _no_store, [Source("nothing", lambda _looker, _now: [])])
    watch.look(NOW)
    watch.look(NOW - 2 * HOUR, -2 * HOUR)
    assert len(pings) == 2


@pytest.mark.parametrize("by", [2 * HOUR, -2 * HOUR])
def test_a_step_makes_no_daemon_silent_and_hides_none_that_is(tmp_path: Path, by: float) -> None:
    def silent(beat: float, now: float) -> bool:
        store = SimpleNamespace(oldest_heartbeat=lambda: beat)
        looker = Looker(Settings(_env_file=None, music_home=tmp_path), lambda: cast("Store", store))
        looker.note_step(by, NOW + by)
        return bool(list(looker.heartbeats(now)))

    assert not silent(NOW - 20, NOW + by)
    assert silent(NOW - DAEMON_SILENT - 1, NOW + by)
    assert not silent(NOW + by + 10, NOW + by + 20)


def _no_store() -> Store:
    raise AssertionError
