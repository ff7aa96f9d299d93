"""A real lake to which a test adds versions of past days."""

import json
import os
import shutil
import struct
import time
import uuid
import zlib
from pathlib import Path

from music_platform.lake.delta_log import DeltaTable

DAY = 86_400.0


def checksum(content: bytes) -> bytes:
    """Hadoop's checksum file of a content: a magic number, and a CRC for each 512 bytes."""
    parts = (content[start : start + 512] for start in range(0, len(content), 512))
    return b"crc\0" + struct.pack(">i", 512) + b"".join(struct.pack(">I", zlib.crc32(part)) for part in parts)


class Lake:
    """The lake of a test: versions are added to it as a micro-batch adds them, at a time of the past."""

    def __init__(self, root: Path) -> None:
        self.root, self.table = root, DeltaTable(str(root))
        first = next(version for version in self.table.versions_after(-1) if version.files)
        self._file = root / first.files[0]
        lines = (root / "_delta_log" / f"{first.number:020d}.json").read_text().splitlines()
        self._add = next(action["add"] for action in map(json.loads, lines) if "add" in action)

    def append(self, at: float) -> None:
        """One version with a file of its own, written at `at` (epoch seconds)."""
        name, version = f"part-{uuid.uuid4()}.parquet", self.table.latest_version() + 1
        shutil.copy(self._file, self.root / name)
        os.utime(self.root / name, (at, at))
        millis = int(at * 1000)
        actions = [
            {"commitInfo": {"timestamp": millis, "operation": "STREAMING UPDATE", "isBlindAppend": True}},
            {"add": {**self._add, "path": name, "modificationTime": millis}},
        ]
        log, commit = self.root / "_delta_log", f"{version:020d}.json"
        content = "\n".join(map(json.dumps, actions)).encode()
        (log / commit).write_bytes(content)
        # What Hadoop leaves on a local disk beside each file, and what a writer leaves that is killed.
        (log / f".{commit}.crc").write_bytes(checksum(content))
        (log / f"..{commit}.{uuid.uuid4()}.tmp.crc").write_bytes(checksum(content))
        for path in log.glob(f"*{version:020d}*"):
            os.utime(path, (at, at))

    def log_files(self) -> list[str]:
        """All files of the log, hidden ones too."""
        return os.listdir(self.root / "_delta_log")

    def age_log(self, at: float) -> None:
        """What upkeep itself wrote into the log just now was written at `at`."""
        for name in self.log_files():
            path = self.root / "_delta_log" / name
            if path.is_file() and path.stat().st_mtime > time.time() - DAY / 2:
                os.utime(path, (at, at))

    def parquet_files(self) -> set[str]:
        return {name for name in os.listdir(self.root) if name.endswith(".parquet")}
