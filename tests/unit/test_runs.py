"""Whose process is gone."""

import os
import subprocess
import sys

import dagster as dg

from music_platform.runs import (
    GONE_TAG,
    HOST_TAG,
    STARTED_TAG,
    Failures,
    failures_in_a_row,
    name_process,
    process_is_gone,
    process_tags,
    runs_in_flight,
)


def new_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.job
    def some_job() -> None: ...

    return instance.create_run_for_job(some_job)


def test_a_run_of_a_living_process_stays_and_one_of_a_dead_process_is_failed() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        alive, dead, unknown = (new_run(instance) for _ in range(3))
        name_process(instance, alive.run_id)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        instance.add_run_tags(dead.run_id, process_tags(child.pid))
        child.communicate()
        assert {run.run_id for run in runs_in_flight(instance)} == {alive.run_id, unknown.run_id}
        failed = instance.get_run_by_id(dead.run_id)
        assert failed is not None
        assert failed.status is dg.DagsterRunStatus.FAILURE


def test_a_later_process_with_the_same_number_is_another() -> None:
    tags = process_tags(os.getpid())
    run = dg.DagsterRun(job_name="x", tags={**tags, STARTED_TAG: "1.00"})
    assert process_is_gone(run)
    assert not process_is_gone(dg.DagsterRun(job_name="x", tags=tags))
    assert not process_is_gone(dg.DagsterRun(job_name="x", tags={**tags, HOST_TAG: "elsewhere"}))


def test_failures_count_from_the_last_success_and_kills_do_not() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert failures_in_a_row(instance, "some_job") == Failures()
        for fails in (True, False, True, True):
            run = new_run(instance)
            if fails:
                instance.report_run_failed(run)
            else:
                instance.report_dagster_event(
                    dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
                )
        killed = new_run(instance)
        instance.add_run_tags(killed.run_id, {GONE_TAG: "true"})
        instance.report_run_failed(killed)
        failures = failures_in_a_row(instance, "some_job")
        assert failures.count == 2
        assert failures.ended >= failures.since > 0
