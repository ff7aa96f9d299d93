"""Where the numbers come from: the only module that knows whether it runs on the platform or inside Snowflake.

On the platform: its settings, its sessions as the reading role, and the file in its home by which a run says that marts
or checks have changed, so that an idle page sends no statement. Inside Snowflake: the active session, which has the
rights of the application's owner, and a question every minute.
"""

import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

Rows = list[tuple[Any, ...]]

#: Seconds for which Snowflake's client tries a request again.
PATIENCE_SECONDS = 30
#: What the platform and the account call the sessions of the dashboard.
NAME = "dashboard"


class UnavailableError(Exception):
    """The warehouse does not answer. The text is a sentence for people."""


class NotSetUpError(Exception):
    """The warehouse answers but lacks the tables: nothing has been set up or built yet."""


class Source(Protocol):
    """A warehouse that is asked for rows. Every method may be called from any thread."""

    #: Seconds between two looks of an open page at `signal`.
    look_seconds: float
    #: Whether several statements may run at once.
    parallel: bool
    #: Whether pages can link to each other: inside Snowflake they are frames of another page.
    links: bool

    def rows(self, statement: str, values: Sequence[object] = ()) -> tuple[list[str], Rows]:
        """Names of the columns, in lower case, and all rows. Raises UnavailableError and NotSetUpError."""
        ...

    def signal(self) -> object:
        """A value that changes when something in the marts may have changed. Asks the warehouse nothing."""
        ...

    def dagster_url(self) -> str | None:
        """Where Dagster's UI is; None if nobody said."""
        ...


class PlatformSource:
    """The warehouse of this platform, as the reading role. A session for each thread, opened when it is needed."""

    look_seconds = 2.0
    parallel = True
    links = True

    def __init__(self) -> None:
        from music_platform.home import Home
        from music_platform.settings import get_settings

        self._settings = get_settings()
        self._changed = Home(self._settings.home).changed
        self._own = threading.local()

    def rows(self, statement: str, values: Sequence[object] = ()) -> tuple[list[str], Rows]:
        """As in Source. A session that the warehouse no longer knows, as after its restart, is replaced once."""
        from snowflake.connector.errors import Error, ProgrammingError

        for is_last in (False, True):
            self._require_listener()
            session = self._session()
            try:
                cursor = session.cursor()
                cursor.execute(statement, values or None)
                return [column.name.lower() for column in cursor.description], list(cursor.fetchall())
            except ProgrammingError as error:
                if error.errno in NOT_THERE:
                    raise NotSetUpError(str(error)) from error
                # It may be that a warehouse which was started again knows no such session.
                self._forget()
                if is_last:
                    raise
            except Error as error:
                self._forget()
                if is_last:
                    raise UnavailableError(self._sentence()) from error
        raise AssertionError("unreachable")

    def signal(self) -> object:
        """The time of the file that says that marts or checks have changed."""
        try:
            return self._changed.stat().st_mtime_ns
        except OSError:
            return None

    def dagster_url(self) -> str | None:
        """The UI of this platform."""
        return self._settings.dagster_url

    def _session(self) -> Any:
        if getattr(self._own, "session", None) is None:
            self._own.session = self._open()
        return self._own.session

    def _open(self) -> Any:
        import snowflake.connector
        from snowflake.connector.errors import Error

        from music_platform.warehouse.connection import KEY_ERRORS, connection_arguments, query_tag

        role = self._settings.snowflake_read_role
        arguments = connection_arguments(self._settings, query_tag(NAME, NAME), role)
        try:
            return snowflake.connector.connect(**arguments, network_timeout=PATIENCE_SECONDS)
        except (Error, *KEY_ERRORS) as error:
            if getattr(error, "errno", None) in NOT_THERE:
                raise NotSetUpError(str(error)) from error
            raise UnavailableError(self._sentence()) from error

    def _require_listener(self) -> None:
        """The client would try a local warehouse that is down again for minutes."""
        if self._settings.warehouse_is_local and not _listens(self._settings.warehouse_port):
            self._forget()
            raise UnavailableError(self._sentence())

    def _forget(self) -> None:
        self._own.session = None

    def _sentence(self) -> str:
        from music_platform.warehouse.connection import warehouse_address

        name = warehouse_address(self._settings)
        return f"{name[0].upper()}{name[1:]} does not answer. This page tries again every few seconds."


class SnowflakeSource:
    """The session of Streamlit in Snowflake."""

    look_seconds = 60.0
    parallel = False
    links = False

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def rows(self, statement: str, values: Sequence[object] = ()) -> tuple[list[str], Rows]:
        """As in Source."""
        import streamlit as st
        from snowflake.snowpark.exceptions import SnowparkSQLException

        try:
            with self._lock:
                session = st.connection("snowflake").session()
                frame = session.sql(statement, params=list(values))
                rows = frame.collect()
                # Asking an empty result for its columns is a statement more.
                names = list(rows[0].as_dict()) if rows else frame.columns
                return [name.strip('"').lower() for name in names], [tuple(row) for row in rows]
        except SnowparkSQLException as error:
            if error.sql_error_code in NOT_THERE:
                raise NotSetUpError(str(error)) from error
            raise UnavailableError("The warehouse did not answer. This page tries again every minute.") from error

    def signal(self) -> object:
        """The minute: there is no file that a run could touch."""
        return int(time.time() // self.look_seconds)

    def dagster_url(self) -> str | None:
        """As the application's secrets say, if they do."""
        import streamlit as st

        try:
            return str(st.secrets["dagster_url"])
        except (KeyError, FileNotFoundError):
            return None


#: Snowflake's error numbers of objects, schemas and databases that do not exist, or that the role may not see.
NOT_THERE = frozenset({2003, 2043, 90105, 904})


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def open_source() -> Source:
    """The source of this process: the platform's, where the platform is installed."""
    return PlatformSource() if find_spec("music_platform") else SnowflakeSource()
