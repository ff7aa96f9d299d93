"""Errors with Snowflake's messages and numbers.

dbt-snowflake reads them ("does not exist or not authorized", "002043 (02000)") and drivers branch on errno and
SQLSTATE. An engine error that is not a Snowflake error would become an HTTP 500, which the connector retries for
minutes.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb
from snowflake.connector.errors import Error, ProgrammingError
from sqlglot.errors import SqlglotError

from snowflake_local.locks import CancelledError, DeadlockError, LockTimeoutError


class TransactionLostError(Exception):
    """The transaction was rolled back because its session had been idle for too long."""


def sql_error(message: str, errno: int, sqlstate: str) -> ProgrammingError:
    """A Snowflake SQL error."""
    return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)


def unsupported(what: str) -> ProgrammingError:
    """A feature that Snowflake has and the local warehouse does not."""
    return sql_error(f"Unsupported feature '{what}' (not in the local warehouse).", 2, "0A000")


def does_not_exist(kind: str, name: str) -> ProgrammingError:
    """Snowflake's error for an object that is missing or hidden."""
    sqlstate = "42S02" if kind in ("Object", "Table", "View") else "02000"
    return sql_error(f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.", 2003, sqlstate)


def no_such_object() -> ProgrammingError:
    """USE of an object that does not exist. dbt recognises a missing schema by the number."""
    return sql_error("SQL compilation error:\nObject does not exist, or operation cannot be performed.", 2043, "02000")


def already_exists(name: str) -> ProgrammingError:
    """CREATE of an object that exists."""
    return sql_error(f"SQL compilation error:\nObject '{name}' already exists.", 2002, "42710")


def null_in_non_nullable() -> ProgrammingError:
    """A NULL for a NOT NULL column."""
    return sql_error("DML operation failed: NULL result in a non-nullable column", 100072, "22000")


def cancelled() -> ProgrammingError:
    """The client's timeout or abort."""
    return sql_error("SQL execution canceled", 604, "57014")


@contextmanager
def in_snowflakes_words() -> Iterator[None]:
    """Turn every exception into a Snowflake error."""
    try:
        yield
    except Exception as error:
        raise translate(error) from error


def translate(error: Exception) -> Error:
    """The Snowflake error for `error`. If fakesnow has wrapped a DuckDB error, that one is translated."""
    cause = error.__cause__ if isinstance(error, Error) else None
    if isinstance(error, Error) and not isinstance(cause, duckdb.Error):
        return error
    engine_error = cause if isinstance(cause, duckdb.Error) else error
    match engine_error:
        case duckdb.InterruptException() | CancelledError():
            return cancelled()
        case LockTimeoutError():
            return sql_error(f"Statement was aborted: {engine_error}.", 625, "57014")
        case DeadlockError():
            return sql_error(f"Statement was aborted because of a {engine_error}.", 625, "40001")
        case TransactionLostError():
            return sql_error(
                "The transaction was rolled back because its session had been idle for too long "
                "(--transaction-idle-seconds). Start it again.",
                625,
                "40003",
            )
        case SqlglotError() | duckdb.ParserException():
            return sql_error(f"SQL compilation error:\n{_plain(engine_error)}", 1003, "42000")
        case NotImplementedError():
            return unsupported(str(engine_error))
        case duckdb.Error():
            return _from_engine(engine_error)
        case _:
            return sql_error(f"SQL execution internal error: {type(error).__name__}: {error}"[:2000], 603, "XX000")


Found = re.Match[str]

#: DuckDB's message → Snowflake's error. The first match counts.
SENTENCES: tuple[tuple[re.Pattern[str], Callable[[Found], Error]], ...] = tuple(
    (re.compile(pattern), build)
    for pattern, build in (
        (
            r"(Table|View)(?: Function)? with name (\S+?)!? does not exist",
            lambda m: does_not_exist("Object", m[2]),
        ),
        (
            r"Existing object (\S+) is of type (\w+), trying to \w+ (?:with )?type (\w+)",
            lambda m: sql_error(
                f"SQL compilation error:\nObject found is of type '{m[2].upper()}', not specified type "
                f"'{m[3].upper()}'.",
                2203,
                "42601",
            ),
        ),
        (r"Schema with name (\S+?)!? does not exist", lambda m: does_not_exist("Schema", m[1])),
        (
            r"Catalog \"([^\"]+)\" does not exist|\"([^\"]+)\" is not a catalog or schema",
            lambda m: does_not_exist("Database", m[1] or m[2]),
        ),
        (r"SET schema: No catalog", lambda _: no_such_object()),
        (
            r"Current transaction is aborted",
            lambda _: sql_error(
                "The transaction cannot continue after a failed statement (in Snowflake it could). Roll it back.",
                628,
                "25P02",
            ),
        ),
        (
            r"with name \"?(.+?)\"? already exists|(?:Table|View|Schema) \"?(.+?)\"? already exists",
            lambda m: already_exists(m[1] or m[2]),
        ),
        (
            r"Function with name \"?(\w+)\"? does not exist",
            lambda m: sql_error(f"SQL compilation error:\nUnknown function {m[1].upper()}.", 2140, "42601"),
        ),
        (
            r"Referenced column \"(.*?)\" (?:was )?not found|does not have a column (?:named|with name) \"(.*?)\"",
            lambda m: sql_error(f"SQL compilation error:\ninvalid identifier '{m[1] or m[2]}'", 904, "42000"),
        ),
        (r"NOT NULL constraint failed|contains NULL values", lambda _: null_in_non_nullable()),
        (
            r"cannot affect the same target row",
            lambda _: sql_error("Duplicate row detected during DML action", 100090, "42P18"),
        ),
        (
            r"Could not convert string '(.*?)' to (?:U?\w*INT\d*|DECIMAL|DOUBLE|FLOAT)",
            lambda m: sql_error(f"Numeric value '{m[1]}' is not recognized", 100038, "22018"),
        ),
        (
            r"(?:invalid timestamp field format|timestamp field value out of range): \"(.*?)\"",
            lambda m: sql_error(f"Timestamp '{m[1]}' is not recognized", 100035, "22007"),
        ),
        (
            r"invalid date field format: \"(.*?)\"|date field value out of range: \"(.*?)\"",
            lambda m: sql_error(f"Date '{m[1] or m[2]}' is not recognized", 100040, "22007"),
        ),
        (
            r"Malformed JSON|[Mm]alformed JSON",
            lambda m: sql_error(f"Error parsing JSON: {m.string.splitlines()[0]}", 100069, "22P02"),
        ),
        (
            r"text too long for a VARCHAR: (\S+)",
            lambda m: sql_error(f"String in column {m[1].upper()} is too long and would be truncated", 100078, "22000"),
        ),
        (
            r"No files found that match the pattern \"(.*?)\"",
            lambda m: sql_error(f"Remote file '{m[1].rsplit('/', 1)[-1]}' was not found.", 100016, "22000"),
        ),
    )
)

#: Numbers for DuckDB's types of error, where no message matches.
BY_KIND: tuple[tuple[type[duckdb.Error], int, str], ...] = (
    (duckdb.CatalogException, 2003, "42S02"),
    (duckdb.BinderException, 2043, "02000"),
    (duckdb.ConversionException, 100035, "22007"),
    (duckdb.ConstraintException, 100132, "23000"),
    (duckdb.OutOfMemoryException, 300005, "53200"),
    (duckdb.TransactionException, 625, "40001"),
)


def _from_engine(error: duckdb.Error) -> Error:
    text = str(error)
    for pattern, build in SENTENCES:
        if found := pattern.search(text):
            return build(found)
    errno, sqlstate = next(((n, s) for kind, n, s in BY_KIND if isinstance(error, kind)), (1000, "HY000"))
    return sql_error(_plain(error), errno, sqlstate)


def _plain(error: Exception) -> str:
    return re.sub(r"\x1b\[\d*m", "", str(error))
