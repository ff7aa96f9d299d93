"""Sessions: the state of a logged-in client, and the clean-up after a client that died.

A client that dies may leave an open transaction that holds locks. `Sessions` rolls it back after an idle time, and ends
the session after a longer one.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from snowflake_local._fakesnow import Connection, normalise_ident
from snowflake_local.errors import no_such_object
from snowflake_local.quoting import full_name, literal
from snowflake_local.storage import Storage
from snowflake_local.transactions import Transaction

#: Idle seconds after which a session ends, as in Snowflake.
SESSION_IDLE = 4 * 3600.0


class Session(Connection):
    """One client's session. Its statements run one at a time."""

    def __init__(self, storage: Storage, database: str | None, schema: str | None, autocommit: bool = True) -> None:
        if database:
            storage.create_database(database)
            storage.create_schema(database, schema or "PUBLIC")
            schema = schema or "PUBLIC"
        super().__init__(
            storage.cursor(),
            storage.results,
            database,
            schema,
            create_database=False,
            create_schema=False,
            db_path=storage.databases_dir,
        )
        self.storage = storage
        self.token = secrets.token_urlsafe(32)
        self.id = secrets.randbits(48)
        self.transaction = Transaction(self.duck, storage.locks, lambda: self._cancelled)
        self.transaction.autocommit = autocommit
        self.last_query_id: str | None = None
        #: Session parameters as they were set, for SHOW PARAMETERS.
        self.parameters = {
            "AUTOCOMMIT": str(autocommit).lower(),
            "QUERY_TAG": "",
            "TIMEZONE": "Etc/UTC",
            "WEEK_START": "0",
        }
        #: Target of the last PUT whose target was a bound value; see `stages.upload_command`.
        self.put_target: str | None = None
        #: Temporary tables that were created as plain ones; dropped when the session ends.
        self.temporary_tables: set[str] = set()
        #: Temporary stages, by full name; dropped when the session ends.
        self.temporary_stages: set[tuple[str, str, str]] = set()
        self._one_at_a_time = threading.RLock()
        self._running = 0
        self._last_used = time.monotonic()
        self._cancelled = False

    def use(self, database: str | None, schema: str) -> None:
        """Make a schema current."""
        if database is None or not self.storage.has_schema(database, schema):
            raise no_such_object()
        self.duck.execute(f"SET schema = {literal(full_name(database, schema))}")
        self.set_current(database, schema)

    def use_none(self) -> None:
        """Leave the current database, which is being dropped."""
        self.duck.execute("USE memory")
        self.set_current(None, None)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last statement ended; 0 while one is running."""
        return 0.0 if self._running else time.monotonic() - self._last_used

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Hold the session for one statement."""
        self._running += 1
        try:
            with self._one_at_a_time:
                self._cancelled = False
                yield
        finally:
            self._last_used = time.monotonic()
            self._running -= 1

    def cancel(self) -> None:
        """Stop the running statement, also one that waits for a lock."""
        self._cancelled = True
        self.duck.interrupt()

    def roll_back_if_idle(self, seconds: float) -> None:
        """Roll back the open transaction if the client has been silent for longer than that."""
        if not self.transaction.is_open or self.idle_seconds <= seconds:
            return
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self.transaction.lose()
            finally:
                self._one_at_a_time.release()

    def end(self) -> None:
        """Roll back, drop temporary tables and stages, and close the engine's connection."""
        with self._one_at_a_time:
            self.transaction.rollback()
            for table in self.temporary_tables:
                with contextlib.suppress(duckdb.Error):  # its database may have been dropped
                    self.duck.execute(f"DROP TABLE IF EXISTS {table}")
            for name in self.temporary_stages:
                self.storage.drop_stages(*name)
            self.close()


class Sessions:
    """All sessions, by token."""

    def __init__(self, storage: Storage, transaction_idle_seconds: float) -> None:
        self._storage = storage
        self._transaction_idle = transaction_idle_seconds
        self._by_token: dict[str, Session] = {}
        self._stopping = threading.Event()
        self._reaper = threading.Thread(target=self._reap_for_ever, name="idle-reaper", daemon=True)
        self._reaper.start()

    def open(self, database: str | None, schema: str | None, autocommit: bool) -> Session:
        """Log a client in."""
        session = Session(
            self._storage, database and normalise_ident(database), schema and normalise_ident(schema), autocommit
        )
        self._by_token[session.token] = session
        return session

    def get(self, token: str) -> Session | None:
        """The session of a token; None if it has ended."""
        return self._by_token.get(token)

    def end(self, token: str) -> None:
        """Log a client out."""
        if session := self._by_token.pop(token, None):
            session.end()

    def end_all(self) -> None:
        """End all sessions, because the server is stopping."""
        self._stopping.set()
        for token in list(self._by_token):
            if session := self._by_token.get(token):
                session.cancel()
            self.end(token)

    def _reap_for_ever(self) -> None:
        while not self._stopping.wait(min(5.0, self._transaction_idle / 4)):
            for token, session in list(self._by_token.items()):
                session.roll_back_if_idle(self._transaction_idle)
                if session.idle_seconds > SESSION_IDLE:
                    self.end(token)
