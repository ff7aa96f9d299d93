"""Table names as Snowflake resolves them: unquoted names in capitals, missing parts from the session."""

from sqlglot import exp

from snowflake_local.errors import sql_error
from snowflake_local.locks import TableName
from snowflake_local.quoting import full_name
from snowflake_local.sessions import Session


def stored(identifier: exp.Expr | None) -> str:
    """An identifier as the catalogue stores it."""
    if identifier is None:
        return ""
    return identifier.name if identifier.args.get("quoted") else identifier.name.upper()


def resolve(table: exp.Table, session: Session) -> TableName:
    """The full name of `table` in `session`."""
    database = stored(table.args.get("catalog")) or session.database
    schema = stored(table.args.get("db")) or session.schema
    for value, what, errno in ((database, "database", 90105), (schema, "schema", 90106)):
        if not value:
            raise sql_error(
                f"Cannot perform the operation. This session does not have a current {what}. "
                f"Call 'USE {what.upper()}', or use a qualified name.",
                errno,
                "22000",
            )
    return TableName(str(database), str(schema), stored(table.this))


def sql(name: TableName) -> str:
    """A full name for DuckDB."""
    return full_name(*name)


def target(statement: exp.Expr) -> exp.Table | None:
    """The table that a statement creates, changes or loads."""
    this = statement.this
    if isinstance(this, exp.Schema):
        this = this.this
    return this if isinstance(this, exp.Table) else None


def column_sql(identifier: exp.Expr) -> str:
    """A column's name for DuckDB."""
    return full_name(stored(identifier))


def rest_of(command: exp.Expr) -> str:
    """The text after the first word of a statement that sqlglot does not parse."""
    rest = command.args.get("expression")
    return (rest.name if isinstance(rest, exp.Expr) else str(rest or "")).strip()
