"""Which process is meant, for as long as the machine runs, whatever becomes of its clock.

A process id is used again, also after a reboot and in other containers. So a process is known by the machine's boot,
the namespace in which its id counts, and the tick of that boot at which it started. None of them comes from the wall
clock: psutil computes a start time from it, and after a step of one second every process would be another one.
"""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_PROC = Path("/proc")


@dataclass(frozen=True)
class Host:
    """Where process ids mean something: the machine's name, its boot, and the namespace of the ids."""

    name: str
    boot: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.name}/{self.boot}/{self.namespace}"

    @classmethod
    def of(cls, text: str) -> "Host":
        """The host that `str` gave. One of an earlier release has no namespace, or no boot either."""
        name, boot, namespace, *_ = [*text.split("/"), "", ""]
        return cls(name, boot, namespace)


@cache
def this_host() -> Host:
    """This machine, since it was started, as this process sees it."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        # Containers share the machine's boot and may share its name.
        namespace = os.readlink(_PROC / "self/ns/pid").strip("pid:[]")
    except OSError:
        return Host(socket.gethostname(), str(int(psutil.boot_time())), "0")
    return Host(socket.gethostname(), boot, namespace)


def started(pid: int) -> str | None:
    """When a process of this host started, in ticks of its boot; None if there is none. A zombie is none."""
    try:
        # Its name, in parentheses, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None if (_PROC / "self/stat").exists() else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> str | None:
    """The same where there is no /proc. The clock is used there."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None
