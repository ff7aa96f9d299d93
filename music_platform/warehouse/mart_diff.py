"""The marts of two versions of the models over one RAW, compared row by row.

Each version is built into a database of its own that has the same RAW; this module makes those databases and compares
what was built. Does not belong here: running dbt, and where the versions come from.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_platform.warehouse.schema import tables

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Ledgers that describe the builds of one database, which a new one begins empty.
BUILD_LEDGERS = (
    "OPS.BUILDS", "OPS.TOUCHED_DATES", "OPS.DISPLACED_EVENTS", "OPS.CHECKED_BATCHES", "OPS.CHECK_RESULTS",
    "OPS.MODEL_VERSIONS",
)  # fmt: skip
#: Relative difference of two floating-point numbers that is none: the order of a sum is nobody's promise.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Mart:
    """A mart of one version: its columns and their types in order, and the columns of its key, if a test names one."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class MartDiff:
    """How a mart differs. Columns are added, removed or of another type; rows are counted."""

    name: str
    #: 'both', or the only version that has it: 'base' or 'head'.
    where: str = "both"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    base_rows: int = 0
    head_rows: int = 0
    #: Rows whose key only one version has; without a common key, rows that only one version has as they are.
    only_base: int = 0
    only_head: int = 0
    #: Column → rows of both versions in which it differs.
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether nobody who reads the mart could tell the versions apart."""
        columns = (*self.added, *self.removed, *self.retyped)
        return self.where == "both" and not columns and not self.only_base and not self.only_head and not self.changed


def marts_of(manifest: Path) -> dict[str, tuple[str, ...]]:
    """Name of each mart in dbt's manifest → columns of its key, by its test `unique_key`; none if it has no such."""
    nodes: dict[str, Any] = json.loads(manifest.read_text())["nodes"]
    found = {
        node["name"]: ()
        for node in nodes.values()
        if node["resource_type"] == "model" and node["schema"].upper() == "GOLD"
    }
    keys: dict[str, tuple[str, ...]] = dict(found)
    for node in nodes.values():
        tested = node.get("attached_node")
        if (node.get("test_metadata") or {}).get("name") == "unique_key" and tested:
            name = nodes[tested]["name"]
            if name in keys:
                keys[name] = tuple(column.lower() for column in node["test_metadata"]["kwargs"]["columns"])
    return keys


def copy_raw(session: "SnowflakeConnection", source: str, target: str) -> None:
    """Give the database `target`, which is provisioned, the RAW of `source` as it is now."""
    cursor = session.cursor()
    for name in tables():
        if name not in BUILD_LEDGERS:
            cursor.execute(f"CREATE OR REPLACE TABLE {target}.{name} CLONE {source}.{name}")


def read_marts(session: "SnowflakeConnection", database: str, keys: Mapping[str, tuple[str, ...]]) -> dict[str, Mart]:
    """The marts of a database with their columns, as the warehouse has them."""
    cursor = session.cursor()
    cursor.execute(
        f"SELECT LOWER(table_name), LOWER(column_name), data_type FROM {database}.INFORMATION_SCHEMA.COLUMNS "
        "WHERE table_schema = 'GOLD' ORDER BY table_name, ordinal_position"
    )
    columns: dict[str, dict[str, str]] = {}
    for table, column, data_type in cursor.fetchall():
        columns.setdefault(str(table), {})[str(column)] = str(data_type)
    return {name: Mart(name, columns[name], key) for name, key in keys.items() if name in columns}


def compare(session: "SnowflakeConnection", base: str, head: str, before: Mapping[str, Mart],
            after: Mapping[str, Mart]) -> list[MartDiff]:  # fmt: skip
    """Compare the marts of the databases `base` and `head`."""
    found = []
    for name in sorted({*before, *after}):
        if name not in after or name not in before:
            found.append(MartDiff(name, where="base" if name in before else "head"))
            continue
        found.append(_compare_one(session, f"{base}.GOLD.{name}", f"{head}.GOLD.{name}", before[name], after[name]))
    return found


