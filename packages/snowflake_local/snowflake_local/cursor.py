"""The tool that runs a statement: what it writes to, its translation by fakesnow, its answer."""

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
        #: Rows that CREATE TABLE … AS made; DML tells its counts in its result.
        self.rows_created: int | None = None
        #: The PUT that the server answers with an address for the upload.
        self.put: exp.Put | None = None

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
