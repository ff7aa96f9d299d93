"""Runs whose process is gone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import freeze_time
from dagster._grpc.client import DagsterGrpcClient

from music_platform.environment import venv_bin
from music_platform.orchestration.runs import (
    GONE_TAG,
    HANDOVER_SECONDS,
    HOST_TAG,
    LAUNCH_SECONDS,
    PID_TAG,
    STARTED_TAG,
    Failures,
    end_hanging,
    fail_lost_starts,
    failures_in_a_row,
    name_process,
    process_is_gone,
    process_tags,
    runs_in_flight,
)
from music_platform.process_identity import this_host
from music_platform.settings import Settings
from music_platform.stack.services import dagster_yaml
from tests.support import slowdown
from tests.support.run_monitoring import look_at_runs


@dg.op
def wait() -> None: ...


@dg.job
def some_job() -> None:
    wait()


def new_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(some_job)


def begin(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name), run.run_id)


def test_dagster_fails_a_run_whose_process_is_gone_and_no_other(tmp_path: Path) -> None:
    """Its daemon asks the launcher, which `dagster.yaml` names."""
    (tmp_path / "dagster.yaml").write_text(dagster_yaml(Settings(_env_file=None)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        alive, dead, unknown, ended = (new_run(instance) for _ in range(4))
        for run in (alive, dead, unknown, ended):
            begin(instance, run)
        name_process(instance, alive.run_id)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        for run in (dead, ended):
            instance.add_run_tags(run.run_id, process_tags(child.pid))
        child.communicate()
        stale = instance.get_run_by_id(ended.run_id)
        assert stale is not None
        success = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, ended.job_name)
        instance.report_dagster_event(success, ended.run_id)
        assert instance.run_launcher.check_run_worker_health(stale).status is WorkerStatus.SUCCESS

        look_at_runs(instance)
        (failed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert failed.run_id == dead.run_id
        assert [run.run_id for run in instance.get_runs() if GONE_TAG in run.tags] == [dead.run_id]
        assert {run.run_id for run in runs_in_flight(instance)} == {alive.run_id, unknown.run_id}
        (why,) = instance.get_records_for_run(dead.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        assert f"Its process {child.pid} is gone" in str(why.event_log_entry.dagster_event)
        assert failures_in_a_row(instance, "some_job") == Failures(), "no reason to wait before the next"


def test_a_later_process_with_the_same_number_is_another() -> None:
    tags = process_tags(os.getpid())
    run = dg.DagsterRun(job_name="x", tags={**tags, STARTED_TAG: "1.00"})
    assert process_is_gone(run)
    assert not process_is_gone(dg.DagsterRun(job_name="x", tags=tags))
    assert not process_is_gone(dg.DagsterRun(job_name="x", tags={**tags, HOST_TAG: "elsewhere"}))


def test_a_run_that_hangs_is_ended_with_its_process_and_no_other() -> None:
    child, other = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    with dg.DagsterInstance.ephemeral() as instance:

        def at_work(pid: int, **more: str) -> dg.DagsterRun:
            run = new_run(instance)
            begin(instance, run)
            instance.add_run_tags(run.run_id, process_tags(pid) | more)
            return run

        now = 1_800_000_000.0
        with freeze_time(now):
            hangs, reused = at_work(child.pid), at_work(other.pid, **{STARTED_TAG: "1"})
        with freeze_time(now + 50):
            late = at_work(other.pid)
        with freeze_time(now + 100):
            assert end_hanging(instance, ["live"], 100, "spark hangs") == []
            assert set(end_hanging(instance, ["some_job"], 100, "spark hangs")) == {hangs.run_id, reused.run_id}
        assert child.wait(slowdown.seconds(10)) == -signal.SIGKILL
        assert other.poll() is None, "a later process with the number of a run's"
        assert [run.run_id for run in runs_in_flight(instance)] == [late.run_id]
    other.kill()
    other.wait()


def test_another_boot_another_container_and_an_earlier_release_are_told_apart() -> None:
    tags, here = process_tags(os.getpid()), this_host()

    def is_gone(host: object, **more: str) -> bool:
        return process_is_gone(dg.DagsterRun(job_name="x", tags={**tags, HOST_TAG: str(host), **more}))

    assert is_gone(replace(here, boot="another"))
    assert not is_gone(replace(here, namespace="another")), "unknown: no code server can be asked"
    assert not is_gone(here.name, **{STARTED_TAG: "1764052713.21"}), "as an earlier release tagged a living process"
    assert is_gone(here.name, **{STARTED_TAG: "1764052713.21", PID_TAG: str(2**22 + 1)})


@contextmanager
def code_server(folder: Path) -> Iterator[DagsterGrpcClient]:
    """A code server of one job, whose op waits for a line in a pipe."""
    (folder / "code.py").write_text(
        "import dagster as dg\n"
        "@dg.op\ndef wait():\n    open('line').read()\n"
        "@dg.job(executor_def=dg.in_process_executor)\ndef some_job():\n    wait()\n"
        "defs = dg.Definitions(jobs=[some_job])\n"
    )
    socket = folder / "s"
    command = [str(venv_bin() / "dagster"), "api", "grpc", "--socket", str(socket), "-f", "code.py", "-d", str(folder)]
    server = subprocess.Popen([*command, "--location-name", "here"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        client = DagsterGrpcClient(socket=str(socket))
        deadline = time.monotonic() + slowdown.seconds(60)
        while True:
            try:
                client.ping("up?")
                break
            except Exception:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield client
    finally:
        server.terminate()
        server.wait()


def launched(instance: dg.DagsterInstance, client: DagsterGrpcClient) -> dg.DagsterRun:
    """A run right after its launch."""
    location = GrpcServerCodeLocationOrigin(host="localhost", socket=client.socket, location_name="here")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "some_job")
    run = instance.create_run_for_job(some_job, remote_job_origin=origin, job_code_origin=None)
    server = json.dumps({"host": "localhost", "socket": client.socket})
    instance.add_run_tags(run.run_id, {GRPC_INFO_TAG: server})
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", run.job_name), run.run_id)
    return run


def test_a_run_whose_daemon_was_killed_before_it_was_handed_to_a_code_server_is_failed(tmp_path: Path) -> None:
    """Nobody has it and nobody will: it kept the next one waiting until Dagster's start timeout."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(some_job, job_code_origin=None)
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", run.job_name), run.run_id)
        with freeze_time(time.time() + HANDOVER_SECONDS - 5):
            fail_lost_starts(instance)
            assert [each.run_id for each in runs_in_flight(instance)] == [run.run_id], "a busy daemon is given time"
        with freeze_time(time.time() + HANDOVER_SECONDS + 5):
            fail_lost_starts(instance)
            assert runs_in_flight(instance) == []
        failed = instance.get_run_by_id(run.run_id)
        assert failed is not None
        assert failed.tags[GONE_TAG] == "true"
    with dg.DagsterInstance.ephemeral() as elsewhere:
        run = elsewhere.create_run_for_job(some_job, job_code_origin=None)
        elsewhere.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", run.job_name), run.run_id)
        with freeze_time(time.time() + 10 * HANDOVER_SECONDS):
            fail_lost_starts(elsewhere)
            assert [each.run_id for each in runs_in_flight(elsewhere)] == [run.run_id], "of another launcher: unknown"


