"""Table locks: a writer waits for the writer before it, as in Snowflake.

In DuckDB the second of two transactions that change the same row fails at once. Snowflake queues them. So a statement
takes the lock of its table before DuckDB sees it, and holds it until the transaction ends.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import NamedTuple


class TableName(NamedTuple):
    """A table's full name, as Snowflake stores it."""

    database: str
    schema: str
    table: str

    def __str__(self) -> str:
        return ".".join(self)


class Mode(Enum):
    """What a statement does to a table."""

    APPEND = auto()  #: INSERT: together with other appends and one change
    CHANGE = auto()  #: UPDATE, DELETE, MERGE, COPY: one at a time
    DEFINE = auto()  #: CREATE, ALTER, DROP, TRUNCATE: exclusive


class LockTimeoutError(Exception):
    """A lock could not be acquired in time."""


class DeadlockError(Exception):
    """Waiting would never end: the holder is waiting for the owner that asks."""


class CancelledError(Exception):
    """The client cancelled the statement while it waited."""


def conflict(one: Mode, other: Mode) -> bool:
    """Whether two transactions must not hold these modes on one table at the same time."""
    return Mode.DEFINE in (one, other) or (one is Mode.CHANGE and other is Mode.CHANGE)


class TableLocks:
    """Which owner holds which table. An owner is any hashable object and never waits for itself."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._held: dict[TableName, dict[object, Mode]] = defaultdict(dict)
        self._waiting_for: dict[object, set[object]] = {}
        self._changed = threading.Condition()

    def acquire(
        self,
        owner: object,
        wanted: Mapping[TableName, Mode],
        cancelled: Callable[[], bool],
        timeout: float | None = None,
    ) -> None:
        """Acquire all of `wanted`, in the order of their names. Raises if one cannot be acquired.

        `timeout` is the session's LOCK_TIMEOUT in seconds; None means the longest wait that is allowed.
        """
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        for table in sorted(wanted):
            self._acquire_one(owner, table, wanted[table], cancelled, seconds)

    def release_all(self, owner: object) -> None:
        """Release everything that `owner` holds."""
        with self._changed:
            for table in [t for t, holders in self._held.items() if owner in holders]:
                del self._held[table][owner]
                if not self._held[table]:
                    del self._held[table]
            self._changed.notify_all()

    def _acquire_one(
        self, owner: object, table: TableName, mode: Mode, cancelled: Callable[[], bool], seconds: float
    ) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            try:
                while blockers := self._blockers(owner, table, mode):
                    self._waiting_for[owner] = blockers
                    if self._leads_back(owner, blockers):
                        raise DeadlockError(f"deadlock on table {table}")
                    if cancelled():
                        raise CancelledError
                    if time.monotonic() > deadline:
                        raise LockTimeoutError(f"table {table} was locked for {seconds:g} s by another transaction")
                    self._changed.wait(0.1)
            finally:
                self._waiting_for.pop(owner, None)
            held = self._held[table].get(owner, Mode.APPEND)
            self._held[table][owner] = max(held, mode, key=lambda m: m.value)

    def _blockers(self, owner: object, table: TableName, mode: Mode) -> set[object]:
        holders = self._held.get(table, {})
        return {other for other, held in holders.items() if other is not owner and conflict(held, mode)}

    def _leads_back(self, owner: object, blockers: set[object]) -> bool:
        seen: set[object] = set()
        todo = set(blockers)
        while todo:
            other = todo.pop()
            if other is owner:
                return True
            if other not in seen:
                seen.add(other)
                todo |= self._waiting_for.get(other, set())
        return False
