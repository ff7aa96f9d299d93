"""No secret reaches what Dagster shows or stores, nor the files that the stack is configured by."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from music_platform.definitions import build_defs
from music_platform.environment import dagster_environment, settings_environment
from music_platform.home import Home
from music_platform.settings import Settings
from music_platform.stack.services import address_of, local_services, programs
from music_platform.stack.supervision import render_conf

MARK = "s3cr3t"
SECRETS = [name for name, field in Settings.model_fields.items() if not field.repr]


def marked(home: Path, **given: object) -> Settings:
    """Settings in which every secret is marked, and the address of a Spark server holds one."""
    secrets = {name: f"{MARK}-{name}" for name in SECRETS if name != "dagster_postgres_url"}
    for name in ("kafka_client_properties", "kafka_jvm_properties"):
        secrets[name] = f'{{"password": "{MARK}-{name}"}}'
    remote = f"sc://spark.example:443/;use_ssl=true;token={MARK}-in-the-address;user_id=me"
    values = {**secrets, "dagster_postgres_url": f"postgresql://u:{MARK}@db/d", "spark_remote": remote, **given}
    del values["spark_connect_token"]
    return Settings(_env_file=None, music_home=home, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize("account", ["org-account", None])
def test_no_secret_is_in_a_snapshot_of_the_code_location(tmp_path: Path, account: str | None) -> None:
    key = tmp_path / "key.p8" if account else None
    definitions = build_defs(marked(tmp_path, snowflake_account=account, snowflake_private_key_path=key))
    repository = definitions.get_repository_def()
    snapshots = [dg.serialize_value(RepositorySnap.from_def(repository))]
    snapshots += [dg.serialize_value(job.get_job_snapshot()) for job in repository.get_all_jobs()]
    assert len(snapshots) > 5
    assert not [snapshot for snapshot in snapshots if MARK in snapshot]
    assert "org-account" in snapshots[0] or account is None, "what is no secret is shown"


def test_no_secret_is_in_a_configuration_file_of_the_stack(tmp_path: Path) -> None:
    settings = marked(tmp_path, snowflake_account="org-account", kafka_bootstrap_servers="b:9092")
    conf = render_conf(Home(tmp_path), programs(settings, None, local_services(settings)), "identifier")
    assert "DAGSTER_HOME" in conf
    assert MARK not in conf
    assert MARK not in str(dagster_environment(settings))
    assert MARK not in str([address_of(name, settings) for name in ("kafka", "spark", "warehouse", "webserver")])
    assert MARK not in repr(settings)


def test_a_token_in_the_address_of_spark_becomes_a_secret_of_its_own(tmp_path: Path) -> None:
    settings = marked(tmp_path)
    assert settings.spark_url == "sc://spark.example:443/;use_ssl=true;user_id=me"
    assert settings.spark_token == f"{MARK}-in-the-address"
    inherited = settings_environment(settings, secrets=True)
    again = Settings(_env_file=None, **{name.lower(): value for name, value in inherited.items()})  # type: ignore[call-arg]
    assert (again.spark_url, again.spark_token) == (settings.spark_url, settings.spark_token)
