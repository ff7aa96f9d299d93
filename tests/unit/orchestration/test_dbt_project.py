"""What dbt makes is under the home and bounded, and a manifest is of its own home's database."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from music_platform.environment import dagster_environment, project_root
from music_platform.home import Home
from music_platform.orchestration import dbt_project
from music_platform.orchestration.dbt_project import KEPT_TARGETS, TARGET_SECONDS, prune_targets
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
