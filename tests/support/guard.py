"""Nothing outlives the tests: a process that waits for the end of a test process, then ends what that had started.

Fixtures cannot promise that. Ctrl-C leaves pytest's workers ten seconds, SIGKILL leaves them none, and supervisord and
its services are in a session of their own. So everything that a test process starts inherits a mark, by which the guard
finds it, whoever its parent is by then.
"""

import os
import subprocess
import sys
import time
import uuid

import psutil

from music_platform.environment import project_root
from music_platform.stack.processes import end, is_alive

#: Variable that all descendants of a test process inherit. The value names that one process.
MARK = "MUSIC_TEST_PROCESS"
#: Pause between two looks at the test process.
POLL_SECONDS = 0.5
#: One that is being ended may have started another one; supervisord does.
ROUNDS = 5

_guards: list["subprocess.Popen[bytes]"] = []


def guard_this_process() -> None:
    """Mark what this process starts from now on, and have all of it ended when this process is gone."""
    mark = f"{os.getpid()}-{uuid.uuid4().hex}"
    # Without a mark: the guard of a worker has to outlive the guard of pytest's main process, which ends the worker.
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-m", "tests.support.guard", str(os.getpid()), mark]
    # In a session of its own: Ctrl-C in the terminal does not reach it.
    guard = subprocess.Popen(
        command,
        cwd=project_root(),
        env=unmarked,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _guards.append(guard)
    os.environ[MARK] = mark


def marked(mark: str) -> list[psutil.Process]:
    """The processes that carry the mark."""
    return [process for process in psutil.process_iter() if _mark_of(process) == mark]


def end_marked(mark: str) -> None:
    """End the processes that carry the mark, and what they start meanwhile."""
    for _ in range(ROUNDS):
        if not (found := marked(mark)):
            return
        end(found)


def _mark_of(process: psutil.Process) -> str | None:
    try:
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return mark


def main(owner: int, mark: str) -> None:
    """Wait for the owner's end, however it comes, and end what carries its mark."""
    while is_alive(owner):
        time.sleep(POLL_SECONDS)
    end_marked(mark)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
