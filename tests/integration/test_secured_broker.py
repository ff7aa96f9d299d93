"""The whole chain on a broker that requires a password over TLS, and on one that requires a certificate."""

import subprocess
import time
from pathlib import Path

import pytest

from music_platform.environment import settings_environment, venv_bin
from music_platform.errors import LocalStackError
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import create_topics, provision
from music_platform.topics import BrokerRefusedError, BrokerUnreachableError, topic_names, topic_offsets
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.stack import running_stack, spark_session

#: Broker of its own; Spark and warehouse are the session's.
ONLY = frozenset({"kafka"})
PASSWORD = "p a$$'w%rd"
SASL = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "PLAIN",
    "kafka_sasl_username": "music",
    "kafka_sasl_password": PASSWORD,
}


def chain(secured: Settings, shared: LocalStack, folder: Path, name: str) -> int:
    """Simulate, ingest and load; the number of rows in RAW, after comparing it with the topics."""
    own = {"spark_port", "warehouse_port", "music_secret"}
    settings = secured.model_copy(
        update={
            **{port: getattr(shared.settings, port) for port in own},
            "lake_url": str(folder / "lake"),
            "reference_dir": folder / "reference",
            "snowflake_database": name.upper(),
            "topic_partitions": 2,
        }
    )
    provision(settings)
    subprocess.run(
        [str(venv_bin() / "music-platform"), "simulate", "--users", "50", "--days", "1", "--events", "300"],
        env={"PATH": "/usr/bin:/bin", **settings_environment(settings, secrets=True)},
        check=True,
        capture_output=True,
        timeout=slowdown.seconds(120),
    )
    with spark_session(settings) as spark:
        list(drain(IngestionContext(settings, lambda: spark, lambda: connect(settings), lambda _: None)))
    offsets = topic_offsets(settings.kafka_client_config(), topic_names(settings).values())
    with connect(settings) as session:
        ((rows,),) = session.cursor().execute("SELECT COUNT(*) FROM RAW.EVENTS").fetchall()  # type: ignore[union-attr]
    assert rows == offsets.records() >= 300
    return int(rows)


@pytest.mark.long
def test_the_chain_with_a_password_over_tls_and_a_wrong_password(stack: LocalStack, tmp_path: Path) -> None:
    with running_stack(tmp_path / "home", ONLY, **SASL) as secured:
        chain(secured.settings, stack, tmp_path, "sasl")
        assert not [
            path for path in (tmp_path / "home").rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()
        ], "the password stands in no file of the home"

        wrong = secured.settings.model_copy(update={"kafka_sasl_password": "wrong"})
        for refused in (
            lambda: topic_offsets(wrong.kafka_client_config(), topic_names(wrong).values()),
            lambda: create_topics(wrong),
        ):
            started = time.monotonic()
            with pytest.raises(BrokerRefusedError, match=r"refuses this client.*KAFKA_SASL_PASSWORD"):
                refused()
            assert time.monotonic() - started < slowdown.seconds(15)
        started = time.monotonic()
        done = subprocess.run(
            [str(venv_bin() / "music-platform"), "simulate", "--users", "50", "--days", "1"],
            env={"PATH": "/usr/bin:/bin", **settings_environment(wrong, secrets=True)},
            check=False,
            capture_output=True,
            text=True,
            timeout=slowdown.seconds(60),
        )
        assert done.returncode != 0
        assert "refuses this client" in " ".join((done.stdout + done.stderr).split())
        assert time.monotonic() - started < slowdown.seconds(15)


@pytest.mark.long
def test_the_chain_with_certificates_on_both_sides(stack: LocalStack, tmp_path: Path) -> None:
    with running_stack(tmp_path / "home", ONLY, kafka_security_protocol="SSL") as secured:
        chain(secured.settings, stack, tmp_path, "mutual")
        stranger = secured.settings.kafka_client_config()
        del stranger["ssl.certificate.location"], stranger["ssl.key.location"]
        started = time.monotonic()
        with pytest.raises(BrokerUnreachableError, match=r"ssl://"):
            topic_offsets(stranger, topic_names(secured.settings).values())
        assert time.monotonic() - started < slowdown.seconds(15)


def test_settings_that_the_local_broker_does_not_support_are_refused(tmp_path: Path) -> None:
    tokens = {"kafka_sasl_mechanism": "OAUTHBEARER", "kafka_token_function": "json:loads"}
    with (
        pytest.raises(LocalStackError, match="KAFKA_SASL_MECHANISM=PLAIN or SCRAM-SHA-256"),
        running_stack(tmp_path / "home", ONLY, **(SASL | tokens)),
    ):
        pass


@pytest.mark.long
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_chain_with_scram_and_a_wrong_password(stack: LocalStack, tmp_path: Path, mechanism: str) -> None:
    scram = SASL | {"kafka_sasl_mechanism": mechanism}
    with running_stack(tmp_path / "home", ONLY, **scram) as secured:
        chain(secured.settings, stack, tmp_path, mechanism.replace("-", "_"))
        assert not [
            path for path in (tmp_path / "home").rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()
        ], "the password stands in no file of the home"
        wrong = secured.settings.model_copy(update={"kafka_sasl_password": "wrong"})
        with pytest.raises(BrokerRefusedError, match="refuses this client"):
            topic_offsets(wrong.kafka_client_config(), topic_names(wrong).values())
    with (
        pytest.raises(LocalStackError, match="was first started with another user, password or mechanism"),
        running_stack(tmp_path / "home", ONLY, **(scram | {"kafka_sasl_password": "another"})),
    ):
        pass


def test_three_brokers_log_in_to_each_other_with_scram(tmp_path: Path) -> None:
    with running_stack(
        tmp_path / "home", ONLY, **(SASL | {"kafka_sasl_mechanism": "SCRAM-SHA-512"}), kafka_brokers=3
    ) as secured:
        create_topics(secured.settings)
        names = topic_names(secured.settings).values()
        assert topic_offsets(secured.settings.kafka_client_config(), names).records() == 0
