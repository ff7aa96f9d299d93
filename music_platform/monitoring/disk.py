"""The disk as the watch reports it: a warning while there is time to act, critical when ingestion has paused."""

from collections.abc import Iterable, Iterator

from music_platform.ingestion.disk_space import Disk
from music_platform.monitoring.alerts import CRITICAL, WARNING, Problem


def disk_problems(disks: Iterable[Disk], warning: float, critical: float, now: float) -> Iterator[Problem]:
    """Disks with less than `warning` or `critical` percent free."""
    for disk in disks:
        severity = CRITICAL if disk.free_percent < critical else WARNING
        if disk.free_percent < max(warning, critical):
            paused = "Ingestion has paused, and resumes by itself when there is room."
            yield Problem(
                f"disk {disk.folder}",
                "the disk is almost full" if severity == CRITICAL else "the disk is filling up",
                now,
                f"{disk}. {paused if severity == CRITICAL else f'Ingestion pauses below {critical:g} %.'}",
                "music-platform doctor shows what takes the space.",
                severity,
            )
