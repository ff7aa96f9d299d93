"""Data definition: CREATE, ALTER, DROP, COMMENT and TRUNCATE.

Each statement first commits an open transaction, as in Snowflake; DuckDB would roll the definition back with it. Then
it runs in one DuckDB transaction: a table, its comments, its NOT NULLs and its load history change together or not at
all. Entries in fakesnow's catalogue are in another database and are written afterwards.
"""

from collections.abc import Callable, Iterable

from sqlglot import exp

from snowflake_local import comments, names, results, statements, tables
from snowflake_local._fakesnow import FILE_FORMATS, STAGES, TEXT_LENGTHS, drop_table_comment, take_text_lengths
from snowflake_local.binds import Values
from snowflake_local.cursor import Cursor
from snowflake_local.errors import already_exists, does_not_exist, unsupported
from snowflake_local.locks import TableName
from snowflake_local.storage import Storage

#: Kinds of objects that a local warehouse does not have. Their DDL is accepted without effect.
WITHOUT_EFFECT = (
    "ACCOUNT", "MASKING POLICY", "NETWORK POLICY", "RESOURCE MONITOR", "ROLE", "SESSION POLICY", "STORAGE INTEGRATION",
    "TAG", "USER", "WAREHOUSE",
)  # fmt: skip

Lengths = list[tuple[str, int]]


