"""A clock that is set back makes nothing wait for longer than its interval, in any decision that subtracts times."""

from math import inf

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from music_platform.clock import SKEW_SECONDS, seconds_since
from music_platform.ingestion.drain import seconds_until_load
from music_platform.orchestration.automation import (
    OBSERVATION_SECONDS,
    Observed,
    Runs,
    decide_ingest,
    decide_upkeep,
    topics_to_observe,
)
from music_platform.orchestration.freshness import ages

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