def _compare_one(session: "SnowflakeConnection", base: str, head: str, before: Mart, after: Mart) -> MartDiff:
    common = [name for name in after.columns if name in before.columns]
    retyped = [name for name in common if before.columns[name] != after.columns[name]]
    comparable = [name for name in common if name not in retyped]
    cursor = session.cursor()
    cursor.execute(f"SELECT (SELECT COUNT(*) FROM {base}), (SELECT COUNT(*) FROM {head})")
    base_rows, head_rows = (int(count) for count in cursor.fetchone() or (0, 0))
    changed: dict[str, int] = {}
    if before.key and before.key == after.key and set(before.key) <= set(comparable):
        cursor.execute(by_key(base, head, before.key, {name: after.columns[name] for name in comparable}))
        only_base, only_head, *counts = (int(count or 0) for count in cursor.fetchone() or ())
        values = [name for name in comparable if name not in before.key]
        changed = {name: count for name, count in zip(values, counts, strict=True) if count}
    else:
        cursor.execute(by_row(base, head, comparable))
        only_base, only_head = (int(count or 0) for count in cursor.fetchone() or ())
    return MartDiff(
        before.name,
        added=tuple(name for name in after.columns if name not in before.columns),
        removed=tuple(name for name in before.columns if name not in after.columns),
        retyped=tuple(retyped),
        base_rows=base_rows,
        head_rows=head_rows,
        only_base=only_base,
        only_head=only_head,
        changed=changed,
    )


def by_key(base: str, head: str, key: Iterable[str], columns: Mapping[str, str]) -> str:
    """One row: rows only in base, only in head, and of each other column the rows of both in which it differs."""
    key = list(key)
    values = [name for name in columns if name not in key]
    counts = [f"COUNT_IF(a.there AND b.there AND {_differs(name, columns[name])})" for name in values]
    on = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in key)
    listed = ", ".join(columns)
    return (
        f"SELECT {', '.join(['COUNT_IF(b.there IS NULL)', 'COUNT_IF(a.there IS NULL)', *counts])} "
        f"FROM (SELECT {listed}, TRUE AS there FROM {base}) AS a "
        f"FULL OUTER JOIN (SELECT {listed}, TRUE AS there FROM {head}) AS b ON {on}"
    )


def by_row(base: str, head: str, columns: Iterable[str]) -> str:
    """One row: rows that only base has, and rows that only head has, each as often as it has them more."""
    listed = ", ".join(columns)
    counted = f"SELECT {listed}, 1 AS here, 0 AS there FROM {base} UNION ALL SELECT {listed}, 0, 1 FROM {head}"
    more = f"SELECT {listed}, SUM(here) - SUM(there) AS more FROM ({counted}) AS both_sides GROUP BY {listed}"
    return f"SELECT SUM(GREATEST(more, 0)), SUM(GREATEST(-more, 0)) FROM ({more}) AS counted"


def _differs(name: str, data_type: str) -> str:
    unequal = f"a.{name} IS DISTINCT FROM b.{name}"
    if data_type.upper() not in ("FLOAT", "DOUBLE", "REAL"):
        return unequal
    close = f"ABS(a.{name} - b.{name}) <= {TOLERANCE} * GREATEST(ABS(a.{name}), ABS(b.{name}))"
    return f"({unequal} AND NOT COALESCE({close}, FALSE))"


def report(diffs: Iterable[MartDiff], markdown: bool = False) -> str:
    """The comparison as text, or as Markdown for a comment: each mart that differs, and how many do not."""
    diffs = list(diffs)
    different = [diff for diff in diffs if not diff.is_same]
    same = f"{len(diffs) - len(different)} of {len(diffs)} marts are the same"
    if not different:
        return f"{same}." if not markdown else f"**{same}.**"
    if markdown:
        lines = [f"**{same}.**", "", "| mart | rows | what differs |", "|---|---|---|"]
        rows = [f"| `{d.name}` | {d.base_rows:,} → {d.head_rows:,} | {'; '.join(sentences(d))} |" for d in different]
        return "\n".join([*lines, *rows])
    lines = [f"{same}. The others:"]
    for diff in different:
        lines.append(f"{diff.name}: {diff.base_rows:,} → {diff.head_rows:,} rows")
        lines += [f"  {sentence}" for sentence in sentences(diff)]
    return "\n".join(lines)


def sentences(diff: MartDiff) -> list[str]:
    """How a mart differs, in words."""
    if diff.where != "both":
        return ["the mart is new" if diff.where == "head" else "the mart is gone"]
    found = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("columns added", diff.added), ("columns removed", diff.removed), ("another type", diff.retyped),
        )
        if names
    ]  # fmt: skip
    found += [f"{diff.only_base:,} rows only before"] if diff.only_base else []
    found += [f"{diff.only_head:,} rows only now"] if diff.only_head else []
    return found + [f"{column} differs in {count:,} rows" for column, count in diff.changed.items()]
