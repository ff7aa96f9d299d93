"""However a test run is ended, no process of its stacks is left behind, and nobody else's is touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from music_platform.environment import MARKER, project_root
from music_platform.stack import processes
from tests.support import guard, slowdown

#: A test run that brings up a stack and would take an hour.
RUN = """
import time
from pathlib import Path
from tests.support.stack import running_stack

def test_takes_an_hour():
    with running_stack(Path({home!r}), frozenset({{"warehouse"}})):
        Path({sign!r}).touch()
        time.sleep(3600)
"""


def ctrl_c(run: "subprocess.Popen[bytes]") -> None:
    """As the terminal does it: to the whole process group. Twice, as impatient people do it."""
    for _ in range(2):
        os.killpg(run.pid, signal.SIGINT)
        time.sleep(0.5)


def kill(run: "subprocess.Popen[bytes]") -> None:
    """SIGKILL for pytest's main process; its workers are not told."""
    run.kill()


def kill_workers(run: "subprocess.Popen[bytes]") -> None:
    """SIGKILL for the workers, as the kernel does it when memory runs out; Ctrl-C then ends the rest."""
    for child in psutil.Process(run.pid).children():
        if guard.__name__ not in child.cmdline():
            child.kill()
    run.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("workers", "end"),
    [(0, kill), (1, ctrl_c), (1, kill), (1, kill_workers)],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_no_process_is_left(tmp_path: Path, workers: int, end: Callable[["subprocess.Popen[bytes]"], None]) -> None:
    home, sign, log = tmp_path / "home", tmp_path / "sign", tmp_path / "log"
    (tmp_path / "test_hour.py").write_text(RUN.format(home=str(home), sign=str(sign)))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", str(workers), "-q", str(tmp_path)]
    with log.open("wb") as out:
        run = subprocess.Popen(command, cwd=project_root(), start_new_session=True, stdout=out, stderr=out)
    with subprocess.Popen(
        ["sleep", "900"], env=os.environ | {MARKER: "another home", guard.MARK: "another"}
    ) as stranger:
        try:
            while not sign.exists():
                assert run.poll() is None, log.read_text()
                time.sleep(0.1)
            stack = processes.processes_of_home(home)
            assert len(stack) >= 2, "supervisord and the warehouse"
            end(run)
            run.wait()
            assert processes.await_end(stack, slowdown.seconds(60)) == []
            assert processes.processes_of_home(home) == []
            assert stranger.poll() is None
        finally:
            run.kill()
            stranger.kill()
            processes.end(processes.processes_of_home(home))
