"""The data files of a Delta table at a version, from its latest checkpoint and the commits after it.

Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Action Reconciliation" and "Checkpoints".
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from music_platform.lake.delta_log import DeltaLogError, DeltaTable
from music_platform.lake.files import Folder

_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet$")


@dataclass(frozen=True)
class Snapshot:
    """The table at a version: its files, relative to the table, each with its row count in Delta's statistics."""

    version: int
    rows_of: dict[str, int]

    @property
    def files(self) -> tuple[str, ...]:
        """The files, sorted."""
        return tuple(sorted(self.rows_of))

    @property
    def rows(self) -> int:
        """Rows of the whole table."""
        return sum(self.rows_of.values())


def complete_checkpoints(names: list[str]) -> dict[int, list[str]]:
    """Version → files of each complete checkpoint (a checkpoint in parts needs all of them)."""
    found: dict[int, list[str]] = {}
    wanted: dict[int, int] = {}
    for name in names:
        if match := _CHECKPOINT.match(name):
            version = int(match[1])
            found.setdefault(version, []).append(name)
            wanted[version] = int(match[3] or 1)
    return {version: files for version, files in found.items() if len(files) == wanted[version]}


def snapshot(table: DeltaTable) -> Snapshot:
    """The latest snapshot. Raises DeltaLogError if the log is incomplete."""
    log, latest = Folder.at(f"{table.root}/_delta_log"), table.latest_version()
    checkpoints = complete_checkpoints(log.names())
    base = max(checkpoints, default=-1)
    files: dict[str, int] = {}
    for name in checkpoints.get(base, []):
        for add in pq.read_table(log.file(name), columns=["add"], filesystem=log.system).column("add").to_pylist():
            if add:
                _add(files, add)
    for version in range(base + 1, latest + 1):
        try:
            lines = log.read(f"{version:020d}.json").splitlines()
        except FileNotFoundError:
            raise DeltaLogError(
                f"the log of {table.root} has neither version {version} nor a later checkpoint, so the table cannot be "
                "read. Restore _delta_log from a backup."
            ) from None
        for line in lines:
            action: dict[str, Any] = json.loads(line)
            if remove := action.get("remove"):
                files.pop(unquote(remove["path"]), None)
            if add := action.get("add"):
                _add(files, add)
    return Snapshot(latest, files)


def _add(files: dict[str, int], add: dict[str, Any]) -> None:
    files[unquote(add["path"])] = int(json.loads(add.get("stats") or "{}").get("numRecords", 0))
