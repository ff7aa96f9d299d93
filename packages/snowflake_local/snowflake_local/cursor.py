"""The way of one statement: parse, mend, translate by fakesnow, run by DuckDB under the session's transaction."""

from collections.abc import Iterable
from typing import Any

import sqlglot
from sqlglot import exp

from snowflake_local import (
    catalogue,
    commands,
    ddl,
    loading,
    merge,
    names,
    results,
    stages,
    statements,
    tables,
)
from snowflake_local._fakesnow import ColumnInfo, TranslatingCursor, keep_numeric_types, statement_type_id
from snowflake_local.binds import Values
from snowflake_local.errors import does_not_exist, in_snowflakes_words
from snowflake_local.locks import Mode, TableName
from snowflake_local.quoting import literal
from snowflake_local.sessions import Session

DONE = "Statement executed successfully."


def mend_fakesnow() -> None:
    """The mends that can only be made inside of fakesnow."""
    keep_numeric_types()
    loading.mend_copy()


class Cursor(TranslatingCursor):
    """One statement of a session and its result."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, session.duck)
        self.session = session
        self.type_id = 0
        self.columns: list[ColumnInfo] = []
        #: Rows that CREATE TABLE … AS made; DML tells its counts in its result.
        self.rows_created: int | None = None
        #: The PUT that the server answers with an address for the upload.
        self.put: exp.Put | None = None

    # --- what the server asks for -----------------------------------------------------------------------------------

    def run(self, text: str, params: Values | None = None) -> None:
        """Run one statement."""
        with in_snowflakes_words():
            statement = self._read(text, params)
            self._dispatch(statement, params)
            self.session.last_query_id = self.sfqid

    def run_batch(self, text: str, rows: list[list[Any]]) -> None:
        """Run one statement for each of `rows` (executemany): translated once, in one transaction."""
        with in_snowflakes_words():
            statement = self._read(text, None)
            sql = self.translate(statement, None).sql(dialect="duckdb")

            def work() -> int:
                return sum(self.duck.execute(sql, row).fetchall()[0][0] for row in rows)

            count = self.session.transaction.write(self.written(statement), work)
            word = "updated" if isinstance(statement, exp.Update) else "inserted"
            word = "deleted" if isinstance(statement, exp.Delete) else word
            self.answer(f'SELECT {count}::BIGINT AS "number of rows {word}"', count)

    def describe_only(self, text: str) -> list[ColumnInfo]:
        """The columns that a query would have; none for other statements."""
        with in_snowflakes_words():
            statement = self._read(text, None)
            if not isinstance(statement, exp.Query):
                return []
            for placeholder in list(statement.find_all(exp.Placeholder)):
                placeholder.replace(exp.Null())
            sql = self.translate(statement, None).sql(dialect="duckdb")
            self.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
            return results.columns(self.duck.description)

    # --- by kind of statement ---------------------------------------------------------------------------------------

    def _read(self, text: str, params: Values | None) -> exp.Expr:
        statement = statements.parse(text)
        self.type_id = statement_type_id(statement)
        return statements.rewrite(statement, self.session, params)

    def _dispatch(self, statement: exp.Expr, params: Values | None) -> None:
        transaction = self.session.transaction
        match statement:
            case exp.Transaction():
                transaction.begin()
                self.answer_done()
            case exp.Commit():
                transaction.commit()
                self.answer_done()
            case exp.Rollback():
                transaction.rollback()
                self.answer_done()
            case exp.Merge():
                self._merge(statement, params)
            case exp.Copy():
                self._copy(statement, params)
            case exp.Insert() | exp.Update() | exp.Delete():
                self._write(statement, params)
            case exp.Alter() if statement.kind == "SESSION":
                commands.alter_session(self, statement)
            case exp.Create() | exp.Alter() | exp.Drop() | exp.Comment() | exp.TruncateTable():
                ddl.run(self, statement, params)
            case exp.Describe() if isinstance(statement.this, exp.Table):
                self._describe_table(names.resolve(statement.this, self.session))
            case exp.Put():
                self.put = statement
                self.answer_done()
            case exp.ListStage():
                self.answer(stages.list_files(statement.this.name, self.session))
            case exp.Command() | exp.Revoke() | exp.Grant() | exp.Use():
                commands.run(self, statement, params)
            case _:
                transaction.check_not_lost()
                self.translate_and_run(statement, params)

    def _write(self, statement: exp.Expr, params: Values | None) -> None:
        parts = self.translated(statement, params)
        self.session.transaction.write(self.written(statement), lambda: self.run_translated(parts, params))

    def _copy(self, copy: exp.Copy, params: Values | None) -> None:
        loading.read_options(copy)
        parts = self.translated(copy, params)

        def work() -> None:
            self.run_translated(parts, params)
            # Snowflake names the files that were loaded now; fakesnow also those that were loaded before.
            loaded = [row for row in self.rows.to_pylist() if row["status"] == "LOADED"] if self.rows else []
            if not loaded:
                self.answer_status("Copy executed with 0 files processed.")
            elif len(loaded) < self.rows.num_rows:
                self.replace_rows(self.rows.from_pylist(loaded, schema=self.rows.schema))

        self.session.transaction.write(self.written(copy), work)

    def _merge(self, statement: exp.Merge, params: Values | None) -> None:
        written = self.written(statement)
        self.check_db_and_schema(statement)
        translated = self.translate(statement, params)
        sql = merge.to_duckdb(translated)

        def work() -> None:
            actions = [action for (action,) in self.duck.execute(sql, params).fetchall()]
            self.answer(*merge.answer(translated, actions))

        self.session.transaction.write(written, work)

    def _describe_table(self, name: TableName) -> None:
        if not tables.exists(name, self.duck):
            raise does_not_exist("Table", str(name))
        self.answer(catalogue.describe_sql(*name))

    # --- parts that DDL and commands share --------------------------------------------------------------------------

    def written(self, statement: exp.Expr) -> dict[TableName, Mode]:
        """The tables that a statement writes to, and how."""
        mode = Mode.DEFINE
        if isinstance(statement, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy)):
            plain_insert = isinstance(statement, exp.Insert) and not statement.args.get("overwrite")
            mode = Mode.APPEND if plain_insert else Mode.CHANGE
        return {names.resolve(table, self.session): mode for table in statements.written_tables(statement)}

    def translated(self, statement: exp.Expr, params: Values | None) -> list[exp.Expr]:
        """The statements of DuckDB that a statement becomes."""
        self.check_db_and_schema(statement)
        return [self.translate(part, params) for part in self.split(statement)]

    def run_translated(self, parts: Iterable[exp.Expr], params: Values | None) -> None:
        """Run what `translated` gave; the last one's result is the statement's."""
        for part in parts:
            self.execute_translated(part, params if part.find(exp.Placeholder) else None)

    def translate_and_run(self, statement: exp.Expr, params: Values | None) -> None:
        """Run a statement as fakesnow reads it, in the transaction that is open."""
        self.run_translated(self.translated(statement, params), params)

    def answer(self, sql: str, rowcount: int | None = None) -> None:
        """Make the result of a DuckDB query the statement's result."""
        self.execute_translated(sqlglot.parse_one(sql, read="duckdb"), None)
        if rowcount is not None:
            self.set_row_count(rowcount)

    def answer_status(self, sentence: str) -> None:
        """Answer with one sentence, as DDL does."""
        self.answer(f'SELECT {literal(sentence)} AS "status"')

    def answer_done(self) -> None:
        """Answer that it is done."""
        self.answer_status(DONE)

    def translate(self, statement: exp.Expr, params: Values | None) -> exp.Expr:
        """The statement in DuckDB's SQL, with quotes around what DuckDB reserves."""
        return statements.quote_keywords(super().translate(statement, params))

    def execute_translated(self, statement: exp.Expr, params: Values | None) -> None:
        """Run a statement of DuckDB; its result and columns become the cursor's."""
        super().execute_translated(statement, params)
        # As DuckDB told them for this very result; fakesnow plans the statement again to learn them.
        self.columns = results.columns(self.duck.description)
