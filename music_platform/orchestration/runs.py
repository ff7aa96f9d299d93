"""Runs and their processes: who is in flight, and whose process is gone.

Dagster's default launcher has no health check: a run whose process was killed along with its code server, or that was
started from the command line, would stay STARTED for ever and keep every later run waiting. So a run says in its tags
which process it is, and one whose process no longer exists on this host is failed. A run that has not come so far has a
process if its code server says so: it is the process's parent.
"""

import json
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile

import dagster as dg
import psutil

from music_platform.orchestration._dagster import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    deserialize_value,
    get_current_timestamp,
)

#: Dagster's UI does not show tags with this beginning: they are for the platform, not for a reader of the list of runs.
HIDDEN = ".dagster/music-"

HOST_TAG, PID_TAG, STARTED_TAG = f"{HIDDEN}host", f"{HIDDEN}pid", f"{HIDDEN}process-started"

#: Jobs that build models. One of them runs at a time.
BUILDING = {"live", "policy", "build", "everything", "rebuild", "quality", "nightly"}

#: On a run of checks or upkeep: what there was when it was asked for.
INPUT_TAG = f"{HIDDEN}seen"

#: On a run that was failed because its process is gone: no reason to wait before the next.
GONE_TAG = f"{HIDDEN}process-gone"

#: On a run that has brought something to its end before it ended itself: its failure is the first in a row again.
PROGRESS_TAG = f"{HIDDEN}progress"

_FAILURE, _SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
#: Failures in a row that are counted at the most; more make no difference to the pause.
MOST_FAILURES = 30

#: Seconds from a run's launch within which its code server may not know it yet.
LAUNCH_SECONDS = 10.0

#: Seconds for which the code server's answer is waited for; Dagster's own limit is a minute, a sensor's whole time.
ANSWER_SECONDS = 5

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags(pid: int) -> dict[str, str]:
    """Tags that name a process of this host; its start time tells it from a later one with the same number."""
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(pid), STARTED_TAG: f"{psutil.Process(pid).create_time():.2f}"}


def name_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on the run that it is this process. Every op calls it first.

    Raises dagster.Failure if the run has been ended: it was taken for one without a process (`never_began`).
    """
    instance.add_run_tags(run_id, process_tags(os.getpid()))
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        raise dg.Failure(
            f"Run {run_id} was ended while its process {os.getpid()} started, so it does nothing. "
            "Where there is work left, the next run does it."
        )


def process_is_gone(run: dg.DagsterRun) -> bool:
    """Whether the run's process was on this host and is no more; False where that cannot be told."""
    if run.tags.get(HOST_TAG) != socket.gethostname() or PID_TAG not in run.tags:
        return False
    try:
        return process_tags(int(run.tags[PID_TAG]))[STARTED_TAG] != run.tags.get(STARTED_TAG)
    except psutil.NoSuchProcess:
        return True


def never_began(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run died before it could name its process: it was launched, and its code server does not have it.

    The server that answers may be the successor of the one that was killed with the run. False where that cannot be
    told: for a run that was launched elsewhere or just now, or while no server answers.
    """
    if PID_TAG in run.tags or GRPC_INFO_TAG not in run.tags:
        return False
    launched = instance.get_run_stats(run.run_id).launch_time
    if launched is None or get_current_timestamp() - launched < LAUNCH_SECONDS or _has_process(run):
        return False
    # It may have come so far, or ended, while the server was asked.
    now = instance.get_run_by_id(run.run_id)
    return now is not None and not now.is_finished and PID_TAG not in now.tags


def _has_process(run: dg.DagsterRun) -> bool:
    """Whether the code server that the run was launched at has a process for it; also True if it does not answer."""
    server = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(**{key: server[key] for key in ("host", "port", "socket", "use_ssl") if key in server})
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS)
    except DagsterUserCodeUnreachableError:
        return True
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel


def runs_in_flight(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that are queued or at work. Those whose process is gone are failed on the way, and left out."""
    alive = []
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)):
        if process_is_gone(run):
            _give_up(instance, run, f"Its process {run.tags[PID_TAG]} is gone: killed, or its machine was.")
        elif never_began(instance, run):
            _give_up(instance, run, "It was killed while it started: its code server has no process for it.")
        else:
            alive.append(run)
    return alive


def _give_up(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    instance.add_run_tags(run.run_id, {GONE_TAG: "true"})
    instance.report_run_failed(run, why)


def targets(run: dg.DagsterRun, jobs: Collection[str], keys: Collection[dg.AssetKey]) -> bool:
    """Whether a run is of one of `jobs`, or materializes one of `keys`."""
    return run.job_name in jobs or any(key in keys for key in run.asset_selection or ())


def last_run_input(instance: dg.DagsterInstance, job: str) -> str | None:
    """What there was when the job's last run was asked for; None before the first. One that failed has seen nothing."""
    found = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    if not found or found[0].dagster_run.status is _FAILURE:
        return None
    return found[0].dagster_run.tags.get(INPUT_TAG)


def last_run_requested_at(instance: dg.DagsterInstance, job: str) -> float:
    """When the job's last run was asked for, in epoch seconds; 0 before the first."""
    found = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    return found[0].create_timestamp.timestamp() if found else 0.0


@dataclass(frozen=True)
class Failures:
    """Runs that failed one after the other: how many, from when to when (epoch seconds), and the latest of them."""

    count: int = 0
    since: float = 0.0
    ended: float = 0.0
    last_run: str = ""


def failures_in_a_row(instance: dg.DagsterInstance, *jobs: str) -> Failures:
    """The latest runs of these jobs after the last one that succeeded or got somewhere before it failed.

    Runs whose process was killed do not count: what killed them was not their work.
    """
    finished = [_FAILURE, _SUCCESS]
    records = [
        record
        for job in jobs
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=finished), limit=MOST_FAILURES)
    ]
    records.sort(key=lambda record: record.create_timestamp, reverse=True)
    failed = []
    for record in takewhile(lambda record: record.dagster_run.status is _FAILURE, records):
        if GONE_TAG not in record.dagster_run.tags:
            failed.append(record)
        if PROGRESS_TAG in record.dagster_run.tags:
            break
    if not failed:
        return Failures()
    ended = [record.end_time or record.create_timestamp.timestamp() for record in failed]
    return Failures(len(failed), min(ended), max(ended), failed[0].dagster_run.run_id)
