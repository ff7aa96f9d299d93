"""The one way to a Snowflake session: the account of the settings, or the local warehouse where none is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from music_platform.errors import PlatformError
from music_platform.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Every session reckons in UTC, and weeks begin on Monday, whatever the account's defaults are.
SESSION_PARAMETERS = {"TIMEZONE": "UTC", "WEEK_START": 1}

LOCAL_ACCOUNT = "local"


class WarehouseUnreachableError(PlatformError):
    """No session could be opened."""


def connection_arguments(settings: Settings, query_tag: str | None = None) -> dict[str, Any]:
    """Arguments of `snowflake.connector.connect`, without a schema."""
    parameters = {**SESSION_PARAMETERS, **({"QUERY_TAG": query_tag} if query_tag else {})}
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
            "password": LOCAL_ACCOUNT,
            "host": LOOPBACK,
            "port": settings.warehouse_port,
            "protocol": "http",
            "login_timeout": 10,
            # The client otherwise asks at which cloud it runs, by names that no resolver here need know: 5 s.
            "platform_detection_timeout_seconds": 0,
        }
    given = {
        "account": settings.snowflake_account,
        "password": settings.snowflake_password,
        "private_key_file": settings.snowflake_private_key_path and str(settings.snowflake_private_key_path),
        "private_key_file_pwd": settings.snowflake_private_key_passphrase,
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
    }
    return arguments | {name: value for name, value in given.items() if value is not None}


def warehouse_address(settings: Settings) -> str:
    """Where the warehouse is, for messages."""
    if settings.warehouse_is_local:
        return f"the local warehouse at {LOOPBACK}:{settings.warehouse_port}"
    return f"Snowflake account {settings.snowflake_account}"


def unreachable(settings: Settings, error: Exception) -> WarehouseUnreachableError:
    """The error that says that no session could be opened."""
    return WarehouseUnreachableError(
        f"{warehouse_address(settings)} gives no session: {str(error).splitlines()[0]}. "
        "Is it up (music-platform status), and are the SNOWFLAKE_* settings right (music-platform settings)?"
    )


@contextmanager
def connect(settings: Settings, query_tag: str | None = None) -> Iterator["SnowflakeConnection"]:
    """A session that is closed at the end. Raises WarehouseUnreachableError."""
    import snowflake.connector

    try:
        session = snowflake.connector.connect(**connection_arguments(settings, query_tag))
    except snowflake.connector.errors.Error as error:
        raise unreachable(settings, error) from error
    try:
        yield session
    finally:
        session.close()
