"""The command line teaches, stays quick and answers mistakes with a sentence."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from music_platform.cli import app, repair
from music_platform.cli.main import COMMANDS, Entry, flowing
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.orchestration.store import open_store
from music_platform.settings import Settings, get_settings
from music_platform.stack.local_stack import LocalStack, ServiceStatus, Standing, standing
from tests.support import slowdown

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
    for verb in ("up", "down", "status", "env", "doctor", "settings", "simulate", "logs", "restart", "open", "demo"):
        assert f" {verb} " in shown.stdout
    for panel in ("Run", "Look", "Repair", "Set up"):
        assert f"─ {panel} ─" in shown.stdout
    assert " watch " not in shown.stdout
    assert "--install-completion" in shown.stdout


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_is_found_and_is_listed_as_it_describes_itself(entry: Entry) -> None:
    command = entry.load()
    assert command.help.split("\n\n")[0] == entry.help
    assert len(entry.help) < 60, "one line beside the longest name at 80 columns"
    assert all(len(line) < 79 or " " in line for line in command.help.splitlines())
    shown = runner.invoke(app, [entry.name, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert "<bool>" not in shown.stdout


def test_paragraphs_flow_and_blocks_stay() -> None:
    assert flowing("One\nline.\n\n\b\na  1\nb  2\n\nAnother\none.") == "One line.\n\n  a  1\n  b  2\n\nAnother one."


def test_a_wrong_call_is_one_line_and_exit_2() -> None:
    for arguments, said in {
        ("stauts",): "No such command 'stauts'. Did you mean 'status'",
        ("topic",): "Missing command. See: root topic --help",
        ("sql",): "Invalid value: give either a statement or --file. See: root sql --help",
        ("status", "--jason"): "No such option: --jason",
    }.items():
        shown = runner.invoke(app, list(arguments))
        assert shown.exit_code == 2
        assert shown.stderr.startswith("error ")
        assert said in shown.stderr
        assert len(shown.stderr.splitlines()) == 1


def test_the_version() -> None:
    shown = runner.invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("music-platform 0.")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mus re", {"restart", "recover", "rebuild", "redrive"}),
        ("mus restart ka", {"kafka"}),
        ("mus up --de", {"--detach"}),
    ],
)
def test_the_shell_completes_commands_options_and_services(typed: str, offered: set[str]) -> None:
    environment = {
        "_MUSIC_PLATFORM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)
    }  # fmt: skip
    done = subprocess.run(
        [str(Path(sys.executable).parent / "music-platform")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == offered, done.stderr


def test_status_of_a_home_that_was_never_up(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 3
    assert shown.stdout.count("stopped") == 8
    as_json = runner.invoke(app, ["status", "--json"])
    assert as_json.exit_code == 3
    assert {service["state"] for service in json.loads(as_json.stdout).values()} == {"stopped"}
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["running", "running", "external"], Standing.RUNNING),
        (["running", "stopped"], Standing.RUNNING),
        (["running", "backoff"], Standing.BROKEN),
        (["running", "starting"], Standing.BROKEN),
        (["fatal"], Standing.BROKEN),
        (["stopped", "external"], Standing.STOPPED),
    ],
)
def test_the_exit_code_of_status(states: list[str], expected: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {str(number): ServiceStatus(state, None, None, 0) for number, state in enumerate(states)}
    assert standing(found) is expected
    monkeypatch.setattr(LocalStack, "status", lambda _: found)
    assert runner.invoke(app, ["status"]).exit_code == expected


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["down"])
    assert shown.exit_code == 0
    assert f"Nothing of {tmp_path / 'home'} is running" in shown.stdout
    assert not (tmp_path / "home").exists()


def test_a_wrong_service_is_a_sentence_and_exit_1() -> None:
    shown = runner.invoke(app, ["up", "--only", "kafak"])
    assert shown.exit_code == 1
    assert "No such service: kafak" in shown.stderr
    assert "dagster means code, webserver, daemon" in shown.stderr


def test_a_wrong_setting_is_a_sentence_and_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", "many")
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 1
    assert "KAFKA_PORT='many'" in shown.stderr


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "hush-hush")
    for arguments in (["settings"], ["settings", "--json"], ["settings", "password", "--changed"]):
        shown = runner.invoke(app, arguments)
        assert "hush-hush" not in shown.stdout
        assert "••••••" in shown.stdout


def test_settings_are_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MUSIC_HOME", "h")
    lines = runner.invoke(app, ["settings"]).stdout.splitlines()
    assert {line.split("=")[0] for line in lines if "=" in line and not line.startswith(" ")} == {
        name.upper() for name in Settings.model_fields
    }
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line in ("Kafka", "Spark", "Snowflake", "Alerts")] == [
        "Kafka", "Spark", "Snowflake", "Alerts",
    ]  # fmt: skip


def test_settings_say_where_a_value_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = tmp_path / "settings.env"
    env.write_text("TOPIC_PREFIX=a.\nMAX_DRAIN_SECONDS=7\n")
    monkeypatch.setenv("MUSIC_ENV_FILE", str(env))
    monkeypatch.setenv("MAX_DRAIN_SECONDS", "8")
    found = json.loads(runner.invoke(app, ["settings", "--json"]).stdout)
    sources = {each["name"]: (each["value"], each["source"]) for each in found}
    assert sources["TOPIC_PREFIX"] == ("a.", f"{env}:1")
    assert sources["MAX_DRAIN_SECONDS"] == ("8.0", "environment")
    assert sources["KAFKA_PORT"] == ("9092", "default")
    changed = runner.invoke(app, ["settings", "--changed"]).stdout
    assert f"TOPIC_PREFIX=a.\n    from {env}:1\n" in changed
    assert "MAX_DRAIN_SECONDS=8.0\n    from environment, default 600\n" in changed
    assert "KAFKA_PORT" not in changed


def test_settings_can_be_searched() -> None:
    shown = runner.invoke(app, ["settings", "retention"]).stdout
    assert "KAFKA_RETENTION_HOURS=168" in shown
    assert "KAFKA_PORT" not in shown
    nothing = runner.invoke(app, ["settings", "nonsense"])
    assert (nothing.exit_code, "No setting has 'nonsense'" in nothing.stderr) == (1, True)


def test_a_env_that_is_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TOPIC_PREFIX=a.\n")
    monkeypatch.delenv("MUSIC_ENV_FILE")
    monkeypatch.chdir(tmp_path)
    shown = runner.invoke(app, ["status", "--json"])
    assert f"{tmp_path / '.env'} is not read: the project is" in shown.stderr
    assert json.loads(shown.stdout)


@pytest.fixture
def closed() -> int:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


REPAIRS = (["accept-loss"], ["accept-rows"], ["recover"], ["rebuild"], ["topic", "adopt", "listen_events"])


@pytest.mark.parametrize(
    "arguments", [["lag"], ["sql", "select 1"], ["redrive"], *([*each, "--yes"] for each in REPAIRS)]
)
def test_a_service_that_is_away_is_the_same_sentence_within_seconds(
    arguments: list[str], closed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("KAFKA_PORT", str(closed))
    monkeypatch.setenv("WAREHOUSE_PORT", str(closed))
    runner.invoke(app, [arguments[0], "--help"])  # What it imports.
    began = time.monotonic()
    shown = runner.invoke(app, arguments)
    assert time.monotonic() - began < slowdown.seconds(3)
    assert shown.exit_code == 1
    assert f"at 127.0.0.1:{closed} does not answer. Start it with `music-platform up`, or " in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("arguments", REPAIRS)
def test_what_cannot_be_undone_needs_an_answer(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 1
    assert "there is no terminal to ask at. Nothing was done. To run it without a question, add --yes." in shown.stderr
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("arguments", [*([*each, "--yes"] for each in REPAIRS), ["maintain"]])
def test_only_up_makes_a_home(arguments: list[str], tmp_path: Path) -> None:
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 1
    assert f"There is no platform at {tmp_path / 'home'}. Start it with `music-platform up`, or set" in shown.stderr
    assert not (tmp_path / "home").exists()


def test_a_question_is_answered_by_a_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from music_platform.cli import terminal

    asked: list[str] = []
    answers = iter([True, False])

    def confirm(question: str) -> bool:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr(typer, "confirm", confirm)
    terminal.ask(["5 rows go."], "Drop them?", yes=False)
    with pytest.raises(typer.Exit):
        terminal.ask(["5 rows go."], "Drop them?", yes=False)
    terminal.ask(["5 rows go."], "Drop them?", yes=True)
    assert asked == ["Drop them?", "Drop them?"]
    assert capsys.readouterr().out.splitlines() == ["5 rows go."] * 2 + ["Nothing was changed.", "5 rows go."]


@pytest.mark.parametrize(
    ("external", "said"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "broker 127.0.0.1:1 · warehouse local"),
        ({"SNOWFLAKE_ACCOUNT": "org-a"}, "broker local · warehouse Snowflake account org-a, database MUSIC"),
        ({"LAKE_URL": "s3a://b/l"}, "broker local · lake s3a://b/l · warehouse local"),
        ({"SPARK_REMOTE": "sc://s:1"}, "broker local · Spark sc://s:1 · warehouse local"),
        ({"SPARK_REMOTE": "local"}, None),
        ({}, None),
    ],
)
def test_a_command_that_acts_names_its_platform_first_where_anything_is_external(
    external: dict[str, str], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WAREHOUSE_PORT": "1", "KAFKA_PORT": "1", **external}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("music_platform.cli.lag.require_listeners", _stop)
    lines = runner.invoke(app, ["lag"]).stderr.splitlines()
    assert lines == [f"home {tmp_path / 'home'} · {said}"] * bool(said)


def _stop(*_: Any) -> None:
    raise typer.Exit(1)


def test_up_of_a_service_that_runs_elsewhere_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "prod:9092")
    monkeypatch.setattr("music_platform.stack.provision.provision_for", lambda *_: [])
    shown = runner.invoke(app, ["up", "--only", "kafka"])
    assert shown.exit_code == 0, shown.stderr
    assert "There is nothing to start here: kafka at prod:9092 is not on this machine." in shown.stdout
    assert "already running" not in shown.stdout
    assert not LocalStack(get_settings()).is_running()


def test_restart_and_open_of_a_stack_that_is_down_say_what_to_do(tmp_path: Path) -> None:
    for arguments in (["restart"], ["restart", "kafka"]):
        shown = runner.invoke(app, arguments)
        assert (shown.exit_code, "There is nothing to restart" in shown.stderr) == (1, True)
    shown = runner.invoke(app, ["open"])
    assert shown.exit_code == 1
    assert shown.stdout == "http://127.0.0.1:3000\n"
    assert "does not answer" in shown.stderr
    assert not (tmp_path / "home").exists()


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


def test_a_rebuilt_raw_is_told_to_dagster_or_the_command_says_what_to_start(tmp_path: Path) -> None:
    """The models would not follow otherwise: RAW is of the version that they were built from."""
    settings = Settings(_env_file=None, music_home=tmp_path)  # type: ignore[call-arg]
    repair._tell_dagster(settings, 7, 100)
    assert not Home(tmp_path).dagster.exists(), "a home without Dagster has none to tell"
    Home(tmp_path).dagster.mkdir()
    repair._tell_dagster(settings, 7, 100)
    with open_store(settings) as store:
        assert store.recorded_version() == 7
    (Home(tmp_path).dagster / "dagster.yaml").write_text("run_launcher: {module: nowhere, class: None}\nstorage: 7\n")
    with pytest.raises(PlatformError, match=r"RAW is rebuilt, but .* \(\w+\)\. Start the job ingest once it answers"):
        repair._tell_dagster(settings, 7, 100)
