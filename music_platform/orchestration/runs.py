"""Runs and their processes: which runs are in flight, and which have lost their process.

Each run records its process in its tags; `launcher` reads them when Dagster's daemon asks about the run's health. The
daemon asks about started runs only. A run that dies before it could record its process would keep the next one waiting
until Dagster's start timeout; its code server, the parent of its process, is asked instead (`fail_lost_starts`).
"""

import json
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

import dagster as dg

from music_platform.clock import seconds_since
from music_platform.orchestration._dagster import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    deserialize_value,
    get_current_timestamp,
)
from music_platform.process_identity import Host, started, this_host

#: Dagster's UI hides tags with this prefix. They are for the platform, not for readers of the list of runs.
HIDDEN = ".dagster/music-"

HOST_TAG, PID_TAG, STARTED_TAG = f"{HIDDEN}host", f"{HIDDEN}pid", f"{HIDDEN}process-started"

#: Jobs that build models. One of them runs at a time.
BUILDING = {"live", "policy", "build", "everything", "rebuild", "rebuild_month", "quality", "nightly"}

#: Jobs that only look. Their work is to evaluate checks, so it is done when those are evaluated, whatever they found.
CHECKING = {"quality", "reconciliation", "nightly"}

#: On a run of checks or maintenance: the inputs when it was requested.
INPUT_TAG = f"{HIDDEN}seen"

#: On a run that was marked as failed because its process is gone. The next run need not wait.
GONE_TAG = f"{HIDDEN}process-gone"

#: On a run that completed some work before it ended. If it fails, counting failures in a row starts over.
PROGRESS_TAG = f"{HIDDEN}progress"

_FAILURE, _SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
#: Events of a run that say what it was to do, and what of it is done.
_PLANS = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
}
_WORK = _PLANS | {dg.DagsterEventType.ASSET_CHECK_EVALUATION, dg.DagsterEventType.ASSET_MATERIALIZATION}
#: Maximum number of such events that are read: a run of checks has one or two of each.
MOST_EVENTS = 10_000

#: Maximum number of failures in a row that are counted. More do not change the pause.
MOST_FAILURES = 30

#: Runs in a row whose process was killed that are no failure yet.
EXCUSED = 2

#: Seconds after a run's launch during which its code server may not know it yet.
LAUNCH_SECONDS = 10.0

#: Seconds after which a run has been handed to a code server, by a busy daemon too, unless the daemon was killed first.
HANDOVER_SECONDS = 30.0

#: Seconds to wait for the code server's answer. Dagster's default is a minute, which is all the time a sensor has.
ANSWER_SECONDS = 5

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags(pid: int) -> dict[str, str]:
    """Tags that identify a process of this host. Its start distinguishes it from a later one with the same id."""
    return {HOST_TAG: str(this_host()), PID_TAG: str(pid), STARTED_TAG: started(pid) or ""}


def name_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Record this process on the run. Every op calls it first.

    Raises dagster.Failure if the run was already ended because it seemed to have no process (`never_began`).
    """
    instance.add_run_tags(run_id, process_tags(os.getpid()))
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        raise dg.Failure(
            f"Run {run_id} was ended while its process {os.getpid()} started, so it does nothing. "
            "The next run does the remaining work."
        )


def process_is_gone(run: dg.DagsterRun) -> bool:
    """Whether the run's process ran on this host and is gone; False if that is unknown."""
    if PID_TAG not in run.tags:
        return False
    here, there = this_host(), Host.of(run.tags.get(HOST_TAG, ""))
    if there.name != here.name:
        return False
    found = started(int(run.tags[PID_TAG]))
    if not there.boot:
        return found is None  # An earlier release kept the start by the clock, and no boot.
    if there.boot != here.boot:
        return True  # The machine was started again.
    if there.namespace != here.namespace:
        # Another container of this name, or this one before it was started again: its code server knows.
        return GRPC_INFO_TAG in run.tags and not _has_process(run)
    return found != run.tags.get(STARTED_TAG)


def never_began(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run died before it could record its process: it was launched, but its code server does not know it,
    or the daemon that launched it was killed before it handed it to one.

    The server that answers may be the successor of one that was killed with the run. False if unknown: for a run that
    was launched elsewhere or just now, or while no server answers.
    """
    launched = instance.get_run_stats(run.run_id).launch_time
    if PID_TAG in run.tags or launched is None:
        return False
    waiting = seconds_since(launched, get_current_timestamp())
    if GRPC_INFO_TAG in run.tags:
        lost = waiting >= LAUNCH_SECONDS and not _has_process(run)
    else:
        # This launcher tags a run before it hands it over; of others nothing is known.
        lost = waiting >= HANDOVER_SECONDS and isinstance(instance.run_launcher, dg.DefaultRunLauncher)
    if not lost:
        return False
    # It may have recorded its process, or ended, in the meantime.
    now = instance.get_run_by_id(run.run_id)
    return now is not None and not now.is_finished and PID_TAG not in now.tags


def _has_process(run: dg.DagsterRun) -> bool:
    """Whether the code server that launched the run has a process for it. Also True if it does not answer."""
    server = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(**{key: server[key] for key in ("host", "port", "socket", "use_ssl") if key in server})
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS)
    except DagsterUserCodeUnreachableError:
        return True
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel


def runs_in_flight(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that are queued or running."""
    return list(instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)))


