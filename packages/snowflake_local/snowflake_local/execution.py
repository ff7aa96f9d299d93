"""The path of one statement: parse, rewrite, dispatch by its kind, run in the session's transaction."""

from typing import Any

from sqlglot import exp

from snowflake_local import catalogue, commands, ddl, loading, merge, names, results, stages, statements, tables
from snowflake_local._fakesnow import ColumnInfo, statement_type_id
from snowflake_local.binds import Values
from snowflake_local.cursor import Cursor
from snowflake_local.errors import does_not_exist, in_snowflakes_words
from snowflake_local.locks import TableName


def run(cursor: Cursor, text: str, params: Values | None = None) -> None:
    """Run one statement."""
    with in_snowflakes_words():
        statement = _read(cursor, text, params)
        _dispatch(cursor, statement, params)
        cursor.session.last_query_id = cursor.sfqid


def run_batch(cursor: Cursor, text: str, rows: list[list[Any]]) -> None:
    """Run one statement for each of `rows` (executemany). It is translated once and runs in one transaction."""
    with in_snowflakes_words():
        statement = _read(cursor, text, None)
        sql = cursor.translate(statement, None).sql(dialect="duckdb")

        def work() -> int:
            return sum(cursor.duck.execute(sql, row).fetchall()[0][0] for row in rows)

        count = cursor.session.transaction.write(cursor.written(statement), work)
        word = "updated" if isinstance(statement, exp.Update) else "inserted"
        word = "deleted" if isinstance(statement, exp.Delete) else word
        cursor.answer(f'SELECT {count}::BIGINT AS "number of rows {word}"', count)


def describe_only(cursor: Cursor, text: str) -> list[ColumnInfo]:
    """The columns of a query, without running it; none for other statements."""
    with in_snowflakes_words():
        statement = _read(cursor, text, None)
        if not isinstance(statement, exp.Query):
            return []
        for placeholder in list(statement.find_all(exp.Placeholder)):
            placeholder.replace(exp.Null())
        sql = cursor.translate(statement, None).sql(dialect="duckdb")
        cursor.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
        return results.columns(cursor.duck.description)


def _read(cursor: Cursor, text: str, params: Values | None) -> exp.Expr:
    statement = statements.parse(text)
    cursor.type_id = statement_type_id(statement)
    return statements.rewrite(statement, cursor.session, params)


def _dispatch(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    transaction = cursor.session.transaction
    match statement:
        case exp.Transaction():
            transaction.begin()
            cursor.answer_done()
        case exp.Commit():
            transaction.commit()
            cursor.answer_done()
        case exp.Rollback():
            transaction.rollback()
            cursor.answer_done()
        case exp.Merge():
            _merge(cursor, statement, params)
        case exp.Copy():
            _copy(cursor, statement, params)
        case exp.Insert() | exp.Update() | exp.Delete():
            _write(cursor, statement, params)
        case exp.Alter() if statement.kind == "SESSION":
            commands.alter_session(cursor, statement)
        case exp.Create() | exp.Alter() | exp.Drop() | exp.Comment() | exp.TruncateTable():
            ddl.run(cursor, statement, params)
        case exp.Describe() if isinstance(statement.this, exp.Table):
            _describe_table(cursor, names.resolve(statement.this, cursor.session))
        case exp.Put():
            cursor.put = statement
            cursor.answer_done()
        case exp.ListStage():
            cursor.answer(stages.list_files(statement.this.name, cursor.session))
        case exp.Command() | exp.Revoke() | exp.Grant() | exp.Use():
            commands.run(cursor, statement, params)
        case _:
            transaction.check_not_lost()
            cursor.translate_and_run(statement, params)


def _write(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    parts = cursor.translated(statement, params)
    cursor.session.transaction.write(cursor.written(statement), lambda: cursor.run_translated(parts, params))


def _copy(cursor: Cursor, copy: exp.Copy, params: Values | None) -> None:
    loading.read_options(copy)
    parts = cursor.translated(copy, params)

    def work() -> None:
        cursor.run_translated(parts, params)
        # Snowflake lists the files that this COPY loaded; fakesnow also lists those it skipped.
        loaded = [row for row in cursor.rows.to_pylist() if row["status"] == "LOADED"] if cursor.rows else []
        if not loaded:
            cursor.answer_status("Copy executed with 0 files processed.")
        elif len(loaded) < cursor.rows.num_rows:
            cursor.replace_rows(cursor.rows.from_pylist(loaded, schema=cursor.rows.schema))

    cursor.session.transaction.write(cursor.written(copy), work)


def _merge(cursor: Cursor, statement: exp.Merge, params: Values | None) -> None:
    written = cursor.written(statement)
    cursor.check_db_and_schema(statement)
    translated = cursor.translate(statement, params)
    sql = merge.to_duckdb(translated)

    def work() -> None:
        actions = [action for (action,) in cursor.duck.execute(sql, params).fetchall()]
        cursor.answer(*merge.answer(translated, actions))

    cursor.session.transaction.write(written, work)


def _describe_table(cursor: Cursor, name: TableName) -> None:
    if not tables.exists(name, cursor.duck):
        raise does_not_exist("Table", str(name))
    cursor.answer(catalogue.describe_sql(*name))
