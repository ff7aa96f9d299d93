"""A lint of the SQL that the platform sends: no constructs in which Snowflake and the local warehouse differ
(packages/snowflake_local/README.md lists them), and none that are dangerous. It reads sqlglot's syntax trees.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

import sqlglot
from sqlglot import exp

from music_platform.warehouse.schema import tables
from snowflake_local.server import LONGEST_SHOWN

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of each statement that it keeps as text

#: Functions by the name that is written, and what to write instead.
FUNCTIONS = {
    **dict.fromkeys(
        ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "GETDATE", "LOCALTIME", "LOCALTIMESTAMP",
         "SYSTIMESTAMP", "SYSDATETIME"],
        "is in the account's time zone: SYSDATE()",
    ),
    **dict.fromkeys(
        ["DAYOFWEEK", "WEEK", "WEEKOFYEAR", "YEAROFWEEK", "DAY_OF_WEEK", "DAYNAME"],
        "depends on WEEK_START, WEEK_OF_YEAR_POLICY or the language: DAYOFWEEKISO, WEEKISO, YEAROFWEEKISO",
    ),
    "CONVERT_TIMEZONE": "times are UTC everywhere",
    "TYPEOF": "a VARIANT's type has another name locally",
    "COPY_HISTORY": "not there locally: OPS.LOADS",
    "RANDOM": "a rebuild must give the same rows",
    "UUID_STRING": "a rebuild must give the same rows",
}  # fmt: skip
#: Parts of a date that depend on WEEK_START.
WEEKS = {"WEEK", "W", "WK", "WOY", "WEEKOFYEAR", "DAYOFWEEK", "DOW", "DW", "WEEKDAY", "YEAROFWEEK"}
#: Types that carry a zone: locally they lose its offset, on Snowflake they show the session's.
ZONED = {exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ}
#: Objects that the local warehouse does not have.
ABSENT_KINDS = {"STREAM", "TASK", "PIPE", "PROCEDURE", "FUNCTION", "DYNAMIC TABLE", "EXTERNAL TABLE"}
#: Options of COPY that differ or lose data.
COPY_OPTIONS = ("PATTERN", "PURGE = TRUE", "ON_ERROR = CONTINUE", "ON_ERROR = 'CONTINUE'", "SKIP_FILE", "METADATA$")
#: Words that begin statements which sqlglot keeps as text and which are of no use locally.
ABSENT_STATEMENTS = ("INSERT ALL", "INSERT FIRST", "UNDROP", "CREATE STREAM", "CREATE TASK", "CREATE PIPE",
                     "CREATE DYNAMIC", "EXECUTE ")  # fmt: skip


def problems(text: str) -> list[str]:
    """What is wrong with one or more statements; in words for whoever wrote them."""
    return list(dict.fromkeys(_problems(text)))


def _problems(text: str) -> Iterator[str]:
    for word in ABSENT_STATEMENTS:
        if text.lstrip().upper().startswith(word):
            yield f"{word.strip()}: the local warehouse has none"
    for statement in sqlglot.parse(text, read="snowflake"):
        if statement is None:
            continue
        for node in statement.walk():
            for rule in RULES:
                if said := rule(node):
                    yield f"{said}: {node.sql(dialect='snowflake', comments=False)[:120]}"


def _function(node: exp.Expr) -> str | None:
    if not isinstance(node, exp.Func) or (isinstance(node, exp.CurrentTimestamp) and node.args.get("sysdate")):
        return None
    if isinstance(node, exp.ConvertTimezone) and node.args.get("source_tz") is not None:
        return None  # The time is of a zone that is named, not of the session's.
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    written = node.sql(dialect="snowflake", comments=False).split("(")[0].upper()
    for known in (written, name):
        if known in FUNCTIONS and not written.endswith("ISO"):
            return f"{known} {FUNCTIONS[known]}"
    return None


def _week(node: exp.Expr) -> str | None:
    if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc, exp.DateDiff, exp.Extract)):
        unit = node.args.get("unit") or (node.this if isinstance(node, exp.Extract) else None)
        if unit is not None and unit.name.upper().partition("(")[0] in WEEKS:
            return "a week depends on WEEK_START: ISO functions, or days"
    return None


def _zoned(node: exp.Expr) -> str | None:
    return "a type with a time zone: TIMESTAMP_NTZ" if isinstance(node, exp.DataType) and node.this in ZONED else None


def _division(node: exp.Expr) -> str | None:
    """1/0 is infinity locally, and an error on Snowflake."""
    if not isinstance(node, exp.Div):
        return None
    by = node.expression.unnest()
    if isinstance(by, (exp.Nullif, exp.Greatest)) or (isinstance(by, exp.Literal) and float(by.name) != 0):
        return None
    asked = by.sql(dialect="snowflake", comments=False)
    for guard in (node.find_ancestor(exp.If), node.find_ancestor(exp.Case)):
        conditions = [guard.this] if isinstance(guard, exp.If) else [c.this for c in guard.args["ifs"]] if guard else []
        if any(asked in condition.sql(dialect="snowflake", comments=False) for condition in conditions if condition):
            return None
    return "a division by what may be 0: NULLIF, or ask before"


def _truncated(node: exp.Expr) -> str | None:
    """Of a DATE it is a timestamp locally, and a DATE on Snowflake."""
    truncated = isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)) and not isinstance(node.parent, exp.Cast)
    if truncated and node.args["unit"].name.upper() not in ("HOUR", "MINUTE", "SECOND"):
        return "DATE_TRUNC without a cast of its result"
    return None


def _quoted(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Identifier) and node.quoted and node.name != node.name.upper() and _names_data(node):
        return "a quoted name in lower case, which only Snowflake distinguishes from upper case"
    return None


def _names_data(node: exp.Identifier) -> bool:
    """Whether it is a column or table of ours; SHOW's columns can only be had in quotes."""
    root = node.root()
    return not any("RESULT_SCAN" in table.sql().upper() for table in root.find_all(exp.TableFromRows, exp.Table))


