"""`music-platform sql`: a statement in the warehouse, whichever it is."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from music_platform.cli.terminal import acting_settings, console, data_table
from music_platform.errors import PlatformError
from music_platform.stack.listeners import require_listeners
from music_platform.stack.services import WAREHOUSE
from music_platform.warehouse.connection import connect, query_tag


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"


class SqlError(PlatformError):
    """The warehouse rejects a statement."""


def sql(
    statement: Annotated[str, typer.Argument(help="The statement.", show_default=False)] = "",
    file: Annotated[Path | None, typer.Option(help="Read the statement from a file, such as queries/….sql.")] = None,
    form: Annotated[Format, typer.Option("--format", help="json is one list of objects.")] = Format.TABLE,
) -> None:
    """Run a statement in the warehouse and print its rows.

    The warehouse is Snowflake, or the local one. Its schemas are RAW, SILVER, GOLD and OPS.
    """
    if bool(statement) == (file is not None):
        raise typer.BadParameter("give either a statement or --file")
    if file is not None and not file.is_file():
        raise typer.BadParameter(f"{file} is not a file")
    names, rows = run_statement(file.read_text() if file is not None else statement)
    if form is Format.JSON:
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_plain, indent=2))
        return
    console.print(data_table(names, rows, header_style="bold"))


def run_statement(statement: str) -> tuple[list[str], Sequence[tuple[Any, ...]]]:
    """Names of the columns in lower case, and the rows. Raises SqlError."""
    from snowflake.connector.errors import Error

    settings = acting_settings()
    require_listeners(settings, WAREHOUSE)
    with connect(settings, query_tag("command line", "sql"), settings.snowflake_read_role) as session:
        try:
            cursor = session.cursor()
            cursor.execute(statement.strip().rstrip(";"))
            return [column.name.lower() for column in cursor.description], cursor.fetchall()
        except Error as error:
            raise SqlError(f"The warehouse rejects the statement: {error.msg}") from error


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
