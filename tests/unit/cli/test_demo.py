"""The demo stays on this machine, and replaces nothing that is not its own."""

from pathlib import Path

import pytest

from music_platform.cli.demo import TOOLS, DemoError, _wipe, demo_settings
from music_platform.environment import child_environment
from music_platform.settings import Settings, SettingsError, load_settings

PRODUCTION = {
    "KAFKA_BOOTSTRAP_SERVERS": "prod:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "SPARK_REMOTE": "sc://prod:15002",
    "LAKE_URL": "s3a://prod/lake",
    "INTAKE_URL": "s3a://prod/intake",
    "REFERENCE_DIR": "/srv/reference",
    "SNOWFLAKE_ACCOUNT": "org-prod",
    "SNOWFLAKE_DATABASE": "PROD",
    "DAGSTER_POSTGRES_URL": "postgresql://prod/dagster",
    "ALERT_URLS": "slack://prod",
    "KAFKA_PORT": "9999",
}


def test_a_demo_in_production_s_environment_touches_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**PRODUCTION, "MUSIC_HOME": str(tmp_path), "SPARK_DRIVER_MEMORY": "3g"}.items():
        monkeypatch.setenv(name, value)
    given = load_settings()
    demo = demo_settings(given)
    assert demo.home == tmp_path / "demo"
    changed = {name for name, field in Settings.model_fields.items() if getattr(demo, name) != field.default}
    assert changed <= {"music_home", "music_local_only", *TOOLS}
    assert demo.spark_driver_memory == "3g"
    assert demo.platform() is None
    variables = child_environment(demo)
    assert not {name for name, value in PRODUCTION.items() if "prod" in value.lower()} & variables.keys()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in PRODUCTION.keys() - variables.keys():
        monkeypatch.delenv(name)
    # The local warehouse has no roles; loading names one all the same.
    same = {"java_home": given.java_home, "snowflake_read_role": "MUSIC_READER"}
    assert load_settings().model_dump() == demo.model_copy(update=same).model_dump()
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "org-prod")
    with pytest.raises(SettingsError, match="SNOWFLAKE_ACCOUNT=org-prod: this command works on this machine only"):
        load_settings()


def test_a_folder_that_is_no_home_is_not_replaced(tmp_path: Path) -> None:
    settings = demo_settings(Settings(_env_file=None, music_home=tmp_path))  # type: ignore[call-arg]
    _wipe(settings)
    photos = tmp_path / "demo" / "photos"
    photos.mkdir(parents=True)
    with pytest.raises(DemoError, match="is no home of the platform"):
        _wipe(settings)
    assert photos.is_dir()
    (tmp_path / "demo" / "format.json").write_text('{"format": 1}')
    _wipe(settings)
    assert not (tmp_path / "demo").exists()
