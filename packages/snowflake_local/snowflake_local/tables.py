"""DDL of tables and views that fakesnow does not support, or does not run as one unit."""

from collections.abc import Callable, Iterable

import duckdb
from sqlglot import exp

from snowflake_local import comments, names
from snowflake_local._fakesnow import LOAD_HISTORY
from snowflake_local.errors import already_exists, does_not_exist, unsupported
from snowflake_local.locks import TableName
from snowflake_local.quoting import literal, quoted
from snowflake_local.sessions import Session


def exists(name: TableName, duck: duckdb.DuckDBPyConnection) -> bool:
    """Whether a table or view of that name exists."""
    sql = """
        SELECT 1 FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND upper(table_name) = upper($3)
        UNION ALL
        SELECT 1 FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2 AND upper(view_name) = upper($3)
    """
    return duck.execute(sql, list(name)).fetchone() is not None


def make_temporary_plain(create: exp.Create, session: Session) -> None:
    """Turn a TEMPORARY table with a qualified name into a plain one that is dropped with the session.

    DuckDB's temporary tables are in no schema, but dbt names its temporary tables by database and schema.
    """
    table, properties = names.target(create), create.args.get("properties")
    if table is None or properties is None or not table.args.get("db"):
        return
    for temporary in [p for p in properties.expressions if isinstance(p, exp.TemporaryProperty)]:
        temporary.pop()
        if create.kind == "TABLE":
            session.temporary_tables.add(names.sql(names.resolve(table, session)))


def created_relation(create: exp.Create, name: TableName) -> str:
    """DuckDB's name of the table or view that is created: a temporary one has no schema."""
    return quoted(name.table) if create.find(exp.TemporaryProperty) else names.sql(name)


def non_null_columns(create: exp.Create) -> list[str]:
    """Columns that CREATE TABLE … AS declares NOT NULL, which fakesnow ignores."""
    if not isinstance(create.this, exp.Schema) or create.args.get("expression") is None:
        return []
    return [
        names.column_sql(column.this)
        for column in create.this.find_all(exp.ColumnDef)
        for constraint in column.args.get("constraints") or []
        if isinstance(kind := constraint.args.get("kind"), exp.NotNullColumnConstraint)
        and not kind.args.get("allow_null")
    ]


def copies_another(create: exp.Create) -> bool:
    """Whether this is CREATE … LIKE or CREATE … CLONE."""
    return _copied_from(create) is not None


def _copied_from(create: exp.Create) -> exp.Expr | None:
    source = create.args.get("clone") or create.find(exp.LikeProperty)
    return source.this if source is not None else None


def create_like(create: exp.Create, new: TableName, session: Session) -> list[str]:
    """CREATE TABLE … LIKE and CLONE: both copy types, defaults and NOT NULLs, CLONE also the rows."""
    source_table = _copied_from(create)
    if create.kind != "TABLE" or not isinstance(source_table, exp.Table):
        raise unsupported(f"CLONE of a {create.kind}")
    source, duck = names.resolve(source_table, session), session.duck
    columns = duck.execute(
        "SELECT column_name, data_type, column_default, is_nullable FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
        list(source),
    ).fetchall()
    if not columns:
        raise does_not_exist("Table", str(source))
    defined = ", ".join(
        f"{quoted(name)} {kind}{f' DEFAULT {default}' if default else ''}{'' if nullable else ' NOT NULL'}"
        for name, kind, default, nullable in columns
    )
    # A table that is cloned over itself must be read before it is replaced.
    full, draft = names.sql(new), names.sql(new._replace(table=f"{new.table}__CLONE"))
    statements = [f"CREATE TABLE {draft} ({defined})"]
    if create.args.get("clone"):
        statements.append(f"INSERT INTO {draft} SELECT * FROM {names.sql(source)}")
    if create.args.get("replace"):
        statements.append(f"DROP TABLE IF EXISTS {full}")
    return [*statements, f"ALTER TABLE {draft} RENAME TO {quoted(new.table)}", forget_loads(new)]


def forget_loads(name: TableName) -> str:
    """Clear the load history of a table that is replaced, dropped or truncated: its files may be loaded again."""
    return (
        f"DELETE FROM {quoted(name.database)}.{LOAD_HISTORY} "
        f"WHERE SCHEMA_NAME = {literal(name.schema)} AND TABLE_NAME = {literal(name.table)}"
    )


def rename(old: TableName, new: TableName) -> list[str]:
    """RENAME, which takes the table's load history along."""
    if old[:2] != new[:2]:
        raise unsupported("RENAME into another schema")
    return [
        f"ALTER TABLE {names.sql(old)} RENAME TO {quoted(new.table)}",
        f"UPDATE {quoted(old.database)}.{LOAD_HISTORY} SET TABLE_NAME = {literal(new.table)} "
        f"WHERE SCHEMA_NAME = {literal(old.schema)} AND TABLE_NAME = {literal(old.table)}",
    ]


def swap(one: TableName, other: TableName) -> list[str]:
    """SWAP WITH: the tables exchange names, in one transaction."""
    aside = one._replace(table=f"{one.table}__SWAP")
    return [*rename(one, aside), *rename(other, one), *rename(aside, other)]


def alter(statement: exp.Alter, session: Session) -> list[str] | None:
    """DuckDB's statements for each ALTER that fakesnow does not support; None for others."""
    actions = statement.args.get("actions") or []
    if not isinstance(statement.this, exp.Table) or len(actions) != 1:
        return None
    (action,), name = actions, names.resolve(statement.this, session)
    match action:
        case exp.SwapTable():
            other = names.resolve(action.this, session)
            for table in (name, other):
                if not exists(table, session.duck):
                    raise does_not_exist("Table", str(table))
            return swap(name, other)
        case exp.AlterRename() if statement.kind == "TABLE":
            new = names.resolve(action.this, session)
            if exists(new, session.duck):
                raise already_exists(str(new))
            return rename(name, new)
        case exp.AddConstraint():
            return []  # keys are declared, not enforced
        case _:
            return comments.of_statement(statement, session)


def truncate(tables: Iterable[TableName], if_exists: bool, duck: duckdb.DuckDBPyConnection) -> list[str]:
    """TRUNCATE, which also clears the load history."""
    statements = []
    for name in tables:
        if exists(name, duck) or not if_exists:
            statements += [f"DELETE FROM {names.sql(name)}", forget_loads(name)]
    return statements


def in_order(statements: Iterable[str], duck: duckdb.DuckDBPyConnection) -> Callable[[], None]:
    """Work for `Transaction.define`: runs the statements in order."""
    todo = list(statements)

    def work() -> None:
        for sql in todo:
            duck.execute(sql)

    return work
