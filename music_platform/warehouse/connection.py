"""Opens Snowflake sessions: at the account in the settings, or at the local warehouse if none is set."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from music_platform.errors import PlatformError
from music_platform.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

#: Every session uses UTC and weeks that start on Monday, whatever the account's defaults are.
SESSION_PARAMETERS = {"TIMEZONE": "UTC", "WEEK_START": 1}

LOCAL_ACCOUNT = "local"

#: What the connector raises for a private key that is missing or invalid, or a wrong passphrase.
KEY_ERRORS = (OSError, ValueError, TypeError)


class WarehouseUnreachableError(PlatformError):
    """No session could be opened. `reason` is what Snowflake's client said."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def query_tag(run: str, asset: str) -> str:
    """QUERY_TAG of the statements that a run sends for an asset or a command.

    In Snowflake: SELECT … FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY WHERE
    TRY_PARSE_JSON(query_tag):asset = 'raw/events'. dbt's have the asset 'dbt' (macros/query_tags.sql).
    """
    return json.dumps({"platform": "music", "run": run, "asset": asset})


def connection_arguments(settings: Settings, tag: str | None = None, role: str | None = None) -> dict[str, Any]:
    """Arguments of `snowflake.connector.connect`, without a schema. `role` unset: SNOWFLAKE_ROLE."""
    parameters = {**SESSION_PARAMETERS, **({"QUERY_TAG": tag} if tag else {})}
    arguments: dict[str, Any] = {
        "user": settings.snowflake_user,
        "database": settings.snowflake_database,
        "session_parameters": parameters,
        "paramstyle": "qmark",
        "application": "music_platform",
    }
    if settings.warehouse_is_local:
        return arguments | {
            "account": LOCAL_ACCOUNT,
            "password": settings.music_secret or LOCAL_ACCOUNT,
            "host": LOOPBACK,
            "port": settings.warehouse_port,
            "protocol": "http",
            "login_timeout": 10,
            # Otherwise the client asks which cloud it runs in, and waits 5 s for names that do not resolve here.
            "platform_detection_timeout_seconds": 0,
        }
    given = {
        "account": settings.snowflake_account,
        "password": settings.snowflake_password,
        # Explicit, because SnowflakeResource refuses a configuration without a visible login method.
        "authenticator": "SNOWFLAKE_JWT" if settings.snowflake_private_key_path else None,
        "private_key_file": settings.snowflake_private_key_path and str(settings.snowflake_private_key_path),
        "private_key_file_pwd": settings.snowflake_private_key_passphrase,
        "role": role or settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
    }
    return arguments | {name: value for name, value in given.items() if value is not None}


@contextmanager
def transaction(session: "SnowflakeConnection") -> "Iterator[SnowflakeCursor]":
    """A transaction around the block: committed at its end, rolled back where it raises."""
    cursor = session.cursor()
    cursor.execute("BEGIN")
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise


def rows_of(session: "SnowflakeConnection", statement: str) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    cursor = session.cursor()
    cursor.execute(statement)
    rows: Any = cursor.fetchall()
    return list(rows)


def execute_all(session: "SnowflakeConnection", statements: Iterable[str]) -> None:
    """Execute the statements in one transaction."""
    with transaction(session) as cursor:
        for statement in statements:
            cursor.execute(statement)


def warehouse_address(settings: Settings) -> str:
    """The warehouse's name and address, for messages."""
    if settings.warehouse_is_local:
        return f"the local warehouse at {LOOPBACK}:{settings.warehouse_port}"
    return f"Snowflake account {settings.snowflake_account}"


def away(settings: Settings) -> str:
    """Error message for a local warehouse that does not answer."""
    where = f"{LOOPBACK}:{settings.warehouse_port}"
    return (
        f"The local warehouse at {where} does not answer. Start it with `music-platform up`, or set SNOWFLAKE_ACCOUNT."
    )


def unreachable(settings: Settings, error: Exception) -> WarehouseUnreachableError:
    """The error for a session that could not be opened."""
    reason = str(error).splitlines()[0]
    if settings.warehouse_is_local:
        return WarehouseUnreachableError(f"{away(settings)} Its client reports: {reason}", reason)
    return WarehouseUnreachableError(
        f"Cannot connect to {warehouse_address(settings)}: {reason}. Check the SNOWFLAKE_* settings (music-platform "
        "doctor).",
        reason,
    )


@contextmanager
def connect(settings: Settings, tag: str | None = None, role: str | None = None) -> Iterator["SnowflakeConnection"]:
    """A session that is closed at the end. Raises WarehouseUnreachableError."""
    import snowflake.connector

    try:
        session = snowflake.connector.connect(**connection_arguments(settings, tag, role))
    except (snowflake.connector.errors.Error, *KEY_ERRORS) as error:
        raise unreachable(settings, error) from error
    try:
        yield session
    finally:
        session.close()