def fail_lost_starts(instance: dg.DagsterInstance) -> None:
    """Mark the runs as failed that were killed while they started."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        if never_began(instance, run):
            instance.add_run_tags(run.run_id, {GONE_TAG: "true"})
            instance.report_run_failed(run, "It was killed while it started: no code server has a process for it.")


def end_hanging(instance: dg.DagsterInstance, jobs: Collection[str], seconds: float, why: str) -> list[str]:
    """End the runs of these jobs that have been at work for so many seconds; returns their ids.

    Nothing that a run does needs its end, so its process is killed where it is one of this host. Elsewhere it may wait
    on: the lease and the watermark keep what it does later out.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run = record.dagster_run
        at_work = seconds_since(record.start_time or 0.0, get_current_timestamp())
        if run.job_name in jobs and at_work >= seconds:
            instance.report_run_failed(run, why)
            ended.append(run.run_id)
            pid = int(run.tags.get(PID_TAG, 0))
            if pid != os.getpid() and _is_process_here(run):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    return ended


def _is_process_here(run: dg.DagsterRun) -> bool:
    """Whether the process that the run recorded is one of this host, and still the same."""
    if PID_TAG not in run.tags or Host.of(run.tags.get(HOST_TAG, "")) != this_host():
        return False
    return started(int(run.tags[PID_TAG])) == run.tags.get(STARTED_TAG)


def targets(run: dg.DagsterRun, jobs: Collection[str], keys: Collection[dg.AssetKey]) -> bool:
    """Whether a run belongs to one of `jobs` or materializes one of `keys`."""
    return run.job_name in jobs or any(key in keys for key in run.asset_selection or ())


def is_in_flight(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job is queued or at work."""
    return any(run.job_name == job for run in runs_in_flight(instance))


def last_run_input(instance: dg.DagsterInstance, job: str) -> str | None:
    """The inputs when the job's last run was requested; None before the first, or if that run failed to do its work."""
    found = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    if not found or failed_to_work(instance, found[0].dagster_run):
        return None
    return found[0].dagster_run.tags.get(INPUT_TAG)


def last_run_requested_at(instance: dg.DagsterInstance, job: str) -> float:
    """When the job's last run was requested, in epoch seconds; 0 before the first."""
    found = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    return found[0].create_timestamp.timestamp() if found else 0.0


def failed_to_work(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed and left work undone.

    Dagster fails the run of a blocking check that fails. Where the job only evaluates checks, that is its work done:
    the check has its own alert, and the run is neither retried nor reported.
    """
    if run.status is not _FAILURE:
        return False
    if run.job_name not in CHECKING:
        return True
    events = [
        record.event_log_entry.dagster_event
        for record in instance.get_records_for_run(run.run_id, of_type=_WORK, limit=MOST_EVENTS).records
    ]
    planned = {_subject(event) for event in events if event and event.event_type in _PLANS}
    done = {_subject(event) for event in events if event and event.event_type not in _PLANS}
    return not planned or not planned <= done


def _subject(event: dg.DagsterEvent) -> dg.AssetKey | dg.AssetCheckKey | None:
    """The asset or the check that an event is about."""
    if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return event.asset_check_planned_data.asset_check_key
    if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_check_key
    return event.asset_key


@dataclass(frozen=True)
class Failures:
    """Runs that failed in a row: their number, when the first and the last ended (epoch seconds), and the last one."""

    count: int = 0
    since: float = 0.0
    ended: float = 0.0
    last_run: str = ""


def failures_in_a_row(instance: dg.DagsterInstance, *jobs: str) -> Failures:
    """The failed runs of these jobs since the last one that did its work, or made progress before it failed.

    Runs whose process was killed do not count, because their work did not fail. But if that happens EXCUSED times in a
    row, the next one counts: what kills them, such as a container's memory limit, is not going to stop.
    """
    finished = [_FAILURE, _SUCCESS]
    records = [
        record
        for job in jobs
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=finished), limit=MOST_FAILURES)
    ]
    records.sort(key=lambda record: record.create_timestamp, reverse=True)
    failed, gone = list[dg.RunRecord](), list[dg.RunRecord]()
    for record in takewhile(lambda record: failed_to_work(instance, record.dagster_run), records):
        if GONE_TAG in record.dagster_run.tags:
            gone.append(record)
        else:
            failed += [*gone[:-EXCUSED], record]
            gone.clear()
        if PROGRESS_TAG in record.dagster_run.tags:
            break
    failed += gone[:-EXCUSED]
    if not failed:
        return Failures()
    ended = [record.end_time or record.create_timestamp.timestamp() for record in failed]
    return Failures(len(failed), min(ended), max(ended), failed[0].dagster_run.run_id)
