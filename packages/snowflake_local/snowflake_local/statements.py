"""Rewrites of statements that fakesnow or DuckDB would read differently from Snowflake.

Each rewrite is a function on sqlglot's syntax tree that is applied to every node, so it never changes string literals
or comments. All run before fakesnow's own transformations.
"""

from collections.abc import Callable

import duckdb
import sqlglot
from sqlglot import exp

from snowflake_local import loading, names
from snowflake_local.binds import Values
from snowflake_local.errors import sql_error
from snowflake_local.sessions import Session

Node = exp.Expr


def parse(text: str) -> Node:
    """The statement in `text`. Several are an error; fakesnow would run the first and silently ignore the others."""
    found = [s for s in sqlglot.parse(text, read="snowflake") if s is not None and not isinstance(s, exp.Semicolon)]
    if not found:
        raise sql_error("SQL compilation error:\nEmpty SQL statement.", 900, "42601")
    if len(found) > 1:
        raise sql_error(f"Actual statement count {len(found)} did not match the desired statement count 1.", 8, "0A000")
    return _start_transaction(found[0])


def rewrite(statement: Node, session: Session, params: Values | None) -> Node:
    """Apply all rewrites, in order."""
    rewrites: tuple[Callable[[Node], Node], ...] = (
        lambda node: session_variable(node, session),
        lambda node: context_function(node, session),
        lambda node: bound_identifier(node, params),
        lambda node: result_scan(node, session),
        lambda node: loading.infer_schema(node, session, params),
        values_column,
        order_by_all,
        formatted_time,
        declared_key,
    )
    for change in rewrites:
        statement = statement.transform(change, copy=False)
    return column_titles(statement)


def _start_transaction(statement: Node) -> Node:
    """START TRANSACTION, which sqlglot reads as a column `start` with the alias `transaction`."""
    if isinstance(statement, exp.Alias) and statement.sql().upper() in ("START AS TRANSACTION", "START AS WORK"):
        return exp.Transaction()
    return statement


def session_variable(node: Node, session: Session) -> Node:
    """`$name`, set by `SET name = …`. fakesnow replaces it in the text, inside strings too."""
    if not (isinstance(node, exp.Parameter) and isinstance(node.this, exp.Var)):
        return node
    known = {name.upper(): value for name, value in session.variable_values.items()}
    if (value := known.get(node.name.upper())) is None:
        raise sql_error(
            f"SQL compilation error:\nSession variable '${node.name.upper()}' does not exist", 2211, "02000"
        )
    return sqlglot.parse_one(value, read="snowflake")


#: Results of the functions that describe the session; a callable receives the session.
CONTEXT: dict[str, str | Callable[[Session], str | None]] = {
    "CURRENT_ACCOUNT": "LOCAL",
    "CURRENT_ACCOUNT_NAME": "LOCAL",
    "CURRENT_AVAILABLE_ROLES": '["SYSADMIN"]',
    "CURRENT_CLIENT": "local",
    "CURRENT_DATABASE": lambda session: session.database,
    "CURRENT_IP_ADDRESS": "127.0.0.1",
    "CURRENT_ORGANIZATION_NAME": "LOCAL",
    "CURRENT_REGION": "LOCAL",
    "CURRENT_ROLE": "SYSADMIN",
    "CURRENT_SCHEMA": lambda session: session.schema,
    "CURRENT_SECONDARY_ROLES": "",
    "CURRENT_SESSION": lambda session: str(session.id),
    "CURRENT_TRANSACTION": lambda session: str(session.id) if session.transaction.is_open else None,
    "CURRENT_USER": "LOCAL",
    "CURRENT_WAREHOUSE": "COMPUTE_WH",
    "LAST_QUERY_ID": lambda session: session.last_query_id,
}


def context_function(node: Node, session: Session) -> Node:
    """CURRENT_WAREHOUSE() and similar functions, which DuckDB does not have."""
    if not isinstance(node, exp.Func):
        return node
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    if (answer := CONTEXT.get(name)) is None:
        return node
    value = answer(session) if callable(answer) else answer
    replacement: Node = exp.Literal.string(value) if value is not None else exp.Null()
    if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
        return exp.alias_(replacement, f"{name}()", quoted=True)
    return replacement


def bound_identifier(node: Node, params: Values | None) -> Node:
    """IDENTIFIER(?) and IDENTIFIER('…') with a qualified, quoted name. fakesnow reads '"A"."B"' as one name."""
    if not (isinstance(node, exp.Table) and isinstance(node.this, exp.DynamicIdentifier)):
        return node
    argument = node.this.this
    if isinstance(argument, exp.Placeholder):
        if not isinstance(params, list):
            raise sql_error("SQL compilation error:\nIDENTIFIER(?) without a bound value", 2049, "42601")
        placeholders = list(node.root().find_all(exp.Placeholder, bfs=False))
        name = str(params.pop(next(i for i, other in enumerate(placeholders) if other is argument)))
    else:
        name = argument.name if isinstance(argument, exp.Expr) else str(argument)
    table = exp.to_table(name, dialect="snowflake")
    if node.alias:
        table.set("alias", node.args["alias"])
    return table


