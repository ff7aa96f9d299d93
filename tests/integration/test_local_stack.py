"""The local stack's promises, on real processes: it starts, heals, runs side by side and stops without a trace.

Dagster's services load a tiny project here. The platform's own definitions are tested elsewhere.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from music_platform.contracts.events import TOPICS
from music_platform.errors import LocalStackError
from music_platform.settings import PORT_FIELDS
from music_platform.stack import services
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.ports import is_free
from music_platform.stack.processes import await_end, is_alive, processes_of_home, tree_of
from music_platform.stack.provision import create_topics
from tests.support import slowdown
from tests.support.stack import running_stack, settings_for, tiny_code_location

PROJECT = Path(__file__).resolve().parents[2]
KAFKA_ONLY = frozenset({"kafka"})
GIGABYTE = 1000**3


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack with all services; when it is down, none of its processes is left and its ports are free."""
    project, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("full")
    with tiny_code_location(project), running_stack(home, only=None) as stack:
        tree = processes_of_services(stack)
        yield stack
    # One that is at its very end has no environment any more, by which `down` would know and await it.
    assert await_end(tree, slowdown.seconds(5)) == []
    assert_gone(stack)


def processes_of_services(stack: LocalStack) -> list[psutil.Process]:
    pids = [service.pid for service in stack.status().values()]
    assert None not in pids
    return [process for pid in pids if pid is not None for process in tree_of(pid)]


def assert_gone(stack: LocalStack) -> None:
    assert processes_of_home(stack.home.root) == []
    assert all(is_free(getattr(stack.settings, name)) for name in PORT_FIELDS)
    assert not stack.home.socket.exists()


