"""The operating system's view of the stack: process trees, their memory, and ending a home's leftover processes."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from music_platform.environment import MARKER


def tree_of(pid: int) -> list[psutil.Process]:
    """The process and all its descendants; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_of(pid: int) -> int:
    """Resident bytes of the process and its descendants."""
    return sum(_resident(process) for process in tree_of(pid))


def is_alive(pid: int | None) -> bool:
    """Whether the process runs."""
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_of_home(home: Path) -> list[psutil.Process]:
    """Every process with the home's marker, whatever its parent, except this process and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    wanted = str(home)
    return [p for p in psutil.process_iter() if p.pid not in own and _marker_of(p) == wanted]


def end(processes: Iterable[psutil.Process], *, patience: float = 10) -> list[str]:
    """Send SIGTERM, wait `patience` seconds, send SIGKILL to the rest. Returns 'name (pid)' of each process ended."""
    running = [process for process in processes if process.is_running()]
    names = [f"{_name(process)} ({process.pid})" for process in running]
    _signal(running, signal.SIGTERM)
    stubborn = await_end(running, patience)
    _signal(stubborn, signal.SIGKILL)
    await_end(stubborn, 5)
    return names


def await_end(those: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """The processes that still run after `patience` seconds. A zombie counts as gone: its parent may never reap it."""
    deadline = time.monotonic() + patience
    while (alive := [process for process in those if is_alive(process.pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _marker_of(process: psutil.Process) -> str | None:
    try:
        marker: str | None = process.environ().get(MARKER)
    except (psutil.Error, OSError):
        return None
    return marker


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return "process"
