"""The meta of models: a misspelled key or subject would be silence and stale rows."""

import re
from typing import Any

import sqlglot
from sqlglot import exp

from music_platform.environment import project_root
from music_platform.orchestration.dbt_project import dbt_manifest

#: Subject of touched dates → the model that notes them (docs/explanation/models.md).
NOTED_BY = {
    "rivals": "event_dates", "events": "events", "songs": "song_names", "visitors": "session_users",
    "sessions": "sessions", "listens": "listens", "song_firsts": "song_listeners", "artist_firsts": "artist_listeners",
    "closed": "dim_dates", "hours": "dim_dates", "spine": "dim_dates",
}  # fmt: skip
PERIODS = {"week", "chart_week", "month", "year"}
KEYS = {"subjects", "notes", "after", "spine", "date", "keys", "period", "reference", "tier"}


def models() -> dict[str, dict[str, Any]]:
    """The project's models by name."""
    nodes = dbt_manifest()["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model"}


def below(name: str, among: dict[str, dict[str, Any]]) -> set[str]:
    """Models that a model reads, directly or not."""
    read = {node.split(".")[-1] for node in among[name]["depends_on"]["nodes"] if node.startswith("model.")}
    return read.union(*(below(one, among) for one in read))


def test_every_key_and_value_is_known() -> None:
    for name, model in models().items():
        meta = model["config"]["meta"]
        assert meta.keys() <= KEYS, name
        assert set(meta.get("subjects", [])) <= NOTED_BY.keys(), name
        assert meta.get("period") in PERIODS | {None}, name
        assert meta.get("tier") in {"live", "policy", None}, name
        assert all(isinstance(days, int) for days in meta.get("after", [])), name
        assert set(meta.get("keys", [])) <= {"user_id", "session_id"}, name


def test_a_model_follows_only_what_it_reads() -> None:
    """Dates that a model notes must be there before another one asks for them."""
    found = models()
    for name, model in found.items():
        for subject in model["config"]["meta"].get("subjects", []):
            assert NOTED_BY[subject] in below(name, found), (name, subject)


def test_a_mart_that_says_what_is_complete_is_told_when_it_is() -> None:
    for name, model in models().items():
        if "is_complete" in model["columns"] and model["config"]["materialized"] == "windowed" and name != "dim_dates":
            assert {"closed", "hours"} & set(model["config"]["meta"].get("subjects", [])), name


def test_each_sample_question_is_an_exposure_of_what_it_reads() -> None:
    exposures = [each for each in dbt_manifest()["exposures"].values() if each["type"] == "analysis"]
    declared = {each["name"]: {node.split(".")[-1] for node in each["depends_on"]["nodes"]} for each in exposures}
    read = {}
    for file in (project_root() / "queries").glob("*.sql"):
        text = re.sub(r"(?m)^set \w+ = ", "", file.read_text())
        statements = sqlglot.parse(text, dialect="snowflake")
        named = {cte.alias for statement in statements if statement for cte in statement.find_all(exp.CTE)}
        tables = {table.name for statement in statements if statement for table in statement.find_all(exp.Table)}
        read[file.stem] = tables - named
    assert declared == read


def test_marts_are_public_and_plumbing_is_private() -> None:
    found = models()
    for name, model in found.items():
        layer = model["schema"].lower()
        assert model["access"] == "public" if layer in ("gold", "ops") else model["access"] != "public", name
    read_by: dict[str, set[str]] = {name: set() for name in found}
    nodes = dbt_manifest()["nodes"]
    for reader in nodes.values():
        schema = nodes.get(reader.get("attached_node"), reader)["schema"]
        for node in reader["depends_on"]["nodes"] if reader["resource_type"] in ("model", "test") else ():
            if node.startswith("model."):
                read_by[node.split(".")[-1]].add(schema)
    private = {name for name, model in found.items() if model["access"] == "private"}
    read = {node.split(".")[-1] for model in found.values() for node in model["depends_on"]["nodes"]}
    plumbing = {name for name, layers in read_by.items() if {*layers, found[name]["schema"]} == {"SILVER"}} & read
    assert private == plumbing
