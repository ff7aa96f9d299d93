"""The secret of a home."""

import os
import stat
from pathlib import Path

from music_platform.settings import Settings
from music_platform.sources import SECRET_FILE
from music_platform.stack.broker import security_properties
from music_platform.stack.secret import fingerprint, with_secret


def settings(home: Path, **given: object) -> Settings:
    return Settings(_env_file=None, music_home=home, **given)  # type: ignore[call-arg]


def test_up_makes_one_that_only_this_user_can_read_and_keeps_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert with_secret(settings(home)).music_secret is None
    before = os.umask(0o022)
    try:
        made = with_secret(settings(home), make=True).music_secret
    finally:
        os.umask(before)
    assert made is not None
    assert len(made) >= 32
    assert stat.S_IMODE((home / SECRET_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert with_secret(settings(home)).music_secret == made == with_secret(settings(home), make=True).music_secret
    assert Settings(_env_file=home / SECRET_FILE).music_secret == made  # type: ignore[call-arg]
    assert with_secret(settings(tmp_path / "other"), make=True).music_secret != made


def test_the_local_broker_asks_for_it_and_clients_have_it(tmp_path: Path) -> None:
    local = settings(tmp_path, music_secret="abc")
    assert local.kafka_client_config()["sasl.password"] == "abc"
    assert 'password="abc"' in local.kafka_jvm_config()["sasl.jaas.config"]
    properties = security_properties(local)
    assert properties["config.providers.env.param.allowlist.pattern"] == "MUSIC_SECRET"
    assert "abc" not in str(properties)
    cluster = settings(tmp_path, music_secret="abc", kafka_bootstrap_servers="b:9092")
    assert cluster.kafka_client_config() == {"bootstrap.servers": "b:9092", "security.protocol": "PLAINTEXT"}
    opened = settings(tmp_path, music_secret="abc", kafka_security_protocol="PLAINTEXT")
    assert security_properties(opened) == {}
    assert "sasl.password" not in opened.kafka_client_config()


def test_a_changed_secret_changes_the_fingerprint_and_is_not_in_it(tmp_path: Path) -> None:
    base = settings(tmp_path, music_secret="abc", alert_urls="json://one")
    same = settings(tmp_path, music_secret="abc", alert_urls="json://one", lag_limit_seconds=7)
    assert fingerprint(base) == fingerprint(same)
    for change in ({"alert_urls": "json://two"}, {"snowflake_password": "x"}, {"music_secret": "abd"}):
        assert fingerprint(base.model_copy(update=change)) != fingerprint(base)
