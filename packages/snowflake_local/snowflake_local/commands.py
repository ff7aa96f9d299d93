"""Statements about the session, and those that sqlglot keeps as text."""

import re

import sqlglot
from sqlglot import exp

from snowflake_local import comments, ddl, names, stages, statements, tables
from snowflake_local.binds import Values
from snowflake_local.cursor import Cursor
from snowflake_local.errors import unsupported
from snowflake_local.quoting import literal, quoted

#: SHOW of objects that a local warehouse does not have: no rows, under Snowflake's column names.
SHOWN_EMPTY: dict[str, tuple[str, ...]] = {
    "GRANTS": (
        "created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by",
    ),
    "DYNAMIC TABLES": ("name", "database_name", "schema_name"),
    "LOCKS": ("resource",),
    "TRANSACTIONS": ("id",),
}  # fmt: skip

#: ALTER TABLE … MODIFY COLUMN … SET MASKING POLICY …: nothing is masked here.
MASKS_A_COLUMN = re.compile(r"TABLE\s+\S+\s+(MODIFY|ALTER)\s+(COLUMN\s+)?\S+\s+(SET|UNSET)\s+MASKING\s+POLICY\b")


def run(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    """Run one such statement."""
    if isinstance(statement, (exp.Grant, exp.Revoke)):
        cursor.answer_done()
    elif isinstance(statement, exp.Use):
        _use(cursor, statement)
    else:
        _text(cursor, statement, params)


def alter_session(cursor: Cursor, statement: exp.Alter) -> None:
    """ALTER SESSION. AUTOCOMMIT and LOCK_TIMEOUT take effect, TIMEZONE must be UTC, the rest is stored for SHOW."""
    session = cursor.session
    for item in statement.find_all(exp.SetItem):
        if not isinstance(item.this, exp.EQ):
            session.parameters.pop(item.name.upper(), None)  # UNSET
            if item.name.upper() == "LOCK_TIMEOUT":
                session.transaction.lock_timeout = None
            continue
        name, value = item.this.this.name.upper(), item.this.expression
        text = str(value.this).lower() if isinstance(value, exp.Boolean) else value.name
        if name == "AUTOCOMMIT":
            session.transaction.commit()
            session.transaction.autocommit = text.lower() in ("true", "1")
        elif name == "LOCK_TIMEOUT":
            session.transaction.lock_timeout = float(text)
        elif name == "TIMEZONE" and text.upper() not in ("UTC", "ETC/UTC"):
            raise unsupported(f"TIMEZONE {text}; use UTC")
        session.parameters[name] = text
    cursor.answer_done()


def _show_parameters(cursor: Cursor, rest: str) -> None:
    """SHOW PARAMETERS [LIKE '…']. dbt reads QUERY_TAG from it before it sets a model's own tag."""
    tokens = sqlglot.tokenize(rest, read="snowflake")
    pattern = tokens[2].text if len(tokens) > 2 and tokens[1].text.upper() == "LIKE" else "%"
    rows = [
        f"({literal(name)}, {literal(value)})" for name, value in {"QUERY_TAG": "", **cursor.session.parameters}.items()
    ]
    cursor.answer(
        'SELECT "key", "value", \'\' AS "default", \'SESSION\' AS "level", \'\' AS "description", '
        f'\'STRING\' AS "type" FROM (VALUES {", ".join(rows)}) t("key", "value") WHERE "key" ILIKE {literal(pattern)}'
    )


def _use(cursor: Cursor, use: exp.Use) -> None:
    """USE. USE DATABASE also makes the schema PUBLIC current, unlike in fakesnow. Roles and warehouses are ignored."""
    session, kind = cursor.session, use.args.get("kind")
    kind = (kind.name if isinstance(kind, exp.Expr) else str(kind or "")).upper()
    session.transaction.check_not_lost()
    if isinstance(use.this, exp.Table) and kind in ("", "DATABASE", "SCHEMA"):
        name, parent = names.stored(use.this.this), names.stored(use.this.args.get("db"))
        if kind == "SCHEMA" or parent:
            session.use(parent or session.database, name)
        else:
            session.use(name, "PUBLIC")
    cursor.answer_done()


def _text(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    head, rest = str(statement.this).upper(), names.rest_of(statement)
    subject = rest.upper()
    shown = next((what for what in SHOWN_EMPTY if subject.startswith(what)), None)
    if head in ("REMOVE", "RM"):
        cursor.answer(stages.remove_files(rest, cursor.session))
    elif head == "SHOW" and shown:
        columns = ", ".join(f"''::VARCHAR AS {quoted(column)}" for column in SHOWN_EMPTY[shown])
        cursor.answer(f"SELECT {columns} WHERE false")
    elif head == "SHOW" and subject.startswith("PARAMETERS"):
        _show_parameters(cursor, rest)
    elif head == "EXPLAIN":
        _explain(cursor, rest, params)
    elif head in ("GRANT", "REVOKE") or (head in ("CREATE", "ALTER", "DROP") and _has_no_effect(subject)):
        cursor.answer_done()
    elif (sql := comments.of_statement(statement, cursor.session)) is not None:
        cursor.session.transaction.define({}, tables.in_order(sql, cursor.duck))
        cursor.answer_done()
    else:
        cursor.translate_and_run(statement, params)


def _has_no_effect(subject: str) -> bool:
    words = subject.removeprefix("OR REPLACE ").removeprefix("IF NOT EXISTS ").removeprefix("IF EXISTS ")
    return words.startswith(ddl.WITHOUT_EFFECT) or bool(MASKS_A_COLUMN.match(subject))


def _explain(cursor: Cursor, query: str, params: Values | None) -> None:
    """EXPLAIN: DuckDB's plan of a query, as one text."""
    text = query.split(None, 2)[2] if query.upper().startswith("USING ") else query
    statement = statements.rewrite(statements.parse(text), cursor.session, params)
    (translated,) = cursor.translated(statement, params)
    plan = cursor.duck.execute(f"EXPLAIN {translated.sql(dialect='duckdb')}", params).fetchall()
    cursor.answer(f'SELECT {literal(plan[0][1])} AS "content"')
