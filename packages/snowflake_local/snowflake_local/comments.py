"""Comments on tables, views and columns (dbt's persist_docs), stored with DuckDB's COMMENT ON.

fakesnow stores comments on tables in a table of its own. It fails on an apostrophe, writes the text 'None' for a
missing comment and drops comments on columns.
"""

from collections.abc import Iterator

import sqlglot
from sqlglot import Token, TokenType, exp

from snowflake_local import names
from snowflake_local.errors import sql_error
from snowflake_local.locks import TableName
from snowflake_local.quoting import literal
from snowflake_local.sessions import Session

STRINGS = (TokenType.STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING, TokenType.NATIONAL_STRING)


def take_from_create(create: exp.Create, relation: str) -> list[str]:
    """Take the comments out of CREATE TABLE or CREATE VIEW and return the statements that set them on `relation`."""
    statements = []
    if properties := create.args.get("properties"):
        for comment in [p for p in properties.expressions if isinstance(p, exp.SchemaCommentProperty)]:
            statements.append(f"COMMENT ON {create.kind} {relation} IS {_text(comment.this.name)}")
            comment.pop()
    if isinstance(create.this, exp.Schema):
        for column in list(create.this.find_all(exp.ColumnDef)):
            for constraint in list(column.args.get("constraints") or []):
                if isinstance(kind := constraint.args.get("kind"), exp.CommentColumnConstraint):
                    text = _text(kind.this.name)
                    statements.append(f"COMMENT ON COLUMN {relation}.{names.column_sql(column.this)} IS {text}")
                    constraint.pop()
            if create.kind == "VIEW":
                column.replace(column.this)
    return statements


def of_statement(statement: exp.Expr, session: Session) -> list[str] | None:
    """DuckDB's statements for COMMENT ON and ALTER … COMMENT; None if `statement` is neither."""
    match statement:
        case exp.Comment():
            return _comment_on(statement, session)
        case exp.Alter() if statement.kind in ("TABLE", "VIEW"):
            return _alter(statement, session)
        case exp.Command() if str(statement.this).upper() == "ALTER":
            return _alter_several(statement, session)
    return None


def _comment_on(statement: exp.Comment, session: Session) -> list[str]:
    kind, text = str(statement.args["kind"]).upper(), _text(statement.expression.name)
    if kind in ("TABLE", "VIEW") and isinstance(statement.this, exp.Table):
        return _on_relation(names.resolve(statement.this, session), text, session)
    if kind == "COLUMN":
        parts = statement.this.parts
        table = exp.to_table(".".join(part.sql(dialect="snowflake") for part in parts[:-1]), dialect="snowflake")
        return [f"COMMENT ON COLUMN {names.sql(names.resolve(table, session))}.{names.column_sql(parts[-1])} IS {text}"]
    return []  # on schemas, databases, stages: accepted, not stored


def _alter(statement: exp.Alter, session: Session) -> list[str] | None:
    actions = statement.args.get("actions") or []
    name = names.resolve(statement.this, session) if isinstance(statement.this, exp.Table) else None
    if name is None or len(actions) != 1:
        return None
    (action,) = actions
    if isinstance(action, exp.AlterColumn) and (comment := action.args.get("comment")):
        return [f"COMMENT ON COLUMN {names.sql(name)}.{names.column_sql(action.this)} IS {_text(comment.name)}"]
    if isinstance(action, exp.AlterSet) and (comment := action.find(exp.SchemaCommentProperty)):
        return _on_relation(name, _text(comment.this.name), session)
    return None


def _on_relation(name: TableName, text: str, session: Session) -> list[str]:
    """COMMENT ON TABLE or VIEW: DuckDB distinguishes them, Snowflake and dbt say TABLE for both."""
    found = session.duck.execute(
        "SELECT 1 FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name = ?", list(name)
    ).fetchone()
    return [f"COMMENT ON {'VIEW' if found else 'TABLE'} {names.sql(name)} IS {text}"]


def _alter_several(statement: exp.Command, session: Session) -> list[str] | None:
    """ALTER TABLE t ALTER a COMMENT 'x', b COMMENT 'y' …, read token by token because sqlglot does not parse it."""
    tokens = sqlglot.tokenize(names.rest_of(statement), read="snowflake")
    if len(tokens) < 5 or tokens[0].text.upper() not in ("TABLE", "VIEW"):
        return None
    start = next((i for i, t in enumerate(tokens) if t.text.upper() in ("ALTER", "MODIFY") and i > 1), None)
    if start is None or not any(t.text.upper() == "COMMENT" for t in tokens[start:]):
        return None
    table = exp.to_table("".join(_written(t) for t in tokens[1:start]), dialect="snowflake")
    full = names.sql(names.resolve(table, session))
    return [
        f"COMMENT ON COLUMN {full}.{names.column_sql(column)} IS {_text(text)}"
        for column, text in _column_comments(iter(tokens[start + 1 :]))
    ]


def _column_comments(tokens: Iterator[Token]) -> Iterator[tuple[exp.Identifier, str]]:
    for token in tokens:
        word = token.text.upper()
        if word in (",", "(", ")", ";", "ALTER", "MODIFY") or (
            word == "COLUMN" and token.token_type != TokenType.IDENTIFIER
        ):
            continue
        keyword, text = next(tokens, None), next(tokens, None)
        if keyword is None or text is None or keyword.text.upper() != "COMMENT" or text.token_type not in STRINGS:
            raise sql_error(f"SQL compilation error:\nsyntax error unexpected '{token.text}'.", 1003, "42000")
        yield exp.to_identifier(token.text, quoted=token.token_type == TokenType.IDENTIFIER), text.text


def _written(token: Token) -> str:
    return exp.to_identifier(token.text, quoted=True).sql() if token.token_type == TokenType.IDENTIFIER else token.text


def _text(comment: str) -> str:
    return literal(comment) if comment else "NULL"
