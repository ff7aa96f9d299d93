"""The transaction of a session, with Snowflake's rules on top of DuckDB's.

Three things differ and are made up for here:

- **Nothing half done.** Several of fakesnow's statements are more than one in DuckDB (COPY: rows, then load history),
  so each statement that writes runs in a transaction of its own unless one is open.
- **No lost update.** Writers queue by table (`locks`); a statement on its own that meets a conflict all the same is
  tried again.
- **Read committed.** Snowflake shows each statement what is committed when it starts. DuckDB shows a transaction what
  was committed when it first looked. So BEGIN reaches DuckDB only with the first statement that writes, after its
  locks are held; what is read before runs on its own. (After the first write a transaction keeps its snapshot.)
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

#: How often a statement in its own transaction is tried again after a conflict.
ATTEMPTS = 30


class Transaction:
    """The transaction of one session. Not thread-safe: the session runs one statement at a time."""

    def __init__(self, duck: duckdb.DuckDBPyConnection, locks: TableLocks, cancelled: Callable[[], bool]) -> None:
        self._duck = duck
        self._locks = locks
        #: Seconds for which a statement waits for a table, where the session has set LOCK_TIMEOUT.
        self.lock_timeout: float | None = None
        self._cancelled = cancelled
        self._begun_in_duckdb = False
        self._lost = False
        self.autocommit = True
        self.is_open = False

    def begin(self) -> None:
        """BEGIN. One that is open stays open, as in Snowflake."""
        self._lost = False
        self.is_open = True

    def commit(self) -> None:
        """COMMIT what is open; nothing open is no error."""
        self.check_not_lost()
        try:
            if self._begun_in_duckdb:
                # After a statement that failed, DuckDB's COMMIT rolls back and says nothing; this SELECT fails.
                self._duck.execute("SELECT 1")
                self._duck.commit()
                self._begun_in_duckdb = False
        finally:
            self._roll_back_in_duckdb()
            self._end()

    def rollback(self) -> None:
        """ROLLBACK what is open; nothing open is no error."""
        self._lost = False
        self._roll_back_in_duckdb()
        self._end()

    def lose(self) -> None:
        """Roll back without the client's asking. Its next statement fails, so that no half of its work is committed."""
        self.rollback()
        self._lost = True

    def check_not_lost(self) -> None:
        """Raise, once, if the transaction was rolled back behind the client's back."""
        if self._lost:
            self._lost = False
            raise TransactionLostError

    def write(self, tables: Mapping[TableName, Mode], work: Callable[[], T]) -> T:
        """Run `work`, which writes to `tables`: in the open transaction, else in one of its own."""
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
        """Run `work`, which is DDL: what is open is committed first, then it runs in a transaction of its own."""
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
