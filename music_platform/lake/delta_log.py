"""Delta's transaction log: which files each version of the table added.

Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Delta Log Entries" and "Actions".
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from music_platform.contracts.events import AGE_COLUMN, EARLIEST_TS
from music_platform.errors import PlatformError
from music_platform.lake.files import Folder

#: Prefix of the application ids that batches of intake files leave (`music_platform.ingestion.intake`).
INTAKE_APPLICATION = "intake-"

#: Prefix of those of records that Spark cannot read (`music_platform.ingestion.unreadable_records`): topic id and
#: partition follow, and the number is the offset of the last record.
RECORD_APPLICATION = "record-"

#: Footers that are read at the same time.
FOOTERS_AT_ONCE = 16

_COMMIT = re.compile(r"^(\d{20})\.json$")


#: Latest and earliest version of each table that this process has seen.
_latest: dict[str, int] = {}
_earliest: dict[str, int] = {}


def last_where(holds: Callable[[int], bool], known: int) -> int:
    """The last number from `known` on for which something holds that then holds no more. It holds for `known`.

    The steps double first and then halve, so a few questions find it however far it is.
    """
    step = 1
    while holds(known + step):
        known, step = known + step, step * 2
    while step > 1:
        step //= 2
        if holds(known + step):
            known += step
    return known


class DeltaLogError(PlatformError):
    """The log is not that of an append-only table, or has a gap."""


@dataclass(frozen=True)
class Version:
    """A committed version: the data files that it added, relative to the table, and their row count in Delta's
    statistics."""

    number: int
    files: tuple[str, ...]
    timestamp_ms: int
    rows: int
    #: Kafka timestamp of the oldest row in epoch milliseconds, from the statistics; None if they lack it.
    oldest_ms: int | None = None
    #: Size of the files.
    bytes: int = 0


@dataclass(frozen=True)
class Transaction:
    """Delta's `txn` action, committed with a stream's rows: the query's id and the number of its micro-batch."""

    app_id: str
    version: int


@dataclass(frozen=True)
class Footer:
    """Rows and columns of a data file. A file written before the contract named a field lacks that column."""

    rows: int
    columns: frozenset[str]


