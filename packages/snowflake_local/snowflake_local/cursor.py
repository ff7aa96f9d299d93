"""The cursor that all statements share: the tables a statement writes to, its translation, its answer."""

from collections.abc import Iterable

import sqlglot
from sqlglot import exp

from snowflake_local import names, results, statements
from snowflake_local._fakesnow import ColumnInfo, TranslatingCursor
from snowflake_local.binds import Values
from snowflake_local.locks import Mode, TableName
from snowflake_local.quoting import literal
from snowflake_local.sessions import Session

DONE = "Statement executed successfully."


class Cursor(TranslatingCursor):
    """One statement of a session and its result."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, session.duck)
        self.session = session
        self.type_id = 0
        self.columns: list[ColumnInfo] = []
        #: Rows that CREATE TABLE … AS inserted. DML has its counts in its result.
        self.rows_created: int | None = None
        #: A PUT statement: the server answers it with an address for the upload.
        self.put: exp.Put | None = None

    def written(self, statement: exp.Expr) -> dict[TableName, Mode]:
        """The tables that a statement writes to, with the lock that each needs."""
        mode = Mode.DEFINE
        if isinstance(statement, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy)):
            plain_insert = isinstance(statement, exp.Insert) and not statement.args.get("overwrite")
            mode = Mode.APPEND if plain_insert else Mode.CHANGE
        return {names.resolve(table, self.session): mode for table in statements.written_tables(statement)}

    def translated(self, statement: exp.Expr, params: Values | None) -> list[exp.Expr]:
        """The DuckDB statements that a statement becomes."""
        self.check_db_and_schema(statement)
        return [self.translate(part, params) for part in self.split(statement)]

    def run_translated(self, parts: Iterable[exp.Expr], params: Values | None) -> None:
        """Run what `translated` returned. The result is that of the last part."""
        for part in parts:
            self.execute_translated(part, params if part.find(exp.Placeholder) else None)

    def translate_and_run(self, statement: exp.Expr, params: Values | None) -> None:
        """Run a statement as fakesnow translates it, in the open transaction if there is one."""
        self.run_translated(self.translated(statement, params), params)

    def answer(self, sql: str, rowcount: int | None = None) -> None:
        """Answer with the result of a DuckDB query."""
        self.execute_translated(sqlglot.parse_one(sql, read="duckdb"), None)
        if rowcount is not None:
            self.set_row_count(rowcount)

    def answer_status(self, sentence: str) -> None:
        """Answer with a sentence, as DDL does."""
        self.answer(f'SELECT {literal(sentence)} AS "status"')

    def answer_done(self) -> None:
        """Answer that the statement was executed."""
        self.answer_status(DONE)

    def translate(self, statement: exp.Expr, params: Values | None) -> exp.Expr:
        """The statement in DuckDB's SQL, with DuckDB's reserved words quoted."""
        return statements.quote_keywords(super().translate(statement, params))

    def execute_translated(self, statement: exp.Expr, params: Values | None) -> None:
        """Run a DuckDB statement and take over its result and columns."""
        super().execute_translated(statement, params)
        # DuckDB has just described this result; fakesnow would plan the statement a second time for it.
        self.columns = results.columns(self.duck.description)
