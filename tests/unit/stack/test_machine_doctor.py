"""What the doctor makes of the machine."""

from pathlib import Path
from typing import Any

import pytest

from music_platform.settings import Settings, load_settings
from music_platform.sources import Sources
from music_platform.stack.findings import Verdict
from music_platform.stack.machine_doctor import (
    STACK_BYTES,
    _installed,
    _requirements,
    access,
    memory_finding,
    misspelt,
    packages,
)


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


def test_a_package_that_is_missing_or_of_another_version_is_wrong() -> None:
    installed = {"dagster": "1.13.26", "some-thing": "2.0"}
    found = packages(["dagster==1.13.27", "Some_Thing>=1", "psutil", "absent; python_version<'3'"], installed)
    assert found.verdict is Verdict.BAD
    assert "dagster is 1.13.26, not ==1.13.27, psutil is missing" in found.found
    assert found.advice == "make venv"


def test_the_packages_of_this_checkout_are_as_it_requires() -> None:
    assert len(_requirements()) > 20
    assert packages(_requirements(), _installed()).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("total", "available", "is_running", "verdict"),
    [
        (2, 2, False, Verdict.BAD),
        (8, 1, False, Verdict.NOTE),
        (8, 1, True, Verdict.GOOD),
        (8, 6, False, Verdict.GOOD),
    ],
)
def test_memory(total: int, available: int, is_running: bool, verdict: Verdict) -> None:
    found = memory_finding(total * 1000**3, available * 1000**3, is_running)
    assert found.verdict is verdict
    assert (f"take about {STACK_BYTES // 1000**3} GB" in found.found) == (verdict is not Verdict.GOOD)


def test_who_else_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, key, env = tmp_path / "home", tmp_path / "key.p8", tmp_path / ".env"
    home.mkdir(mode=0o700)
    key.touch(mode=0o600)
    env.write_text("TOPIC_PREFIX=a.\n")
    env.chmod(0o644)
    monkeypatch.setenv("MUSIC_ENV_FILE", str(env))
    monkeypatch.setenv("MUSIC_HOME", str(home))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(key))
    assert [found.verdict for found in access(load_settings())] == [Verdict.GOOD], ".env has no secret"
    env.write_text("SNOWFLAKE_PASSWORD=hush\n")
    key.chmod(0o640)
    home.chmod(0o755)
    found = list(access(load_settings()))
    assert [(each.verdict, each.advice) for each in found] == [
        (Verdict.BAD, f"chmod 600 {key}"),
        (Verdict.BAD, f"chmod 600 {env}"),
        (Verdict.NOTE, f"chmod 700 {home}"),
    ]


def test_a_name_in_env_that_is_nearly_a_setting_is_noted() -> None:
    names = frozenset({"kafka_bootstrap_server", "aws_region", "topic_prefix"})
    (found,) = misspelt(Sources(Path("/p"), Path("/p/.local"), Path("/p/.env"), in_env_file=names))
    assert "/p/.env: KAFKA_BOOTSTRAP_SERVER is no setting" in found.found
    assert found.advice == "Perhaps KAFKA_BOOTSTRAP_SERVERS is meant"
