"""A service that hangs without dying (SIGSTOP) while a run needs it: named, bounded, and nothing is lost afterwards."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg
import psutil
import pytest

from music_platform.contracts import events
from music_platform.monitoring import sources
from music_platform.monitoring.watch import Watch
from music_platform.orchestration.store import Store
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import tree_of
from tests.integration.conftest import Platform
from tests.support import slowdown
from tests.support.event import listen

#: HANG_LIMIT_SECONDS here.
LIMIT = 5


@contextmanager
def stopped(stack: LocalStack, service: str) -> Iterator[None]:
    """The service and what it has started stand still meanwhile."""
    pid = stack.status()[service].pid
    assert pid is not None
    processes = tree_of(pid)
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)


def start(platform: Platform) -> subprocess.Popen[str]:
    """The job `ingest` in a process of its own."""
    command = ["dagster", "job", "execute", "-m", "music_platform.definitions", "-j", "ingest"]
    return subprocess.Popen(
        command,
        env=platform.environment,
        cwd=platform.dagster_home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("service", "named", "sentence"),
    [
        ("spark", "spark is down", "spark has not answered for "),
        ("warehouse", "warehouse is down", "warehouse has not answered for "),
        # Its clients give up by themselves.
        ("kafka", "kafka is down", "does not answer"),
    ],
)
def test_a_service_that_hangs_is_named_ends_the_run_and_costs_nothing(
    platform: Platform, stack: LocalStack, monkeypatch: pytest.MonkeyPatch, service: str, named: str, sentence: str
) -> None:
    """Without the watch the run would wait for Spark or the warehouse for as long as a run may take, a day."""
    monkeypatch.setattr(sources, "SPARK_PAUSE", 0.0)
    settings = platform.settings.model_copy(update={"hang_limit_seconds": LIMIT})
    platform.produce((events.LISTEN, listen("2026-06-01T10:00:00", eventId=f"e{n}").value) for n in range(20))
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        watch = Watch(settings, lambda: Store(instance))
        watch.look(time.time())
        with stopped(stack, service):
            run = start(platform)
            titles: list[str] = []
            deadline = time.monotonic() + slowdown.seconds(240)
            while run.poll() is None and time.monotonic() < deadline:
                titles += [problem.what for problem in _open(watch)]
                time.sleep(0.5)
            said = run.communicate(timeout=slowdown.seconds(10))[0] if run.poll() is not None else "it still waits"
        assert run.returncode not in (None, 0), said
        assert named in titles
        (ended,) = instance.get_runs()
        assert ended.status is dg.DagsterRunStatus.FAILURE
        (why,) = instance.get_records_for_run(ended.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        assert sentence in f"{why.event_log_entry.dagster_event} {said}"
    assert platform.run("ingest").success
    assert platform.value("select count(*) from RAW.EVENTS") == 20
    assert platform.value("select count(distinct kafka_partition || '/' || kafka_offset) from RAW.EVENTS") == 20


def _open(watch: Watch) -> list[sources.Problem]:
    """What is open after another look."""
    watch.look(time.time())
    return [each.problem for each in watch._read(()).open.values()]
