"""MERGE with DuckDB's own MERGE.

fakesnow splits a MERGE into a temporary table and several statements. That is not atomic, and of two source rows with
the same key it silently takes one. DuckDB's MERGE is one statement and refuses such a source, as Snowflake does.
"""

from collections import Counter

from sqlglot import exp

ACTIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def to_duckdb(merge: exp.Expr) -> str:
    """DuckDB's statement for a translated MERGE. It returns one row for each row that it changed."""
    for clause in merge.args["whens"].expressions:
        if isinstance(then := clause.args.get("then"), exp.Update):
            for assignment in then.expressions:
                # DuckDB accepts no alias on the left of SET.
                if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Column):
                    assignment.this.set("table", None)
    return merge.sql(dialect="duckdb") + " RETURNING merge_action"


def answer(merge: exp.Expr, actions: list[str]) -> tuple[str, int]:
    """(query for Snowflake's result: a count for each action in the statement, number of changed rows)."""
    counted = Counter(actions)
    named = {_action(clause) for clause in merge.args["whens"].expressions}
    counts = ", ".join(
        f'{counted[action]}::BIGINT AS "number of rows {word}"' for action, word in ACTIONS.items() if action in named
    )
    return f"SELECT {counts}", len(actions)


def _action(clause: exp.Expr) -> str:
    then = clause.args.get("then")
    if isinstance(then, exp.Insert):
        return "INSERT"
    return "UPDATE" if isinstance(then, exp.Update) else "DELETE"