def result_scan(node: Node, session: Session) -> Node:
    """TABLE(RESULT_SCAN(id)) as a table with the stored result, so that any query can read it."""
    if not (isinstance(node, exp.TableFromRows) and _is_call(node.this, "RESULT_SCAN")):
        return node
    query_id = node.this.expressions[0].name
    if (kept := session.results_cache.get(query_id)) is None:
        raise sql_error(f"Statement {query_id} not found", 709, "02000")
    session.duck.register(name := f"RESULT_SCAN_{query_id.replace('-', '_').upper()}", kept[0])
    return exp.Table(
        this=exp.to_identifier(name),
        db=exp.to_identifier("main"),
        catalog=exp.to_identifier("temp"),
        alias=node.args.get("alias"),
    )


def _is_call(node: object, name: str) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.upper() == name


def values_column(node: Node) -> Node:
    """`$1` over VALUES is the first column."""
    if not (isinstance(node, exp.Parameter) and isinstance(node.this, exp.Literal)):
        return node
    select = node.find_ancestor(exp.Select)
    source = select.args.get("from_") if select else None
    return exp.column(f"COLUMN{node.name}") if source and isinstance(source.this, exp.Values) else node


def order_by_all(node: Node) -> Node:
    """ORDER BY ALL, which sqlglot reads as a column of that name."""
    if isinstance(node, exp.Column) and isinstance(node.parent, exp.Ordered) and node.name.upper() == "ALL":
        return exp.Var(this="ALL") if not node.this.args.get("quoted") else node
    return node


def formatted_time(node: Node) -> Node:
    """TO_VARCHAR(column, 'YYYY-MM'). sqlglot drops the format if it does not know that the column is a time.

    A number with a format fails at the cast instead of being returned without it.
    """
    if not (isinstance(node, exp.ToChar) and (layout := node.args.get("format"))):
        return node
    return exp.func("TO_VARCHAR", exp.cast(node.this, "timestamp", dialect="snowflake"), layout, dialect="snowflake")


KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.Constraint, exp.UniqueColumnConstraint, exp.CheckColumnConstraint)
COLUMN_KEYS = (
    exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference, exp.CollateColumnConstraint,
    exp.CheckColumnConstraint, exp.MaskingPolicyColumnConstraint,
)  # fmt: skip


def declared_key(node: Node) -> Node:
    """Remove keys, constraints and masking policies: Snowflake does not enforce keys, and nothing is masked here.

    DuckDB enforces keys: a foreign key blocks CREATE OR REPLACE of its parent, a primary key refuses duplicates.
    """
    if isinstance(node, exp.Schema) and isinstance(node.parent, exp.Create):
        node.set("expressions", [part for part in node.expressions if not isinstance(part, KEYS)])
    elif isinstance(node, exp.ColumnDef):
        kept = [c for c in node.args.get("constraints") or [] if not isinstance(c.args.get("kind") or c, COLUMN_KEYS)]
        node.set("constraints", kept)
    return node


#: Words that are valid names of columns and tables in Snowflake, and in DuckDB only with quotes.
_KEYWORDS = duckdb.execute(
    "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
)
#: ALL is left out, because it is not a name in GROUP BY ALL and ORDER BY ALL.
DUCKDB_WORDS = frozenset(word for (word,) in _KEYWORDS.fetchall()) - {"all"}


def quote_keywords(translated: Node) -> Node:
    """Quote names such as AT, POSITIONAL and ANALYSE. This is the last step before DuckDB."""
    for identifier in translated.find_all(exp.Identifier):
        if identifier.name.lower() in DUCKDB_WORDS:
            identifier.set("quoted", True)
    return translated


#: These keep DuckDB's title. With an alias of the same name, DuckDB would take them for that column.
CLOCKS = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp)


def column_titles(statement: Node) -> Node:
    """Title computed columns by their text, as in COUNT(*) and SUM(X). DuckDB has other titles."""
    select: Node | None = statement
    while isinstance(select, exp.SetOperation):
        select = select.this
    if isinstance(select, exp.Select):
        for part in select.expressions:
            if not isinstance(part, (exp.Column, exp.Alias, exp.Aliases, exp.Star, *CLOCKS)) and not part.find(
                exp.Star
            ):
                part.replace(exp.alias_(part.copy(), part.sql(dialect="snowflake").upper(), quoted=True))
            elif isinstance(part, exp.Count):
                part.replace(exp.alias_(part.copy(), "COUNT(*)", quoted=True))
    return statement


def written_tables(statement: Node) -> list[exp.Table]:
    """The tables that a statement writes to, as it names them."""
    tables = [names.target(statement)]
    if isinstance(statement, (exp.Drop, exp.TruncateTable)):
        tables = [
            t for t in (statement.args.get("tables") or statement.expressions) if isinstance(t, exp.Table)
        ] or tables
    if isinstance(statement, exp.Alter):
        tables += [t for a in statement.args.get("actions") or [] for t in a.find_all(exp.Table)]
    return [table for table in tables if table is not None]
