"""The verdict on a check stands until a later run has evaluated it again."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest

from music_platform.monitoring.sources import Looker
from music_platform.orchestration.assets.marts import _new_inputs_arrive
from music_platform.orchestration.inputs import current_inputs
from music_platform.orchestration.keys import CONSERVATION, RAW_EVENTS
from music_platform.orchestration.quality import failed_checks, unevaluated_checks
from music_platform.orchestration.runs import INPUT_TAG, Failures, failures_in_a_row, last_run_input
from music_platform.orchestration.store import Store
from music_platform.settings import Settings
from tests.support import slowdown

FAILS, PASSES, CRASHES = "fails", "passes", "crashes"


def definitions(how: str) -> dg.Definitions:
    @dg.asset_check(asset=RAW_EVENTS, blocking=True)
    def conservation() -> dg.AssetCheckResult:
        if how == CRASHES:
            raise RuntimeError("Kafka does not answer")
        return dg.AssetCheckResult(passed=how == PASSES, description="7 rows are missing")

    job = dg.define_asset_job("reconciliation", selection=dg.AssetSelection.checks(conservation))
    return dg.Definitions(assets=[dg.AssetSpec(RAW_EVENTS)], asset_checks=[conservation], jobs=[job])


def evaluate(instance: dg.DagsterInstance, how: str, seen: str = "") -> dg.DagsterRunStatus:
    job = definitions(how).resolve_job_def("reconciliation")
    result = job.execute_in_process(instance=instance, raise_on_error=False, tags={INPUT_TAG: seen})
    return result.dagster_run.status if result.success else dg.DagsterRunStatus.FAILURE


def plan(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that is queued or at work: Dagster notes its checks as planned when it is created."""
    return instance.create_run_for_job(definitions(PASSES).resolve_job_def("reconciliation"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def failed(instance: dg.DagsterInstance) -> list[str]:
    return [check.key.name for check in failed_checks(instance, [CONSERVATION])]


def test_a_check_that_is_planned_or_whose_run_crashed_keeps_its_last_verdict(instance: dg.DagsterInstance) -> None:
    evaluate(instance, FAILS)
    assert failed(instance) == ["conservation"]
    run = plan(instance)
    assert failed(instance) == ["conservation"], "planned is no verdict"
    assert not unevaluated_checks(instance, [CONSERVATION]), "it may still be evaluated"
    instance.report_run_failed(run)
    assert failed(instance) == ["conservation"], "a run that was killed is no verdict"
    evaluate(instance, CRASHES)
    assert failed(instance) == ["conservation"], "a crash is no verdict"
    evaluate(instance, PASSES)
    assert failed(instance) == []
    plan(instance)
    evaluate(instance, CRASHES)
    assert failed(instance) == [], "it passed when it was last evaluated"


def test_a_check_that_could_not_be_evaluated_is_known_until_it_is(instance: dg.DagsterInstance) -> None:
    for how in (PASSES, FAILS):
        evaluate(instance, how)
        assert not unevaluated_checks(instance, [CONSERVATION])
        evaluate(instance, CRASHES)
        (check,) = unevaluated_checks(instance, [CONSERVATION])
        assert (check.key, check.blocking, check.job) == (CONSERVATION, True, "reconciliation")
    run = plan(instance)
    instance.report_run_canceled(run)
    assert unevaluated_checks(instance, [CONSERVATION])
    evaluate(instance, PASSES)
    assert not unevaluated_checks(instance, [CONSERVATION])


def test_the_watch_reports_both_and_resolves_neither_before_the_check_has_passed(
    instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path_factory.mktemp("home"))
    looker = Looker(settings, lambda: Store(instance, lambda: [CONSERVATION]))

    def problems() -> list[str]:
        return [problem.what for find in (looker.failed_checks, looker.unevaluated_checks) for problem in find(0.0)]

    failed, unevaluated = (f"check conservation of raw/events {how}" for how in ("failed", "could not be evaluated"))
    evaluate(instance, FAILS)
    assert problems() == [failed]
    plan(instance)
    assert problems() == [failed]
    evaluate(instance, CRASHES)
    assert problems() == [failed, unevaluated]
    evaluate(instance, PASSES)
    assert problems() == []


def test_a_run_that_evaluated_its_checks_is_no_failed_job_whatever_they_found(instance: dg.DagsterInstance) -> None:
    assert evaluate(instance, FAILS, "raw 7") is dg.DagsterRunStatus.FAILURE, "Dagster's own opinion"
    assert failures_in_a_row(instance, "reconciliation") == Failures()
    assert last_run_input(instance, "reconciliation") == "raw 7", "it is not asked again while nothing is new"
    for count in (1, 2):
        evaluate(instance, CRASHES, "raw 8")
        assert failures_in_a_row(instance, "reconciliation").count == count
        assert last_run_input(instance, "reconciliation") is None
    evaluate(instance, FAILS, "raw 8")
    assert failures_in_a_row(instance, "reconciliation") == Failures()
    killed = plan(instance)
    instance.report_run_failed(killed)
    assert failures_in_a_row(instance, "reconciliation").count == 1


def test_a_live_run_at_work_builds_nothing_more_while_a_blocking_check_fails(instance: dg.DagsterInstance) -> None:
    before = current_inputs(instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": 1}))

    def goes_on() -> bool:
        return _new_inputs_arrive(instance, before, patience=60, deadline=time.monotonic() + slowdown.seconds(60))

    for how, expected in ((PASSES, True), (FAILS, False), (CRASHES, False), (PASSES, True)):
        evaluate(instance, how)
        assert goes_on() is expected, how
