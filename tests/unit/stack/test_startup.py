"""The wait for a service: one that is slow is waited for, one that is stuck is given up."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from music_platform.stack.processes import cpu_seconds_of
from music_platform.stack.startup import LIMIT, PATIENCE, QUIET, Wait, Work
from tests.support import slowdown


def given_up_after(work_at: Callable[[float], Work], step: float = 5.0) -> float:
    """Seconds after which a service is given up that has done so much at each second."""
    wait, now = Wait(begun=1000.0), 1000.0
    while not wait.is_over(now):
        now += step
        wait.note(now, work_at(now - 1000.0))
    return now - 1000.0


STOPS = 200.0


@pytest.mark.parametrize(
    ("work_at", "seconds"),
    [
        (lambda _: Work(3.0, 500), PATIENCE),
        (lambda at: Work(at * 0.01, 500), PATIENCE),
        (lambda at: Work(at * 0.03, 500), LIMIT),
        (lambda at: Work(3.0, int(at / 20) * 80), LIMIT),
        (lambda at: Work(min(at, STOPS) * 0.5, 500), STOPS + QUIET),
        (lambda at: Work(at % 100 * 0.1, 500), LIMIT),
    ],
    ids=["stuck", "idle", "short of CPU", "it writes", "stuck later", "started again"],
)
def test_what_makes_progress_is_waited_for(work_at: Callable[[float], Work], seconds: float) -> None:
    assert given_up_after(work_at) == pytest.approx(seconds, abs=QUIET)


def test_the_work_of_a_process_is_that_of_its_whole_tree() -> None:
    """The child of a child that only waits."""
    busy = "while True: pass"
    idle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    process = subprocess.Popen([sys.executable, "-c", idle], process_group=0)
    try:
        deadline = time.monotonic() + slowdown.seconds(20)
        while cpu_seconds_of(process.pid) < 1.0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert cpu_seconds_of(process.pid) == 0.0
