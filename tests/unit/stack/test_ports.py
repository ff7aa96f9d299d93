"""Who decides about a port: the environment, then the home's file, then the standard or a free one."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from music_platform.errors import LocalStackError
from music_platform.settings import PORT_FIELDS, Settings
from music_platform.sources import PORTS_FILE
from music_platform.stack.ports import (
    candidates,
    choose_ports,
    is_free,
    read_ports,
    require_free,
    with_ports,
    write_ports,
)


def settings(home: Path, **ports: int) -> Settings:
    return Settings(_env_file=None, music_home=home, **ports)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def ports_of(given: Settings) -> dict[str, int]:
    return {name: getattr(given, name) for name in PORT_FIELDS}


def test_the_default_home_takes_the_standard_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "music-platform"\n')
    monkeypatch.chdir(tmp_path)
    given = with_ports(settings(Path(".local")), choose=True)
    assert ports_of(given) == ports_of(Settings(_env_file=None))
    assert not (tmp_path / ".local" / PORTS_FILE).exists()


def test_another_home_gets_free_ports_for_good(tmp_path: Path) -> None:
    chosen = with_ports(settings(tmp_path), choose=True)
    assert len(set(ports_of(chosen).values())) == len(PORT_FIELDS)
    assert read_ports(tmp_path / PORTS_FILE) == ports_of(chosen)
    assert ports_of(with_ports(settings(tmp_path), choose=True)) == ports_of(chosen)


def test_nothing_is_chosen_before_the_first_up(tmp_path: Path) -> None:
    with_ports(settings(tmp_path))
    assert not (tmp_path / PORTS_FILE).exists()


def test_two_homes_get_different_ports(tmp_path: Path) -> None:
    one, other = (with_ports(settings(tmp_path / name), choose=True) for name in ("one", "other"))
    assert not set(ports_of(one).values()) & set(ports_of(other).values())


def test_a_given_port_wins_over_the_file(tmp_path: Path) -> None:
    write_ports(tmp_path / PORTS_FILE, {"kafka_port": 1111, "spark_port": 2222})
    given = with_ports(settings(tmp_path, kafka_port=3333))
    assert (given.kafka_port, given.spark_port) == (3333, 2222)


def test_the_file_is_what_the_settings_read(tmp_path: Path) -> None:
    write_ports(tmp_path / PORTS_FILE, {"kafka_port": 1111})
    assert Settings(_env_file=tmp_path / PORTS_FILE).kafka_port == 1111


def test_taken_ports_are_passed_over() -> None:
    assert choose_ports(["a", "b"], iter([1, 2, 3, 4]), lambda port: port % 2 == 0) == {"a": 2, "b": 4}


def test_no_port_left_is_an_error() -> None:
    with pytest.raises(LocalStackError, match="Set KAFKA_PORT"):
        choose_ports(["kafka_port"], iter([1, 2]), lambda _: False)


def test_candidates_stay_below_the_ephemeral_ports(tmp_path: Path) -> None:
    ports = list(candidates(tmp_path))
    assert sorted(ports) == list(range(20_000, 30_000))
    assert ports == list(candidates(tmp_path))


def test_a_port_in_use_names_port_service_setting_and_holder(tmp_path: Path, taken: int) -> None:
    assert not is_free(taken)
    with pytest.raises(LocalStackError) as raised:
        require_free("warehouse", ["warehouse_port"], settings(tmp_path, warehouse_port=taken))
    message = str(raised.value)
    assert f"Port {taken}, which warehouse needs, is held by " in message
    assert f"(pid {os.getpid()}: " in message
    assert "WAREHOUSE_PORT=<port>" in message
