"""SCRAM at the local broker: the user is in the storage by keys, and the password in no file."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack import broker
from music_platform.stack.java import Java

JAVA = Java(Path("/opt/java"), "17.0.1", 17)


def given(home: Path, **changes: object) -> Settings:
    scram = {
        "kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-256", "kafka_sasl_username": "user",
        "kafka_sasl_password": "pencil",
    }  # fmt: skip
    return Settings(_env_file=None, music_home=home, **(scram | changes))  # type: ignore[arg-type]


def test_the_salted_password_is_that_of_the_rfc(tmp_path: Path) -> None:
    """RFC 7677, section 3: user `user`, password `pencil`; the proof of the client follows from the salted password."""
    salted = broker.salted_password(given(tmp_path), base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    assert base64.b64encode(proof) == b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def test_brokers_get_the_same_user_and_no_file_the_password(tmp_path: Path) -> None:
    settings = given(tmp_path)
    first, second = broker._scram_arguments(settings), broker._scram_arguments(settings)
    assert first == second
    assert first[1].startswith("SCRAM-SHA-256=[name=user,iterations=4096,salt=")
    assert not any("pencil" in file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "pencil" not in broker.server_properties(settings)
    assert "scram-sha-256.sasl.jaas.config" in broker.server_properties(settings)


@pytest.mark.parametrize(
    "change", [{"kafka_sasl_password": "pen"}, {"kafka_sasl_username": "x"}, {"kafka_sasl_mechanism": "SCRAM-SHA-512"}]
)
def test_another_user_than_the_storage_s_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    broker._scram_arguments(given(tmp_path))
    (tmp_path / "kafka" / "data").mkdir()
    (tmp_path / "kafka" / "data" / "meta.properties").write_text("cluster.id=abc\n")
    with pytest.raises(LocalStackError, match="another user, password or mechanism"):
        broker._require_same_user(given(tmp_path, **change))
    broker._require_same_user(given(tmp_path))


def test_without_scram_nothing_is_added(tmp_path: Path) -> None:
    assert broker._scram_arguments(given(tmp_path, kafka_sasl_mechanism="PLAIN")) == []
    assert broker._scram_arguments(given(tmp_path, kafka_security_protocol="SSL")) == []
