"""Loading from stages: COPY, and INFER_SCHEMA, with which write_pandas creates its tables."""

import sqlglot
from sqlglot import exp

from snowflake_local import _fakesnow
from snowflake_local.binds import Values
from snowflake_local.errors import unsupported
from snowflake_local.quoting import literal
from snowflake_local.sessions import Session
from snowflake_local.stages import staged_files, values_query

#: Characters of a VARCHAR, and the beginning of the error where a text has more.
MAX_TEXT = 16_777_216
TOO_LONG = "text too long for a VARCHAR:"


def patch_copy() -> None:
    """Make fakesnow read the source of a COPY with this module's functions."""
    _fakesnow.replace_copy_functions(_source_urls, _columns_of_file)


def _source_urls(source: str, files: list[str]) -> list[str]:
    """COPY … FILES from an internal stage. fakesnow takes its path for a URL and misses the scheme."""
    if _fakesnow.is_internal_stage(source):
        return [f"{source.rstrip('/')}/{file}" for file in files]
    return _fakesnow.external_urls(source, files)


def _columns_of_file(expr: exp.Select) -> exp.Select:
    """`$1:name`, anywhere in a transformation, is the file's column of that name."""
    for dollar in list(expr.find_all(exp.Parameter)):
        extract = dollar.parent
        if dollar.name == "1" and isinstance(extract, (exp.JSONExtract, exp.JSONExtractScalar)):
            keys = [key.this for key in extract.expression.find_all(exp.JSONPathKey)]
            if len(keys) != 1:
                raise unsupported("COPY of a nested field ($1:a.b); use $1:a")
            extract.replace(exp.column(exp.to_identifier(keys[0], quoted=True)))
    for cast in list(expr.find_all(exp.Cast)):
        if cast.to.this in exp.DataType.TEXT_TYPES and isinstance(column := cast.this.unnest(), exp.Column):
            cast.replace(_bounded(cast, column))
    return expr


def _bounded(text: exp.Cast, column: exp.Column) -> exp.Expr:
    """The column as text, or an error where Snowflake's VARCHAR does not hold it. DuckDB's has no limit."""
    # The bytes are known without counting; only where they are too many does it matter how many characters they make.
    too_long = exp.and_(
        *(exp.GT(this=exp.Anonymous(this=name, expressions=[column.copy()]), expression=exp.Literal.number(MAX_TEXT))
          for name in ("strlen", "length"))
    )  # fmt: skip
    refused = exp.Anonymous(this="error", expressions=[exp.Literal.string(f"{TOO_LONG} {column.name}")])
    return exp.Case().when(too_long, refused).else_(text.copy())


#: Options of COPY that fakesnow supports.
KNOWN_OPTIONS = ("FILE_FORMAT", "FILES", "FORCE", "MATCH_BY_COLUMN_NAME", "ON_ERROR", "PURGE")


def read_options(copy: exp.Copy) -> None:
    """Rewrite the parts of a COPY that fakesnow misreads, and refuse options that it does not support.

    FORCE = FALSE and PURGE = FALSE are removed, because it only checks whether the word is there. A quoted source
    ('@"STAGE"/path', as write_pandas sends it) is a stage, not a URL.
    """
    for parameter in copy.args.get("params") or []:
        if parameter.this.name.upper() not in KNOWN_OPTIONS:
            raise unsupported(f"COPY with {parameter.this.name.upper()}")
    for table in copy.find_all(exp.Table):
        if isinstance(table.this, exp.Literal) and table.this.name.startswith("@"):
            table.set("this", exp.Var(this=table.this.name))
    copy.set("params", [
        p for p in copy.args.get("params") or []
        if not (p.this.name.upper() in ("FORCE", "PURGE") and _is_false(p.args.get("expression")))
    ])  # fmt: skip


def _is_false(value: object) -> bool:
    return (isinstance(value, exp.Boolean) and value.this is False) or (
        isinstance(value, exp.Expr) and value.name.upper() == "FALSE"
    )


#: DuckDB's names for Parquet's types → Snowflake's names, as INFER_SCHEMA returns them.
INFERRED = {
    "DOUBLE": "REAL", "FLOAT": "REAL", "VARCHAR": "TEXT", "BLOB": "BINARY", "BOOLEAN": "BOOLEAN", "DATE": "DATE",
    "TIME": "TIME", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ",
}  # fmt: skip


def infer_schema(node: exp.Expr, session: Session, params: Values | None) -> exp.Expr:
    """TABLE(INFER_SCHEMA(LOCATION => …)) over Parquet files, as a query of literal rows."""
    if not (
        isinstance(node, exp.TableFromRows)
        and isinstance(call := node.this, exp.Anonymous)
        and call.name.upper() == "INFER_SCHEMA"
    ):
        return node
    arguments = {a.this.name.upper(): a.expression for a in call.expressions if isinstance(a, exp.Kwarg)}
    location = arguments["LOCATION"]
    if isinstance(location, exp.Placeholder):
        reference = str(params[0]) if isinstance(params, list) else ""
        if isinstance(params, list):
            params.clear()
    else:
        reference = location.name
    files = [str(file) for _, file in staged_files(reference, session)]
    described = session.duck.execute("DESCRIBE SELECT * FROM read_parquet(?)", [files]).fetchall()
    rows = [f"({literal(name)}, {literal(_inferred(kind))}, true)" for name, kind, *_ in described]
    return sqlglot.parse_one(f"({values_query(rows, 'COLUMN_NAME', 'TYPE', 'NULLABLE')})", read="duckdb")


def _inferred(kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return kind.replace("DECIMAL", "NUMBER")
    if kind.endswith("]"):
        return "ARRAY"
    if kind.startswith(("STRUCT", "MAP")):
        return "VARIANT"
    if kind.startswith("TIMESTAMP") and kind not in INFERRED:
        return "TIMESTAMP_NTZ"
    return INFERRED.get(kind, "NUMBER(38, 0)")
