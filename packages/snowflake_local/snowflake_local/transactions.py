"""The transaction of a session: Snowflake's rules on top of DuckDB's.

Three differences are compensated here:

- **Atomic statements.** fakesnow turns some statements into several of DuckDB (COPY: rows, then load history). So each
  statement that writes runs in a transaction of its own, unless one is open.
- **No lost updates.** Writers queue for each table (`locks`). A single statement that meets a conflict nevertheless is
  retried.
- **Read committed.** In Snowflake a statement sees what was committed before it started. In DuckDB a transaction sees
  what was committed before its first read. So DuckDB gets the BEGIN only with the first statement that writes, once
  its locks are held; earlier reads run on their own. After its first write a transaction keeps its snapshot.
"""

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import duckdb

from snowflake_local.errors import TransactionLostError
from snowflake_local.locks import Mode, TableLocks, TableName

T = TypeVar("T")

#: Attempts to run a statement in its own transaction, if conflicts make it fail.
ATTEMPTS = 30


class Transaction:
    """The transaction of one session. Not thread-safe: the session runs one statement at a time."""

    def __init__(self, duck: duckdb.DuckDBPyConnection, locks: TableLocks, cancelled: Callable[[], bool]) -> None:
        self._duck = duck
        self._locks = locks
        #: The session's LOCK_TIMEOUT in seconds, if it is set.
        self.lock_timeout: float | None = None
        self._cancelled = cancelled
        self._begun_in_duckdb = False
        self._lost = False
        self.autocommit = True
        self.is_open = False

    def begin(self) -> None:
        """BEGIN. An open transaction stays open, as in Snowflake."""
        self._lost = False
        self.is_open = True

    def commit(self) -> None:
        """COMMIT. Without an open transaction it does nothing."""
        self.check_not_lost()
        try:
            if self._begun_in_duckdb:
                # After a failed statement DuckDB's COMMIT silently rolls back. This SELECT fails instead.
                self._duck.execute("SELECT 1")
                self._duck.commit()
                self._begun_in_duckdb = False
        finally:
            self._roll_back_in_duckdb()
            self._end()

    def rollback(self) -> None:
        """ROLLBACK. Without an open transaction it does nothing."""
        self._lost = False
        self._roll_back_in_duckdb()
        self._end()

    def lose(self) -> None:
        """Roll back unasked. The client's next statement fails, so that it never commits half of its work."""
        self.rollback()
        self._lost = True

    def check_not_lost(self) -> None:
        """Raise, once, if the transaction was rolled back by `lose`."""
        if self._lost:
            self._lost = False
            raise TransactionLostError

    def write(self, tables: Mapping[TableName, Mode], work: Callable[[], T]) -> T:
        """Run `work`, which writes to `tables`, in the open transaction or else in one of its own."""
        self.check_not_lost()
        if not self.autocommit:
            self.is_open = True
        if not self.is_open:
            return self._write_alone(tables, work)
        self._locks.acquire(self, tables, self._cancelled, self.lock_timeout)
        if not self._begun_in_duckdb:
            self._duck.begin()
            self._begun_in_duckdb = True
        return work()

    def define(self, tables: Mapping[TableName, Mode], work: Callable[[], T]) -> T:
        """Run `work`, which is DDL: commit the open transaction, then run it in one of its own."""
        self.commit()
        return self._write_alone(tables, work)

    def _write_alone(self, tables: Mapping[TableName, Mode], work: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._locks.acquire(self, tables, self._cancelled, self.lock_timeout)
                self._duck.begin()
                self._begun_in_duckdb = True
                result = work()
                self._duck.commit()
                self._begun_in_duckdb = False
                return result
            except duckdb.TransactionException as error:
                if attempt == ATTEMPTS or not _is_conflict(error) or self._cancelled():
                    raise
            finally:
                self._roll_back_in_duckdb()
                self._locks.release_all(self)
            time.sleep(random.uniform(0, 0.01 * attempt))
        raise AssertionError("the last attempt returns or raises")

    def _roll_back_in_duckdb(self) -> None:
        if self._begun_in_duckdb:
            with contextlib.suppress(duckdb.Error):
                self._duck.rollback()
            self._begun_in_duckdb = False

    def _end(self) -> None:
        self.is_open = False
        self._locks.release_all(self)


def _is_conflict(error: duckdb.Error) -> bool:
    return "conflict" in str(error).lower()
