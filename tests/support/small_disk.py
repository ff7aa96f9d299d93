"""A file system of a few bytes, so that a test can fill it: a tmpfs, which only root may mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from music_platform.ingestion.disk_space import Disk, local_disks
from music_platform.settings import Settings


@dataclass
class SmallDisk:
    """A mounted file system, and the file that takes its space."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    @property
    def now(self) -> Disk:
        """Its space."""
        (disk,) = local_disks(Settings(_env_file=None, music_home=self.folder, lake_url=str(self.folder)))  # type: ignore[call-arg]
        return disk

    def fill(self, free_bytes: int) -> None:
        """Take space until no more than so much is free."""
        with self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size + max(1, self.now.free - free_bytes))

    def fill_to_the_last_byte(self) -> None:
        """Take all space, and what is given back meanwhile too."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A file system of that size at `folder`; skips the test where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip(
            "a small file system can be mounted by root only: run this test as root, for instance in a container"
        )
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
