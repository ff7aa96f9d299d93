"""What dbt makes is under the home and bounded, and a manifest is of its own home's database."""

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from music_platform.environment import dagster_environment, project_root
from music_platform.home import Home
from music_platform.orchestration import dbt_project
from music_platform.orchestration.dbt_project import (
    KEPT_TARGETS,
    TARGET_SECONDS,
    dbt_manifest,
    project_digest,
    prune_targets,
    unbuilt_ancestors,
)
from music_platform.orchestration.resources import dbt_environment
from music_platform.settings import Settings, get_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield Home(get_settings().home)
    get_settings.cache_clear()


def test_every_invocation_s_folder_is_pruned_whatever_op_made_it(home: Home) -> None:
    now = time.time()
    names = [f"{op}-{n:02d}" for n in range(15) for op in ("models", "prune_ledgers")] + ["compiled", "1a2b3c4"]
    for age, name in enumerate(names):
        folder = home.dbt_target / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        for path in (folder / "manifest.json", folder):
            os.utime(path, (now - 2 * TARGET_SECONDS - age, now - 2 * TARGET_SECONDS - age))
    (home.dbt_target / "manifest.json").write_text("{}")
    in_use = home.dbt_target / names[-3] / "run_results.json"
    in_use.write_text("{}")
    prune_targets()
    left = {path.name for path in home.dbt_target.iterdir()}
    assert left == {*names[: KEPT_TARGETS - 1], names[-3], "compiled", "manifest.json"}


def test_dbt_writes_under_the_home_wherever_it_is_started(home: Home) -> None:
    settings = Settings(_env_file=None, music_home=home.root)
    for variables in (dagster_environment(settings), dbt_environment(settings)):
        assert variables["DBT_TARGET_PATH"] == str(home.dbt_target)
        assert variables["DBT_LOG_PATH"] == str(home.dbt_logs)
        assert Path(variables["DBT_TARGET_PATH"]).is_relative_to(home.root)


def test_a_manifest_is_made_again_for_another_database(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Preparer:
        def prepare(self, project: dbt_project.DbtProject) -> None:
            made.append(os.environ["SNOWFLAKE_DATABASE"])
            project.manifest_path.write_text("{}")

    monkeypatch.setattr(dbt_project, "DagsterDbtProjectPreparer", Preparer)
    before = set(project_root().joinpath("dbt_project").iterdir())
    for database in ("ONE", "ONE", "OTHER", "OTHER"):
        monkeypatch.setenv("SNOWFLAKE_DATABASE", database)
        get_settings.cache_clear()
        assert dbt_project.dbt_project().manifest_path == home.dbt_manifest
    assert made == ["ONE", "OTHER"]
    assert set(project_root().joinpath("dbt_project").iterdir()) == before


def test_the_digest_changes_with_what_the_rows_come_from_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dbt_project"
    files = ["models/a.sql", "models/a.yml", "macros/m.sql", "seeds/s.csv", "tests/generic/t.sql", "dbt_project.yml"]
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("1")
    monkeypatch.setattr(dbt_project, "project_root", lambda: tmp_path)
    seen = {file: project_digest() for file in files}
    assert len(set(seen.values())) == 1
    for file in files:
        before = project_digest()
        (folder / file).write_text("12")
        seen[file] = project_digest()
        assert (seen[file] != before) == (file not in ("models/a.yml", "tests/generic/t.sql")), file
    (folder / "models/a.sql").rename(folder / "models/b.sql")
    assert project_digest() not in seen.values()


def test_no_test_of_a_build_reads_a_whole_table() -> None:
    """Those would take longer every day. The nightly tests do, and those of seeds may."""
    nodes = dbt_manifest()["nodes"]
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    of_builds = [test for test in tests if "nightly" not in test["tags"]]
    of_models = [test for test in of_builds if nodes[test["attached_node"]]["resource_type"] == "model"]
    assert len(of_models) > 20
    assert [test["name"] for test in of_models if test["config"]["where"] != "touched dates"] == []
    severe = {nodes[test["attached_node"]]["name"] for test in tests if test["config"]["severity"].lower() == "error"}
    assert severe == {"events", "listens", "page_views", "session_dates"}


def node(schema: str, name: str, kind: str = "model", materialized: str = "table") -> dict[str, object]:
    return {"schema": schema, "name": name, "resource_type": kind, "config": {"materialized": materialized}}


def test_what_a_selection_reads_and_nobody_has_built_is_found_and_nothing_else_is_asked_for() -> None:
    manifest = {
        "nodes": {
            "seed.patterns": node("SILVER", "patterns", "seed"),
            "model.users": node("STAGING", "users", materialized="view"),
            "model.inside": node("SILVER", "inside", materialized="ephemeral"),
            "model.agents": node("SILVER", "agents"),
            "model.plays": node("GOLD", "plays"),
            "test.plays": node("GOLD", "unique_plays", "test", "test"),
        },
        "parent_map": {
            "model.users": ["source.raw.users"],
            "model.agents": ["seed.patterns", "model.inside"],
            "model.inside": ["model.users"],
            "model.plays": ["model.agents"],
            "test.plays": ["model.plays"],
        },
    }
    asked: list[set[str]] = []

    def existing(schemas: Collection[str]) -> set[tuple[str, str]]:
        asked.append(set(schemas))
        return {("SILVER", "AGENTS"), ("STAGING", "PATTERNS")}

    found = unbuilt_ancestors(manifest, ["model.plays", "test.plays"], existing)
    assert found == ["model.users", "seed.patterns"]
    assert asked == [{"SILVER", "STAGING"}]
    everything = [name for name in manifest["nodes"] if name != "model.inside"]
    assert unbuilt_ancestors(manifest, everything, existing) == []
    assert len(asked) == 1, "a selection that leaves nothing out costs no statement"
