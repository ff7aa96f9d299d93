"""A service that is away is noticed within seconds, and said in one sentence."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from music_platform.settings import Settings
from music_platform.stack.listeners import AwayError, addresses, listens, require_listeners
from tests.support import slowdown


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


@pytest.fixture
def listening() -> Iterator[int]:
    """A port at which something listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_one_address_of_several_is_enough(listening: int, closed: int) -> None:
    servers = f"127.0.0.1:{closed},SASL_SSL://127.0.0.1:{listening}"
    require_listeners(settings(kafka_bootstrap_servers=servers), "kafka")
    assert not listens([("127.0.0.1", closed)])


def test_a_host_that_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()
    monkeypatch.setattr(
        socket, "create_connection", lambda *_, **__: given_up.wait(slowdown.seconds(30)) and socket.socket()
    )
    began = time.monotonic()
    assert not listens([("silent.example", 1), ("silent.example", 2)], seconds=0.3)
    assert time.monotonic() - began < slowdown.seconds(2)
    given_up.set()


def test_each_service_that_is_away_is_one_sentence(closed: int) -> None:
    given = settings(kafka_port=closed, warehouse_port=closed, spark_port=closed)
    began = time.monotonic()
    for service, sentence in {
        "kafka": f"Kafka at 127.0.0.1:{closed} does not answer. Start it with `music-platform up`, or correct KAFKA_",
        "warehouse": f"The local warehouse at 127.0.0.1:{closed} does not answer. Start it with `music-platform up`",
        "spark": f"Spark Connect at sc://localhost:{closed} does not answer. Start it with `music-platform up`",
    }.items():
        with pytest.raises(AwayError) as raised:
            require_listeners(given, service)
        assert str(raised.value).startswith(sentence)
    assert time.monotonic() - began < slowdown.seconds(3)


def test_addresses_are_read_as_the_clients_read_them() -> None:
    given = settings(kafka_bootstrap_servers="one, SSL://two:9093,[::1]:9094", spark_remote="sc://spark")
    assert addresses(given, "kafka") == [("one", 9092), ("two", 9093), ("::1", 9094)]
    assert addresses(given, "spark") == [("spark", 15002)]
    assert addresses(settings(snowflake_account="org-account"), "warehouse") == []
    assert addresses(settings(spark_remote="local"), "spark") == []
