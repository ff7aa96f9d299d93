"""No personal value reaches the reading role under any column's name: masking follows the lineage of columns."""

import copy
import os
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlglot
import yaml
from sqlglot import exp

from music_platform.contracts.events import FIELDS, FIRST_RAW_VERSION
from music_platform.environment import project_root
from music_platform.orchestration.assets.lineage import DIALECT, asset_keys, column_sources, table_schemas
from music_platform.warehouse.schema import MASKING_POLICIES, tables
from tests.support.warehouse import FLAGS, QUIET, manifest

#: Schemas of which the reading role sees something.
READABLE = ("silver", "gold", "ops")
BY_NAME = yaml.safe_load((project_root() / "dbt_project" / "dbt_project.yml").read_text())["vars"]["personal_columns"]

#: A column: (schema, table), column, in lower case.
Column = tuple[tuple[str, ...], str]
Project = Mapping[str, Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest, each model with the SQL that makes its table (`sql`), compiled without a warehouse."""
    from dbt.adapters.snowflake.impl import SnowflakeAdapter
    from dbt.cli.main import dbtRunner

    target = tmp_path_factory.mktemp("target")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SnowflakeAdapter, "list_relations_without_caching", lambda *_: [])
        patched.setitem(os.environ, "DBT_TARGET_PATH", str(target))
        patched.setitem(os.environ, "DBT_LOG_PATH", str(target))
        result = dbtRunner(manifest()).invoke(["compile", "--no-populate-cache", "--no-introspect", *FLAGS, *QUIET])
    assert result.success, result.exception
    found: dict[str, Any] = manifest().writable_manifest().to_dict()
    for node in models_of(found):
        node["sql"] = Path(target, "compiled", "music", node["original_file_path"]).read_text()
    return found


def models_of(project: Project) -> list[dict[str, Any]]:
    """Its models, each after those that it reads."""
    models = {name: node for name, node in project["nodes"].items() if node["resource_type"] == "model"}
    order = TopologicalSorter({name: node["depends_on"]["nodes"] for name, node in models.items()}).static_order()
    return [models[name] for name in order if name in models]


def keys_of(project: Project) -> dict[tuple[str, str], dg.AssetKey]:
    """Every table that a model may read, those without an asset too."""
    own = (name.split(".") for name in tables())
    return {(s, t): dg.AssetKey([s.lower(), t.lower()]) for s, t in own} | asset_keys(project)


def is_masked(node: Mapping[str, Any], column: str) -> bool:
    """Whether the build puts a policy on it (dbt_project/macros/readers.sql)."""
    return (meta_of(node, column).get("masking_policy") or BY_NAME.get(column)) is not None


def meta_of(node: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The meta of a column."""
    found: dict[str, Any] = node["columns"][column]["config"]["meta"]
    return found


def shown_to_readers(project: Project) -> dict[Column, list[Column]]:
    """Columns of readable tables that hold something personal, or made from it, in clear; with where it is from.

    A view shows what the tables below it show.
    """
    schema, keys = table_schemas(project), keys_of(project)
    personal: set[Column] = {
        (tuple(name.lower().split(".")), column.column)
        for name, (_, columns) in tables().items()
        for column in columns
        if column.personal
    }
    shown = {}
    for node in models_of(project):
        table = (node["schema"].lower(), node["name"])
        lineage = column_sources(node["sql"], list(node["columns"]), schema, keys).deps_by_column
        for column, sources in lineage.items():
            found = [(tuple(s.asset_key.path), s.column_name) for s in sources]
            behind = [source for source in found if source in personal]
            if not behind or meta_of(node, column).get("open_because"):
                continue
            personal.add((table, column))
            is_table = node["config"]["materialized"] != "view"
            if is_table and table[0] in READABLE and not is_masked(node, column):
                shown[table, column] = behind
    return shown


def test_no_readable_column_has_a_personal_value_in_clear(project: Project) -> None:
    assert shown_to_readers(project) == {}


def test_what_reads_a_table_that_lineage_does_not_know_is_found_out(project: Project) -> None:
    known = keys_of(project)
    for node in models_of(project):
        read = {
            (t.db.upper(), t.name.upper()) for t in sqlglot.parse_one(node["sql"], dialect=DIALECT).find_all(exp.Table)
        }
        assert {table for table in read if table[0]} <= known.keys(), node["name"]


def test_a_column_that_is_open_says_why_and_would_be_personal_otherwise(project: Project) -> None:
    without = copy.deepcopy(project)
    reasons = {}
    for node in models_of(without):
        for name, column in node["columns"].items():
            if reason := column["config"]["meta"].pop("open_because", None):
                reasons[(node["schema"].lower(), node["name"]), name] = reason
    assert reasons.keys() == {
        (("gold", "location_metrics_daily"), "city"),
        (("gold", "location_metrics_daily"), "country"),
        (("gold", "location_metrics_daily"), "state"),
        (("gold", "artist_audience_daily"), "top_city"),
        (("silver", "dim_locations"), "city"),
        *((("staging", "stg_events"), field.column) for field in FIELDS if field.since > FIRST_RAW_VERSION),
    }
    assert all(len(reason.split()) > 4 for reason in reasons.values())
    shown = shown_to_readers(without)
    # A view of staging is not readable itself, but the tables made of it are.
    open_now = {*shown, *((table, column) for table, column in reasons if any(c == column for _, c in shown))}
    assert [column for column in reasons if column not in open_now and column[1] not in BY_NAME] == []


@pytest.mark.parametrize(
    ("model", "before", "after"),
    [
        ("dim_users", "periods.valid_to is null as is_current", "people.last_name is null as is_current"),
        ("listens", "events.duration,", "to_json(array_construct(events.city, events.zip)) as duration,"),
    ],
)
def test_a_personal_value_under_another_name_is_found(project: Project, model: str, before: str, after: str) -> None:
    changed = copy.deepcopy(project)
    (node,) = [node for node in models_of(changed) if node["name"] == model]
    assert before in node["sql"]
    node["sql"] = node["sql"].replace(before, after, 1)
    assert {table for (_, table), _ in shown_to_readers(changed)} >= {model}


def test_what_is_made_of_user_states_and_extra_was_open_and_is_not(project: Project) -> None:
    """The cases that were found: a JSON array of names and places, and fields that nobody has classified."""
    changed = copy.deepcopy(project)
    nodes = {node["name"]: node for node in models_of(changed)}
    nodes["user_states"]["columns"]["said"]["config"]["meta"].clear()
    assert (("silver", "user_states"), "said") in shown_to_readers(changed)
    assert BY_NAME["extra"] == "PERSONAL_VARIANT"
    assert nodes["music_events"]["config"]["materialized"] == "view"


def test_policies_named_by_models_are_those_of_the_account(project: Project) -> None:
    made = {policy.split(".")[1] for policy in MASKING_POLICIES.values()}
    named = {
        meta["masking_policy"]
        for node in models_of(project)
        for name in node["columns"]
        if "masking_policy" in (meta := meta_of(node, name))
    }
    assert named <= made
    assert set(BY_NAME.values()) <= made
