"""Logs are shown from their end, and followed over their rotation."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from music_platform.cli import app
from music_platform.cli.logs import Log
from music_platform.settings import get_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the logs of two services."""
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path))
    get_settings.cache_clear()
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "kafka.log").write_text("".join(f"kafka line {n}\n" for n in range(100)))
    (logs / "watch.log").write_text("\x1b[31mwatch [red]line[/]\x1b[0m\n")
    return tmp_path


def test_the_end_of_one_log(home: Path) -> None:
    shown = CliRunner().invoke(app, ["logs", "kafka", "-n", "2"])
    assert shown.stdout == "kafka line 98\nkafka line 99\n"
    assert home


def test_the_logs_of_all_services_bear_their_names(home: Path) -> None:
    lines = CliRunner().invoke(app, ["logs", "--lines", "1"]).stdout.splitlines()
    assert lines == ["kafka     │ kafka line 99", "watch     │ watch [red]line[/]"]
    assert home


def test_no_log_and_no_such_service_are_sentences(home: Path) -> None:
    shown = CliRunner().invoke(app, ["logs", "dagster"])
    assert (shown.exit_code, f"There is no log of dagster in {home / 'logs'}" in shown.stderr) == (1, True)
    shown = CliRunner().invoke(app, ["logs", "kafak"])
    assert (shown.exit_code, "No such service: kafak" in shown.stderr) == (1, True)


def test_a_log_is_followed_over_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    log = Log("kafka", path)
    assert log.last(5) == []
    assert log.added() == [], "not there yet"
    path.write_text("one\ntw")
    assert log.added() == ["one"]
    with path.open("a") as file:
        file.write("o\nthree")
    assert log.added() == ["two"]
    path.rename(tmp_path / "kafka.log.1")
    path.write_text("four\n")
    assert log.added() == ["three", "four"]
    path.write_text("")
    path.write_text("5\n")
    assert log.added() == ["5"], "begun again in place"
    assert log.added() == []