@dataclass(frozen=True)
class DeltaTable:
    """A Delta table, as its log describes it."""

    root: str

    @cached_property
    def folder(self) -> Folder:
        """The table's folder."""
        return Folder.at(self.root)

    @cached_property
    def _log(self) -> Folder:
        return Folder.at(f"{self.root}/_delta_log")

    def latest_version(self) -> int:
        """Number of the latest version; -1 if there is no table yet.

        The log is not listed: two days of it are tens of thousands of files. Its commits have no gap, so the latest one
        is sought from the last one that this process has seen, or from Delta's pointer to its last checkpoint.
        """
        known = _latest.get(self.root)
        if known is None or not self._has(known):
            known = self._any_version()
        if known < 0:
            _latest.pop(self.root, None)
            return known
        _latest[self.root] = last_where(self._has, known)
        return _latest[self.root]

    def earliest_version(self) -> int:
        """Number of the earliest version whose commit is still in the log; 0 if there is no table yet."""
        latest = self.latest_version()
        if latest < 0 or self._has(0):
            return 0
        known = _earliest.get(self.root, -1)
        if not (0 < known <= latest and self._has(known) and not self._has(known - 1)):
            known = latest - last_where(lambda steps: self._has(latest - steps), 0)
        _earliest[self.root] = known
        return known

    def reaches_back_to(self, number: int) -> bool:
        """Whether the log still has every version after `number`."""
        return number >= self.latest_version() or self._has(number + 1)

    def _has(self, version: int) -> bool:
        return version >= 0 and self._log.exists(f"{version:020d}.json")

    def _any_version(self) -> int:
        """A version whose commit is in the log; -1 if there is none."""
        if (checkpoint := self._last_checkpoint()) and self._has(checkpoint[0]):
            return checkpoint[0]
        if self._has(0):
            return 0
        # No table, or one whose pointer is damaged.
        return max((int(m[1]) for name in self._log.names() if (m := _COMMIT.match(name))), default=-1)

    def versions_after(self, number: int, upto: int | None = None) -> Iterator[Version]:
        """Each version after `number` (and up to `upto`), in order.

        Raises DeltaLogError if one is missing (the log was cleaned before it was loaded) or is not a plain append.
        """
        latest = self.latest_version()
        for wanted in range(number + 1, (latest if upto is None else min(latest, upto)) + 1):
            try:
                log = self._log.read(f"{wanted:020d}.json")
            except FileNotFoundError:
                raise DeltaLogError(
                    f"version {wanted} is missing from the log of {self.root}: the log was cleaned before the version "
                    "was loaded. Rebuild RAW from the lake: music-platform rebuild"
                ) from None
            yield _version(wanted, log, self.root)

    def retained_after(self, number: int, upto: int | None = None) -> Iterator[Version]:
        """The same without those that were cleaned from the log, where it does not reach back to `number`."""
        return self.versions_after(number if self.reaches_back_to(number) else self.earliest_version() - 1, upto)

    def last_transaction(self) -> Transaction | None:
        """The table's latest transaction of a stream; None if no stream wrote it. Those of intake files and of single
        records are skipped: their batches are not a stream."""
        others = (INTAKE_APPLICATION, RECORD_APPLICATION)
        streams = (txn for txn in self._transactions() if not txn.app_id.startswith(others))
        return next(streams, None)

    def last_batch(self, app_id: str) -> int:
        """Number of the latest batch of this query or intake in the table; -1 if it has none. A batch with a lower
        number is in the table too."""
        return next((txn.version for txn in self._transactions() if txn.app_id == app_id), -1)

    def read_around(self) -> dict[tuple[str, int], int]:
        """By topic id and partition, the offset after the last record that was read without the stream."""
        found: dict[tuple[str, int], int] = {}
        for txn in self._transactions():
            if txn.app_id.startswith(RECORD_APPLICATION):
                topic_id, _, number = txn.app_id.removeprefix(RECORD_APPLICATION).rpartition("/")
                where = topic_id, int(number)
                found[where] = max(found.get(where, 0), txn.version + 1)
        return found

    def _transactions(self) -> Iterator[Transaction]:
        """The table's transactions, latest first: those of the commits back to the last checkpoint, then the last one
        of each application from that checkpoint, which outlives the cleaned log."""
        checkpoint = self._last_checkpoint()
        since = checkpoint[0] if checkpoint else -1
        for version in range(self.latest_version(), since, -1):
            try:
                lines = self._log.read(f"{version:020d}.json").splitlines()
            except FileNotFoundError:
                return  # There was no checkpoint, and the log begins here.
            for line in lines:
                if txn := json.loads(line).get("txn"):
                    yield Transaction(txn["appId"], int(txn["version"]))
        if checkpoint:
            yield from self._checkpointed_transactions(checkpoint[1])

    def _checkpointed_transactions(self, files: list[str]) -> Iterator[Transaction]:
        found: list[dict[str, Any]] = []
        for name in files:
            column = pq.read_table(self._log.file(name), columns=["txn"], filesystem=self._log.system).column("txn")
            found += column.drop_null().to_pylist()
        for txn in sorted(found, key=lambda txn: txn["lastUpdated"] or 0, reverse=True):
            yield Transaction(txn["appId"], int(txn["version"]))

    def _last_checkpoint(self) -> tuple[int, list[str]] | None:
        """Version and files of the checkpoint that Delta's pointer names; None if there is none, or it is damaged."""
        try:
            pointer = json.loads(self._log.read("_last_checkpoint"))
            version, parts = int(pointer["version"]), pointer.get("parts")
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        base = f"{version:020d}.checkpoint"
        if parts is None:
            return version, [f"{base}.parquet"]
        return version, [f"{base}.{part:010d}.{parts:010d}.parquet" for part in range(1, parts + 1)]

    def footers(self, files: Sequence[str]) -> dict[str, Footer]:
        """Rows and columns of each data file, from its Parquet footer. They are read side by side: each is a request or
        two to an object store."""
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
            return dict(zip(files, pool.map(self._footer, files), strict=True))

    def _footer(self, file: str) -> Footer:
        found = pq.read_metadata(self.folder.file(file), filesystem=self.folder.system)
        return Footer(int(found.num_rows), frozenset(found.schema.names))


def _version(number: int, log: bytes, root: str) -> Version:
    files: list[str] = []
    timestamp_ms = rows = size = 0
    oldest: list[int] = []
    for line in log.splitlines():
        action: dict[str, Any] = json.loads(line)
        timestamp_ms = action.get("commitInfo", {}).get("timestamp", timestamp_ms)
        add, remove = action.get("add"), action.get("remove")
        if (remove and remove.get("dataChange", True)) or (add and add.get("deletionVector")):
            raise DeltaLogError(
                f"version {number} of {root} removes or changes rows, but the lake is append-only. "
                "Find out who wrote it (DESCRIBE HISTORY), then rebuild RAW from the lake: music-platform rebuild"
            )
        if add and add["dataChange"]:
            files.append(unquote(add["path"]))
            size += add.get("size", 0)
            stats: dict[str, Any] = json.loads(add.get("stats") or "{}")
            rows += stats.get("numRecords", 0)
            if (found := _epoch_ms(stats.get("minValues", {}).get(AGE_COLUMN))) is not None:
                oldest.append(found)
    return Version(number, tuple(files), timestamp_ms, rows, min(oldest, default=None), size)


def _epoch_ms(text: str | None) -> int | None:
    """A time of Delta's statistics; None where there is none, or one that no row should have had (as of a record whose
    producer wrote seconds or microseconds, taken in before such records were quarantined)."""
    try:
        found = int(datetime.fromisoformat(text).timestamp() * 1000) if text else None
    except (ValueError, OverflowError):
        return None
    return found if found is not None and found >= EARLIEST_TS else None
