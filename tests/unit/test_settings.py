"""MUSIC_LOCAL_ONLY: a command that is meant for this machine refuses every address that leads off it."""

import os
import subprocess
from pathlib import Path

import pytest

from music_platform.environment import project_root, venv_bin
from music_platform.settings import Settings, SettingsError, load_settings
from tests.support.stack import settings_for

ELSEWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,prod:9092",
    "SPARK_REMOTE": "sc://prod:15002/;use_ssl=true",
    "LAKE_URL": "s3a://prod/lake",
    "INTAKE_URL": "gs://prod/intake",
    "SNOWFLAKE_ACCOUNT": "org-prod",
    "DAGSTER_POSTGRES_URL": "postgresql://dagster:hush@prod:5432/dagster",
}
HERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092,[::1]:9093,127.0.0.2:9094",
    "SPARK_REMOTE": "sc://localhost:15002",
    "LAKE_URL": "s3a://bucket/lake",
    "INTAKE_URL": "gs://bucket/intake",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:7070",
    "STORAGE_EMULATOR_HOST": "http://localhost:4443",
    "DAGSTER_POSTGRES_URL": "postgresql://dagster:hush@127.0.0.1:5432/dagster",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_each_address_off_this_machine_is_refused_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path))
    monkeypatch.setenv(name, ELSEWHERE[name])
    load_settings()
    monkeypatch.setenv("MUSIC_LOCAL_ONLY", "1")
    with pytest.raises(SettingsError, match=rf"{name}=.*prod.*: this command works on this machine only") as refused:
        load_settings()
    assert "hush" not in str(refused.value)


def test_other_ports_of_this_machine_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**HERE, "MUSIC_LOCAL_ONLY": "1", "MUSIC_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert load_settings().addresses_elsewhere() == {}
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://dagster:hush@/dagster?host=/run/postgresql")
    assert load_settings().addresses_elsewhere() == {}
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://dagster:hush@/dagster?host=prod")
    with pytest.raises(SettingsError, match="DAGSTER_POSTGRES_URL=prod: "):
        load_settings()
    monkeypatch.delenv("DAGSTER_POSTGRES_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.example")
    with pytest.raises(SettingsError, match="LAKE_URL=s3a://bucket/lake"):
        load_settings()


def test_every_setting_that_is_an_address_is_looked_at() -> None:
    """A new one has to be added to ELSEWHERE, or here with the reason why it leads nowhere."""
    # What alerts and pings reach is somebody's phone, not a store of data.
    harmless = {"ALERT_URLS", "WATCH_PING_URL"}
    suffixes = ("_URL", "_URLS", "_REMOTE", "_SERVERS", "_ACCOUNT")
    addresses = {name.upper() for name in Settings.model_fields if name.upper().endswith(suffixes)}
    assert addresses - harmless == ELSEWHERE.keys()


def test_children_of_a_test_refuse_production_too(tmp_path: Path) -> None:
    """Here whatever the test itself forgot to clear."""
    with pytest.raises(ValueError, match="this machine only"):
        settings_for(tmp_path, kafka_bootstrap_servers="prod:9092")
    environment = {"PATH": os.defpath, "MUSIC_HOME": str(tmp_path), "MUSIC_LOCAL_ONLY": "1", **ELSEWHERE}
    done = subprocess.run(
        [venv_bin() / "music-platform", "simulate", "--users", "1"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "this machine only" in done.stderr


def test_dbt_build_keeps_to_a_home_of_its_own_on_this_machine() -> None:
    """`make dbt-build MUSIC_HOME=x` removes no x, and a checkout with production's settings builds nothing there."""
    done = subprocess.run(
        ["make", "-n", "-o", "ready", "dbt-build", "MUSIC_HOME=precious"],
        cwd=project_root(), env={**os.environ, **ELSEWHERE}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (removed,) = [line for line in done.stdout.splitlines() if "rm -rf" in line]
    assert removed.strip() == "rm -rf .local/dbt-build"
    (exported,) = [line for line in done.stdout.splitlines() if line.startswith("export")]
    assert {"MUSIC_HOME=.local/dbt-build", "MUSIC_ENV_FILE=", "MUSIC_LOCAL_ONLY=1;"} <= set(exported.split())