def run_cli(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "MUSIC_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "music_platform.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def topic_names(stack: LocalStack) -> set[str]:
    return set(AdminClient({**stack.settings.kafka_client_config()}).list_topics(timeout=slowdown.seconds(10)).topics)


def test_status_shows_every_service_running(full: LocalStack) -> None:
    shown, _ = run_cli(full.home.root, "status", "--json").communicate(timeout=slowdown.seconds(60))
    status = json.loads(shown)
    assert list(status) == ["kafka", "spark", "warehouse", "code", "webserver", "daemon", "dashboard", "watch"]
    assert {service["state"] for service in status.values()} == {"running"}
    assert all(psutil.pid_exists(service["pid"]) and service["memory"] > 0 for service in status.values())
    assert status["kafka"]["address"] == f"127.0.0.1:{full.settings.kafka_port}"
    assert status["daemon"]["address"] is None
    assert sum(service["memory"] for service in status.values()) < 4 * GIGABYTE


def test_the_doctor_finds_nothing_wrong(full: LocalStack) -> None:
    doctor = run_cli(full.home.root, "doctor")
    shown, _ = doctor.communicate(timeout=slowdown.seconds(120))
    assert doctor.returncode == 0, shown
    assert shown.count("answers") == 8


def test_services_listen_on_loopback_only(full: LocalStack) -> None:
    pids = {process.pid for process in processes_of_services(full)}
    listening = [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    used = [port for name in services.services_of(full.settings) for port in services.PORT_SETTINGS[name]]
    assert {c.laddr.port for c in listening} >= {getattr(full.settings, name) for name in used}
    assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_second_up_changes_nothing(full: LocalStack) -> None:
    before = {name: service.pid for name, service in full.status().items()}
    assert LocalStack(settings_for(full.home.root)).up() == ()
    assert {name: service.pid for name, service in full.status().items()} == before


def test_topics_are_created_once_with_their_partitions(full: LocalStack) -> None:
    assert set(create_topics(full.settings)) == set(TOPICS.values())
    assert create_topics(full.settings) == []
    topics = AdminClient({**full.settings.kafka_client_config()}).list_topics(timeout=slowdown.seconds(10)).topics
    assert {len(topics[name].partitions) for name in TOPICS.values()} == {full.settings.topic_partitions}


def test_a_killed_broker_comes_back_with_its_records(full: LocalStack) -> None:
    create_topics(full.settings)
    producer = Producer({**full.settings.kafka_client_config(), "acks": "all"})
    producer.produce("listen_events", b"kept", partition=0)
    assert producer.flush(slowdown.seconds(30)) == 0
    killed = full.kill("kafka")
    full.await_ready({"kafka"})
    assert full.status()["kafka"].pid != killed
    consumer = Consumer({**full.settings.kafka_client_config(), "group.id": "t", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("listen_events", 0, 0)])
    message = consumer.poll(slowdown.seconds(30))
    consumer.close()
    assert message is not None
    assert message.value() == b"kept"


def test_a_port_in_use_is_named_with_its_holder_and_its_setting(full: LocalStack, tmp_path: Path) -> None:
    other = LocalStack(settings_for(tmp_path, kafka_port=full.settings.kafka_port))
    with pytest.raises(LocalStackError) as raised:
        other.up({"kafka"})
    message = str(raised.value)
    assert message.startswith(f"Port {full.settings.kafka_port}, which kafka needs, is held by java (pid ")
    assert "KAFKA_PORT=<port>" in message
    assert not other.is_running()


def test_two_homes_side_by_side(full: LocalStack, tmp_path: Path) -> None:
    with running_stack(tmp_path, KAFKA_ONLY, topic_prefix="other.") as other:
        create_topics(other.settings)
        assert {f"other.{name}" for name in TOPICS.values()} <= topic_names(other)
        assert not {f"other.{name}" for name in TOPICS.values()} & topic_names(full)

        # A stack whose supervisor died leaves services behind. The next `up` replaces them.
        orphan = other.status()["kafka"].pid
        os.kill(int(other.home.supervisor_pid.read_text()), signal.SIGKILL)
        assert other.up(set(KAFKA_ONLY)) == ("kafka",)
        assert not is_alive(orphan)
        assert {f"other.{name}" for name in TOPICS.values()} <= topic_names(other)

        # A changed setting reaches a service that runs.
        changed = LocalStack(settings_for(tmp_path, topic_prefix="other.", kafka_retention_hours=1))
        assert changed.up(set(KAFKA_ONLY)) == ("kafka",)
        assert "log.retention.ms=3600000" in (other.home.kafka / "server.properties").read_text()

        # So does a changed secret, which services inherit.
        before = other.status()["kafka"].pid
        assert other.up(set(KAFKA_ONLY)) == ("kafka",), "the setting of before is back"
        secret = LocalStack(settings_for(tmp_path, topic_prefix="other.", alert_urls="json://127.0.0.1/secret"))
        assert secret.up(set(KAFKA_ONLY)) == ("kafka",)
        assert secret.up(set(KAFKA_ONLY)) == ()
        assert psutil.Process(secret.status()["kafka"].pid).environ()["ALERT_URLS"] == "json://127.0.0.1/secret"

        # A restart is another process with the same records.
        shown, _ = run_cli(tmp_path, "restart", "kafka").communicate(timeout=slowdown.seconds(150))
        assert secret.status()["kafka"].pid != before, shown
        assert {f"other.{name}" for name in TOPICS.values()} <= topic_names(other)
        shown, _ = run_cli(tmp_path, "logs", "kafka", "-n", "1").communicate(timeout=slowdown.seconds(60))
        assert len(shown.splitlines()) == 1
    assert_gone(other)
    assert full.status()["kafka"].state == "running"


def test_a_service_that_does_not_come_up_shows_the_end_of_its_log(tmp_path: Path) -> None:
    stack = LocalStack(settings_for(tmp_path, spark_driver_memory="1m"))
    with pytest.raises(LocalStackError) as raised:
        stack.up({"spark"})
    message = str(raised.value)
    assert message.startswith("spark does not come up")
    assert f"The end of {stack.home.log_of('spark')}:" in message
    assert "memory" in message.lower() or "heap" in message.lower()
    assert_gone(stack)


def test_ctrl_c_in_the_foreground_stops_everything(tmp_path: Path) -> None:
    process = run_cli(tmp_path, "up", "--only", "kafka")
    assert process.stdout is not None
    try:
        while "Ctrl-C stops everything" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=slowdown.seconds(150))
    finally:
        process.kill()
        LocalStack(settings_for(tmp_path)).down()
    assert process.returncode == 0, shown
    assert "Stopped: kafka" in shown
    assert "Traceback" not in shown
    assert processes_of_home(tmp_path) == []
