"""The meta of models: a misspelled key or subject would be silence and stale rows."""

from typing import Any

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
        if (
            "is_complete" in model["columns"]
            and model["config"]["materialized"] == "incremental"
            and name != "dim_dates"
        ):
            assert {"closed", "hours"} & set(model["config"]["meta"].get("subjects", [])), name
