"""One platform per command line: which project, home and `.env` count, from whichever folder, and for every child."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from music_platform import sources
from music_platform.environment import child_environment, dagster_environment, export_lines, project_root
from music_platform.settings import Settings, load_settings
from music_platform.sources import CHECKOUT, SettingsError, find_project, find_sources, read_env
from music_platform.stack.local_stack import LocalStack

#: A user who is neither root nor whoever runs the tests.
STRANGER = 54_321


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which the process stands, with no settings in its environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "music-platform"\n')
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(folder)
    return folder


def owned_by(owners: dict[Path, int]) -> Callable[[Path], os.stat_result]:
    """`Path.stat`, with other owners of some files."""
    stat = Path.stat

    def changed(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        if path not in owners:
            return found
        return os.stat_result((*found[:4], owners[path], *found[5:10]))

    return changed


def test_the_project_is_found_upwards(project: Path, tmp_path: Path) -> None:
    below = project / "dbt_project" / "models"
    below.mkdir(parents=True)
    assert find_project(below) == find_project(project) == project
    deployed = tmp_path / "deployed"
    deployed.mkdir()
    (deployed / "workspace.yaml").write_text("load_from: [{python_module: music_platform.definitions}]\n")
    assert find_project(deployed) == deployed


def test_outside_of_every_project_it_is_the_checkout_of_the_code(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "something-else"\n')
    assert find_project(other) == CHECKOUT == project_root()


def test_without_a_checkout_it_is_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHECKOUT", tmp_path)
    (tmp_path / "here").mkdir()
    assert find_project(tmp_path / "here") == tmp_path / "here"


def test_settings_are_the_same_from_every_folder_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=broker:9092\n")
    (project / "dbt_project").mkdir()
    above = load_settings()
    monkeypatch.chdir(project / "dbt_project")
    assert load_settings().model_dump() == above.model_dump()
    assert (above.home, above.bootstrap_servers) == (project / ".local", "broker:9092")
    assert not above.home.exists(), "to look makes no home"


def test_the_home_in_env_counts_with_its_ports_for_stack_and_verbs_alike(project: Path) -> None:
    (project / ".env").write_text("MUSIC_HOME=homes/one\n")
    for home, port in ((project / "homes" / "one", 21_001), (project / ".local", 9_999)):
        home.mkdir(parents=True)
        (home / "ports.env").write_text(f"KAFKA_PORT={port}\nTOPIC_PREFIX=ignored.\n")
    settings = load_settings()
    assert settings.home == project / "homes" / "one"
    assert settings.bootstrap_servers == "127.0.0.1:21001"
    assert settings.topic_prefix == ""
    assert LocalStack(settings).settings.kafka_port == 21_001
    assert not settings.is_default_home


def test_paths_in_env_are_relative_to_its_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["MUSIC_HOME=data", "LAKE_URL=lake", "INTAKE_URL=s3a://bucket/in", "SNOWFLAKE_PRIVATE_KEY_PATH=~/key.p8"]
    (project / ".env").write_text("\n".join(lines) + "\n")
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    settings = load_settings()
    assert settings.home == project / "data"
    assert settings.lake_root == str(project / "lake")
    assert settings.intake_root == "s3a://bucket/in"
    assert settings.snowflake_private_key_path == Path.home() / "key.p8"
    monkeypatch.setenv("MUSIC_HOME", "given")
    assert load_settings().home == project / "sub" / "given", "what a person types is relative to where they stand"


def test_the_environment_wins_even_when_it_sets_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=prod:9092\nMUSIC_HOME=elsewhere\nTOPIC_PREFIX=a.\n")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    monkeypatch.setenv("MUSIC_HOME", "")
    monkeypatch.setenv("TOPIC_PREFIX", "b.")
    settings = load_settings()
    assert settings.kafka_is_local
    assert settings.home == project / ".local"
    assert settings.topic_prefix == "b."


def test_another_file_or_none_can_be_named(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("TOPIC_PREFIX=project.\n")
    (tmp_path / "staging.env").write_text("TOPIC_PREFIX=staging.\nMUSIC_HOME=staging\nMUSIC_ENV_FILE=/nowhere\n")
    monkeypatch.setenv("MUSIC_ENV_FILE", "../staging.env")
    staging = load_settings()
    assert (staging.topic_prefix, staging.home) == ("staging.", tmp_path / "staging")
    monkeypatch.setenv("MUSIC_ENV_FILE", "")
    assert load_settings().topic_prefix == ""
    monkeypatch.setenv("MUSIC_ENV_FILE", "missing.env")
    with pytest.raises(SettingsError, match=r"MUSIC_ENV_FILE=missing.env: there is no such file. Unset it to read .*"):
        load_settings()


def test_a_stranger_s_env_is_not_read_and_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("TOPIC_PREFIX=theirs.\n")
    monkeypatch.setattr(Path, "stat", owned_by({project / ".env": STRANGER}))
    found = find_sources({}, project)
    assert (found.env_file, dict(found.values)) == (None, {})
    (skipped,) = found.skipped
    assert skipped.startswith(f"{project / '.env'} is not read: it belongs to another user.")
    named = find_sources({"MUSIC_ENV_FILE": str(project / ".env")}, project)
    assert named.values["topic_prefix"].text == "theirs.", "unless a person says so"


def test_a_stranger_s_folder_is_no_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("TOPIC_PREFIX=theirs.\n")
    monkeypatch.setattr(Path, "stat", owned_by({project: STRANGER, project / ".env": STRANGER}))
    found = find_sources({}, project)
    assert found.project == CHECKOUT
    assert found.home == CHECKOUT / ".local"
    assert "topic_prefix" not in found.values


def test_an_env_outside_of_the_project_is_not_read_and_named(tmp_path: Path, project: Path) -> None:
    (tmp_path / ".env").write_text("TOPIC_PREFIX=outside.\n")
    found = find_sources({}, tmp_path)
    assert found.skipped == (
        f"{tmp_path / '.env'} is not read: the project is {CHECKOUT}. To read it, set MUSIC_ENV_FILE={tmp_path}/.env",
    )
    (project / "sub").mkdir()
    (project / "sub" / ".env").write_text("TOPIC_PREFIX=sub.\n")
    found = find_sources({}, project / "sub")
    assert found.values == {}
    assert len(found.skipped) == 1


def test_every_value_says_where_it_is_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("# settings\n\nexport TOPIC_PREFIX='a.'\nLAG_LIMIT_SECONDS=7\nTOPIC_PARTITIONS=\n")
    (project / ".local").mkdir()
    (project / ".local" / "ports.env").write_text("KAFKA_PORT=20001\n")
    monkeypatch.setenv("DAGSTER_PORT", "3001")
    found = load_settings().sources
    assert found is not None
    origins = {name: value.origin for name, value in found.values.items() if name in Settings.model_fields}
    assert origins == {
        "topic_prefix": f"{project / '.env'}:3",
        "lag_limit_seconds": f"{project / '.env'}:4",
        "kafka_port": f"{project / '.local' / 'ports.env'}:1",
        "dagster_port": "environment",
    }


def test_a_wrong_value_is_named_with_its_file_and_line(project: Path) -> None:
    (project / ".env").write_text("TOPIC_PREFIX=a.\nKAFKA_PORT=many\n")
    with pytest.raises(SettingsError, match=rf"KAFKA_PORT='many' \({project}/.env:2\): Input should be a valid int"):
        load_settings()
    (project / ".env").write_text("KAFKA_PORT='9092\n")
    with pytest.raises(SettingsError, match=r"\.env, line 1 is not NAME=value"):
        load_settings()


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="folder cannot be read"):
        read_env(tmp_path / "folder")


LOADED = "import json; from music_platform.settings import load_settings; print(load_settings().model_dump_json())"


def loaded_in(folder: Path, environment: dict[str, str]) -> dict[str, object]:
    """The settings that a process with this environment loads in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_children_see_their_parent_s_settings_whatever_env_says(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo or a test in a production checkout must not send its events to production."""
    (project / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=prod:9092\nSNOWFLAKE_ACCOUNT=prod\nLAKE_URL=s3a://prod\n")
    monkeypatch.setenv("SPARK_REMOTE", "sc://prod:15002")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    local = Settings.model_construct(music_home=project / "demo", kafka_port=21_001, snowflake_password="secret")
    for environment in (child_environment(local), {**child_environment(local), **dagster_environment(local)}):
        seen = loaded_in(project, environment)
        assert seen["kafka_bootstrap_servers"] is seen["spark_remote"] is seen["snowflake_account"] is None
        assert (seen["lake_url"], seen["kafka_port"]) == (None, 21_001)
        assert seen["music_home"] == str(project / "demo")
        assert seen["snowflake_password"] == "secret"


def test_a_shell_of_the_home_keeps_the_secrets_of_env_and_nothing_else(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (project / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=prod:9092\nSNOWFLAKE_PASSWORD=hush\nLAG_LIMIT_SECONDS=7\n")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    monkeypatch.setenv("LAG_LIMIT_SECONDS", "300")
    lines = export_lines(load_settings(), None)
    assert "hush" not in "\n".join(lines)
    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    seen = loaded_in(tmp_path, {**exported, "PYTHONPATH": str(CHECKOUT)})
    assert (seen["kafka_bootstrap_servers"], seen["snowflake_password"]) == (None, "hush")
    assert seen["lag_limit_seconds"] == 300


def test_secrets_may_be_files_as_containers_mount_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project / "secrets"
    folder.mkdir()
    (folder / "music_secret").write_text("from a file\n")
    (folder / "kafka_sasl_password").write_text("from a file too")
    (folder / "..data").mkdir()
    monkeypatch.setenv("MUSIC_SECRETS_DIR", str(folder))
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "from the environment")
    settings = load_settings()
    assert settings.music_secret == "from a file"
    assert settings.kafka_sasl_password == "from the environment"
    monkeypatch.setenv("MUSIC_SECRETS_DIR", str(project / "nowhere"))
    assert load_settings().music_secret is None
