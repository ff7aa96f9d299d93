"""Column lineage: which columns of which tables a model's column is derived from.

It is read from the SQL that dbt compiled and the columns in the project's YAML contracts. That takes no query and a few
milliseconds per model, while dagster-dbt's `fetch_column_metadata` opens a session to describe each table and its
parents.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

from music_platform.contracts.events import SNOWFLAKE_TYPES
from music_platform.warehouse.schema import tables

DIALECT = "snowflake"
#: Where Dagster looks for the lineage in an asset's metadata.
COLUMN_LINEAGE = "dagster/column_lineage"


def table_schemas(manifest: Mapping[str, Any]) -> MappingSchema:
    """Columns of every node of the project and of the platform's own tables, which macros read without `ref`."""
    schema = MappingSchema(dialect=DIALECT)
    for name, (_, own) in tables().items():
        schema.add_table(name, {c.column: SNOWFLAKE_TYPES[c.sql_type] for c in own}, dialect=DIALECT)
    for node in _relations(manifest):
        columns = {name: column.get("data_type") or "varchar" for name, column in node["columns"].items()}
        if columns and node["resource_type"] != "source":
            schema.add_table(_table(node), columns, dialect=DIALECT)
    return schema


def asset_keys(manifest: Mapping[str, Any]) -> dict[tuple[str, str], dg.AssetKey]:
    """(schema, table) as Snowflake spells them → asset key."""
    return {
        (node["schema"].upper(), node["name"].upper()): dg.AssetKey([node["schema"].lower(), node["name"]])
        for node in _relations(manifest)
    }


def column_sources(
    sql: str, columns: list[str], schema: MappingSchema, keys: Mapping[tuple[str, str], dg.AssetKey]
) -> dg.TableColumnLineage:
    """For each column, the columns of other tables that its value comes from; none for a constant or COUNT(*).

    A star inside a function, as in OBJECT_CONSTRUCT(*), stands for every column of every table that the query reads.
    Raises SqlglotError if the SQL names a column that no table of the schema has.
    """
    query = parse_one(sql, dialect=DIALECT)
    for relation in query.find_all(exp.Table):
        # The manifest may have been made for another database than the build's.
        relation.set("catalog", None)
    query = qualify(query, schema=schema, dialect=DIALECT)
    scope = build_scope(query)
    everything = {
        dg.TableColumnDep(key, column.lower())
        for table in query.find_all(exp.Table)
        if (key := keys.get((table.db.upper(), table.name.upper())))
        for column in schema.column_names(table)
    }
    found: dict[str, list[dg.TableColumnDep]] = {}
    for column in columns:
        deps = set()
        # All columns share the tree, so it is neither copied nor trimmed.
        tree = lineage(column.upper(), query, schema, dialect=DIALECT, scope=scope, copy=False, trim_selects=False)
        for node in tree.walk():
            if _takes_every_column(node.expression):
                deps |= everything
                continue
            table = None if node.downstream else node.expression.find(exp.Table)
            key = keys.get((table.db.upper(), table.name.upper())) if table else None
            if key and (name := exp.to_column(node.name).name.lower()) != "*":
                deps.add(dg.TableColumnDep(key, name))
        found[column] = sorted(deps, key=lambda dep: (dep.asset_key.path, dep.column_name))
    return dg.TableColumnLineage(found)


def _takes_every_column(expression: exp.Expr) -> bool:
    """Whether a function in it is given a star. COUNT(*) takes no value of any column."""
    return any(
        star.find_ancestor(exp.Func) is not None and not isinstance(star.parent, exp.Count)
        for star in expression.find_all(exp.Star)
    )


class ColumnLineage:
    """Column lineage of the models of one dbt invocation."""

    def __init__(self, manifest: Mapping[str, Any], target: Path) -> None:
        self._manifest = manifest
        self._target = target
        self._schema = table_schemas(manifest)
        self._keys = asset_keys(manifest)
        self._found: dict[str, dg.TableColumnLineage | None] = {}

    def table(self, unique_id: str) -> str:
        """Schema and name of a node's table."""
        return _table(self._manifest["nodes"][unique_id])

    def of(self, unique_id: str) -> dg.TableColumnLineage | None:
        """Lineage of a model; None for a node without compiled SQL, such as a seed, or if its SQL cannot be parsed.

        Computed once: later builds differ in the dates in their SQL, not in columns.
        """
        if unique_id not in self._found:
            self._found[unique_id] = self._find(unique_id)
        return self._found[unique_id]

    def _find(self, unique_id: str) -> dg.TableColumnLineage | None:
        node = self._manifest["nodes"][unique_id]
        compiled = self._target / "compiled" / node["package_name"] / node["original_file_path"]
        if node["resource_type"] != "model" or not compiled.exists():
            return None
        try:
            return column_sources(compiled.read_text(), list(node["columns"]), self._schema, self._keys)
        except SqlglotError as error:
            # Missing lineage must not fail a build.
            dg.get_dagster_logger().warning(f"{node['name']}: no column lineage. {error}")
            return None


def _table(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node['name']}"


def _relations(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nodes = [*manifest["sources"].values(), *manifest["nodes"].values()]
    return [node for node in nodes if node["resource_type"] in ("source", "seed", "model") and node["relation_name"]]
