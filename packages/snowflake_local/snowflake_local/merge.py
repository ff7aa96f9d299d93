"""MERGE by DuckDB's own.

fakesnow splits a MERGE into a temporary table and several statements, which is not atomic, and a source with two rows
for one key quietly takes one of them. DuckDB's is one statement and refuses such a source, as Snowflake does.
"""

from collections import Counter

from sqlglot import exp

ACTIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def to_duckdb(merge: exp.Expr) -> str:
    """DuckDB's statement for an already transformed MERGE; it returns one row for each row it touched."""
    for clause in merge.args["whens"].expressions:
        if isinstance(then := clause.args.get("then"), exp.Update):
            for assignment in then.expressions:
                # DuckDB takes no alias on the left of SET.
                if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Column):
                    assignment.this.set("table", None)
    return merge.sql(dialect="duckdb") + " RETURNING merge_action"


def answer(merge: exp.Expr, actions: list[str]) -> tuple[str, int]:
    """(query of Snowflake's result: a count for each action that the statement names, rows touched)."""
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
