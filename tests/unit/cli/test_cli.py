"""The command line teaches, stays quick and answers mistakes with a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from music_platform.cli import app
from music_platform.settings import get_settings

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def _forget() -> object:
    yield
    get_settings.cache_clear()


def test_help_lists_every_verb() -> None:
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    for verb in ("up", "down", "status", "env", "doctor", "settings", "simulate"):
        assert f" {verb} " in shown.stdout


def test_status_of_a_home_that_was_never_up() -> None:
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 0
    assert shown.stdout.count("stopped") == 7


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["down"])
    assert shown.exit_code == 0
    assert f"Nothing of {tmp_path / 'home'} is running" in shown.stdout
    assert not (tmp_path / "home").exists()


def test_a_wrong_service_is_a_sentence_and_exit_1() -> None:
    shown = runner.invoke(app, ["up", "--only", "kafak"])
    assert shown.exit_code == 1
    assert "No such service: kafak" in shown.stderr


def test_a_wrong_setting_is_a_sentence_and_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", "many")
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 1
    assert "KAFKA_PORT='many'" in shown.stderr


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "hush-hush")
    shown = runner.invoke(app, ["settings"])
    assert "hush-hush" not in shown.stdout
    assert "••••••" in shown.stdout


def test_env_survives_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path / "a home's $name"))
    lines = runner.invoke(app, ["env"]).stdout
    shown = subprocess.run(
        ["sh", "-c", f'{lines}\nprintf %s "$MUSIC_HOME"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout == str(tmp_path / "a home's $name")


def test_status_does_not_import_the_heavy_libraries() -> None:
    code = (
        "import sys\nfrom music_platform.cli import app\napp(['status'], standalone_mode=False)\n"
        "print(sorted({'dagster', 'pyspark', 'fakesnow', 'snowflake.connector', 'grpc'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout.endswith("[]\n")