def run(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    """Run one such statement."""
    kind = str(statement.args.get("kind") or "").upper()
    if kind in WITHOUT_EFFECT:
        cursor.answer_done()
    elif kind == "DATABASE" and isinstance(statement, exp.Create):
        _create_database(cursor, statement)
    elif kind == "DATABASE" and isinstance(statement, exp.Drop):
        _drop_database(cursor, statement)
    elif kind in ("STAGE", "FILE FORMAT") and isinstance(statement, exp.Drop):
        _drop_catalogued(cursor, statement, kind)
    elif kind in ("TABLE", "VIEW") and isinstance(statement, exp.Create):
        _create(cursor, statement, params)
    elif (sql := _plain_sql(cursor, statement)) is not None:
        cursor.session.transaction.define(cursor.written(statement), tables.in_order(sql, cursor.duck))
        cursor.answer_done()
    elif kind in ("TABLE", "VIEW", "SEQUENCE"):
        _translated(cursor, statement, params)
    else:
        # Schemas, stages, file formats: fakesnow stores them in its catalogue, which is another database.
        emptied = _emptied_schemas(cursor, statement) if kind == "SCHEMA" else []
        parts = cursor.translated(statement, params)
        # Of two that create the same object at once, the second waits, and finds it.
        written = cursor.written(statement)
        cursor.session.transaction.define(written, lambda: cursor.run_translated(parts, params))
        if kind == "STAGE" and statement.find(exp.TemporaryProperty):
            cursor.session.temporary_stages.add(*written)
        for database, schema in emptied:
            cursor.session.storage.forget(database, schema)


def _emptied_schemas(cursor: Cursor, statement: exp.Expr) -> list[tuple[str, str]]:
    """The (database, schema) that DROP SCHEMA and CREATE OR REPLACE SCHEMA empty."""
    if not isinstance(statement, exp.Drop) and not statement.args.get("replace"):
        return []
    return [
        (names.stored(schema.args.get("catalog")) or str(cursor.session.database), names.stored(schema.args.get("db")))
        for schema in statements.written_tables(statement)
    ]


def _plain_sql(cursor: Cursor, statement: exp.Expr) -> list[str] | None:
    """DuckDB's statements for what fakesnow gets wrong; None for everything else."""
    match statement:
        case exp.Alter():
            return tables.alter(statement, cursor.session)
        case exp.Comment():
            return comments.of_statement(statement, cursor.session)
        case exp.TruncateTable():
            return tables.truncate(cursor.written(statement), bool(statement.args.get("exists")), cursor.duck)
    return None


def _translated(cursor: Cursor, statement: exp.Expr, params: Values | None) -> None:
    """ALTER and DROP as fakesnow translates them. DROP also clears the load history."""
    written = cursor.written(statement)
    forgotten = [tables.forget_loads(table) for table in written if isinstance(statement, exp.Drop)]
    parts = cursor.translated(statement, params)
    lengths = take_text_lengths(parts)

    def work() -> None:
        tables.in_order(forgotten, cursor.duck)()
        cursor.run_translated(parts, params)

    cursor.session.transaction.define(written, work)
    _record_lengths(cursor.session.storage, written, lengths)


def _create(cursor: Cursor, create: exp.Create, params: Values | None) -> None:
    """CREATE TABLE and CREATE VIEW, in all their forms."""
    table = names.target(create)
    if table is None:
        raise unsupported(create.sql(dialect="snowflake"))
    tables.make_temporary_plain(create, cursor.session)
    cursor.check_db_and_schema(create)
    name, written = names.resolve(table, cursor.session), cursor.written(create)
    lengths: Lengths = []
    comments_after = comments.take_from_create(create, tables.created_relation(create, name))
    if tables.copies_another(create):
        copied = tables.create_like(create, name, cursor.session)

        def make() -> None:
            tables.in_order([*copied, *comments_after], cursor.duck)()
            cursor.answer_status(f"Table {name.table} successfully created.")
    else:
        make = _making(cursor, create, name, params, comments_after, lengths)

    def work() -> bool:
        if create.args.get("exists") and tables.exists(name, cursor.duck):
            # fakesnow would clear the load history of the existing table.
            cursor.answer_status(f"{name.table} already exists, statement succeeded.")
            return False
        make()
        return True

    if cursor.session.transaction.define(written, work):
        _record_lengths(cursor.session.storage, written, lengths, created=True)


def _making(
    cursor: Cursor, create: exp.Create, name: TableName, params: Values | None, after: list[str], lengths: Lengths
) -> Callable[[], None]:
    """A function that creates a table or view from its own definition. Adds its VARCHAR lengths to `lengths`."""
    relation = tables.created_relation(create, name)
    not_null = [f"ALTER TABLE {relation} ALTER {c} SET NOT NULL" for c in tables.non_null_columns(create)]
    counts_rows = create.kind == "TABLE" and create.args.get("expression") is not None
    parts = cursor.translated(create, params)
    lengths += take_text_lengths(parts)
    drop_table_comment(parts)

    def make() -> None:
        cursor.run_translated(parts, params)
        status = cursor.rows.column(0)[0].as_py()
        tables.in_order([*not_null, *after], cursor.duck)()
        if counts_rows:
            cursor.rows_created = cursor.duck.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
        cursor.answer_status(status)

    return make


def _record_lengths(storage: Storage, written: Iterable[TableName], lengths: Lengths, *, created: bool = False) -> None:
    """Store the n of VARCHAR(n), which DuckDB drops. `created`: forget those of an earlier table of that name."""
    with storage.cursor() as duck:
        duck.begin()
        for name in written:
            if created:
                where = "ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?"
                duck.execute(f"DELETE FROM {TEXT_LENGTHS} WHERE {where}", list(name))
            for column, length in lengths:
                if not created or length < results.TEXT_LENGTH:
                    values = [*name, column, length, min(length * 4, results.TEXT_LENGTH)]
                    duck.execute(f"INSERT OR REPLACE INTO {TEXT_LENGTHS} VALUES (?, ?, ?, ?, ?, ?)", values)
        duck.commit()


def _create_database(cursor: Cursor, create: exp.Create) -> None:
    session, name = cursor.session, names.stored(create.find(exp.Identifier))
    session.transaction.commit()
    made = session.storage.create_database(name)
    if not made and not create.args.get("exists"):
        raise already_exists(name)
    session.use(name, "PUBLIC")
    cursor.answer_status(f"Database {name} successfully created.")


def _drop_database(cursor: Cursor, drop: exp.Drop) -> None:
    session, name = cursor.session, names.stored(drop.find(exp.Identifier))
    session.transaction.commit()
    if name in session.storage.databases():
        if session.database == name:
            session.use_none()
        session.storage.drop_database(name)
    elif not drop.args.get("exists"):
        raise does_not_exist("Database", name)
    cursor.answer_status(f"{name} successfully dropped.")


def _drop_catalogued(cursor: Cursor, drop: exp.Drop, kind: str) -> None:
    """DROP STAGE, which deletes its files, and DROP FILE FORMAT; fakesnow can only create them."""
    session = cursor.session
    session.transaction.commit()
    (name,) = cursor.written(drop)
    sql = f"FROM {STAGES if kind == 'STAGE' else FILE_FORMATS} WHERE database_name = ? AND schema_name = ? AND name = ?"
    if cursor.duck.execute(f"SELECT 1 {sql}", list(name)).fetchone():
        cursor.duck.execute(f"DELETE {sql}", list(name))
        if kind == "STAGE":
            session.storage.drop_stages(*name)
    elif not drop.args.get("exists"):
        raise does_not_exist(kind.capitalize(), str(name))
    cursor.answer_status(f"{name.table} successfully dropped.")