def _time_travel(node: exp.Expr) -> str | None:
    return "time travel: not there locally" if isinstance(node, exp.HistoricalData) else None


def _defines(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Create):
        kind = str(node.args.get("kind") or "").upper()
        if kind in ABSENT_KINDS:
            return f"{kind}: the local warehouse has none, or another"
        made = node.this.find(exp.Table) if isinstance(node.this, exp.Expr) else None
        if node.args.get("replace") and kind == "TABLE" and made is not None and _is_kept(made):
            return "CREATE OR REPLACE of a table whose rows are never deleted"
    if isinstance(node, exp.Drop) and any(map(_is_kept, node.find_all(exp.Table))):
        return "DROP of a table whose rows are never deleted"
    if isinstance(node, exp.TruncateTable):
        return "TRUNCATE commits what is open: DELETE"
    return None


def _is_kept(table: exp.Table) -> bool:
    return f"{table.db}.{table.name}".upper() in tables()


def _copy(node: exp.Expr) -> str | None:
    if not isinstance(node, exp.Copy):
        return None
    text = node.sql(dialect="snowflake", comments=False).upper().replace("=", " = ").replace("  ", " ")
    return next((f"COPY with {option}" for option in COPY_OPTIONS if option in text), None)


Rule = Callable[[exp.Expr], str | None]
RULES: tuple[Rule, ...] = (
    _function, _week, _zoned, _division, _truncated, _quoted, _time_travel, _defines, _copy,
)  # fmt: skip


def problems_of(statements: Iterable[str]) -> list[str]:
    """The same of many statements.

    Left out are those that the local warehouse has not shown to their end, and dbt's own around its unit tests.
    """
    found: dict[str, None] = {}
    for statement in dict.fromkeys(statements):
        if len(statement) < LONGEST_SHOWN and "actual_or_expected" not in statement:
            found |= dict.fromkeys(problems(statement))
    return list(found)