def test_a_run_that_was_killed_while_it_started_is_failed_and_one_that_its_server_has_is_not(tmp_path: Path) -> None:
    """A run that died with its code server before it could name its process kept the next one waiting for minutes."""
    os.mkfifo(tmp_path / "line")
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance, code_server(tmp_path) as client:
        dead, started = launched(instance, client), launched(instance, client)
        start = threading.Thread(
            target=DefaultRunLauncher.launch_run_from_grpc_client, args=(instance, started, client)
        )
        start.start()
        both = {dead.run_id, started.run_id}
        fail_lost_starts(instance)
        assert {run.run_id for run in runs_in_flight(instance)} == both, "just launched: the server may not have it yet"
        start.join()
        with freeze_time(time.time() + LAUNCH_SECONDS + 1):
            fail_lost_starts(instance)
            assert {run.run_id for run in runs_in_flight(instance)} == {started.run_id}
        failed = instance.get_run_by_id(dead.run_id)
        assert failed is not None
        assert failed.status is dg.DagsterRunStatus.FAILURE
        assert failures_in_a_row(instance, "some_job") == Failures(), "no reason to wait before the next"
        with pytest.raises(dg.Failure, match="was ended while its process"):
            name_process(instance, dead.run_id)
        (tmp_path / "line").write_text("go")
        deadline = time.monotonic() + slowdown.seconds(60)
        while not instance.get_run_by_id(started.run_id).is_finished:  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert instance.get_run_by_id(started.run_id).status is dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]


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


def test_runs_that_are_killed_each_time_they_start_are_failures_from_the_third_on() -> None:
    """Where a container's memory limit kills the code server with the run, each start followed the last at once."""
    with dg.DagsterInstance.ephemeral() as instance:
        counts = []
        for _ in range(5):
            killed = new_run(instance)
            instance.add_run_tags(killed.run_id, {GONE_TAG: "true"})
            instance.report_run_failed(killed)
            counts.append(failures_in_a_row(instance, "some_job").count)
        assert counts == [0, 0, 1, 2, 3]
        instance.report_run_failed(new_run(instance))
        assert failures_in_a_row(instance, "some_job").count == 4
