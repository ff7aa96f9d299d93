"""Why ingestion pauses: no room on the disks that it writes to, or a code server that is about to stop.

A full disk stops broker, warehouse and Dagster's store at once. So ingestion pauses before it is full, and what is in
Kafka waits there.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from music_platform.home import Home
from music_platform.settings import Settings

#: A run starts where this times the share is free below which a run pauses: at one mark, runs would start and pause in
#: turn.
RESUME_FACTOR = 4 / 3


@dataclass(frozen=True)
class Disk:
    """A file system: a folder of the platform on it, its bytes, and those that are free for this user."""

    folder: Path
    total: int
    free: int

    @property
    def free_percent(self) -> float:
        """The free share."""
        return 100 * self.free / self.total if self.total else 100.0

    def __str__(self) -> str:
        return f"{self.free / 1e9:.2f} of {self.total / 1e9:.1f} GB ({self.free_percent:.1f} %) free at {self.folder}"


def local_disks(settings: Settings) -> list[Disk]:
    """The file systems of the home and of a local lake, each once."""
    folders = [settings.home] + ([] if "://" in settings.lake_root else [Path(settings.lake_root)])
    found: dict[int, Disk] = {}
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        usage = shutil.disk_usage(there)
        found.setdefault(there.stat().st_dev, Disk(folder, usage.total, usage.free))
    return list(found.values())


def shortage(disks: Iterable[Disk], least_percent: float) -> str | None:
    """Why ingestion has to pause; None where every disk has room."""
    short = [str(disk) for disk in disks if disk.free_percent < least_percent]
    if not short:
        return None
    return (
        f"paused, the disk is almost full: {', '.join(short)}. What is in Kafka waits. Ingestion resumes by itself "
        "when there is room: delete something, or enlarge the disk (DISK_CRITICAL_PERCENT)"
    )


def stop_request(settings: Settings) -> str | None:
    """Why ingestion has to stop after this batch; None where nobody asked it to."""
    if not Home(settings.home).stopping.exists():
        return None
    return "paused, as the code server is about to stop. The next one resumes where this run ends"


def pausing(settings: Settings, log: Callable[[str], None]) -> Callable[[], bool]:
    """Whether a run has to pause now, as a question that is asked before each step; the reason is logged once."""
    said: list[str] = []

    def must_pause() -> bool:
        reason = stop_request(settings) or shortage(local_disks(settings), settings.disk_critical_percent)
        if reason and not said:
            log(reason)
            said.append(reason)
        return reason is not None

    return must_pause


def start_obstacle(settings: Settings) -> str | None:
    """Why no run may start now; None where there is room enough and nobody asked the code server to stop."""
    full = shortage(local_disks(settings), settings.disk_critical_percent * RESUME_FACTOR)
    return stop_request(settings) or full
