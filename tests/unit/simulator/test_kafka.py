"""The Kafka sink on a real broker: nothing lost, nothing twice, also when the broker dies in between."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from music_platform.contracts.events import TOPICS
from music_platform.stack.local_stack import LocalStack
from music_simulator.disturbances import KINDS
from music_simulator.options import Options
from tests.support import slowdown
from tests.support.stack import running_stack
from tests.unit.simulator.conftest import ROOT, make

pytestmark = pytest.mark.long

OPTIONS = ("--users", "4000", "--start", "2026-03-02", "--days", "5", "--growth", "0", "--duplicates", "0.05")
RUN = Options(users=4000, start=datetime(2026, 3, 2), days=5, growth=0.0, duplicates=0.05)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """An open broker of its own, with the topics."""
    with running_stack(
        tmp_path_factory.mktemp("home"), frozenset({"kafka"}), kafka_security_protocol="PLAINTEXT"
    ) as stack:
        yield stack


@pytest.fixture
def servers(broker: LocalStack) -> str:
    """Address of the broker, whose topics are new and empty."""
    address = broker.settings.bootstrap_servers
    admin = AdminClient({"bootstrap.servers": address})
    present = [topic for topic in TOPICS.values() if topic in admin.list_topics(timeout=slowdown.seconds(10)).topics]
    for done in admin.delete_topics(present).values() if present else ():
        done.result()
    deadline = time.monotonic() + slowdown.seconds(20)
    while True:
        try:
            for done in admin.create_topics([NewTopic(topic, 4, 1) for topic in TOPICS.values()]).values():
                done.result()
            return address
        except Exception:  # a deleted topic takes a moment to be gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def start(address: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start the simulator on the broker."""
    arguments = [*OPTIONS, "--truth", str(folder / "truth.json"), "--reference", str(folder), *options]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": address}
    return subprocess.Popen(
        [sys.executable, "-m", "music_simulator", *arguments],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def arrived(address: str) -> dict[str, list[tuple[bytes, bytes]]]:
    """All (key, value) pairs of each topic, partition by partition, in order of their offsets."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    records: dict[str, list[tuple[bytes, bytes]]] = {topic: [] for topic in TOPICS.values()}
    partitions = [TopicPartition(topic, n, 0) for topic in TOPICS.values() for n in range(4)]
    expected = sum(
        consumer.get_watermark_offsets(partition, timeout=slowdown.seconds(10))[1] for partition in partitions
    )
    consumer.assign(partitions)
    while sum(map(len, records.values())) < expected:
        for message in consumer.consume(10_000, 5.0):
            assert not message.error(), message.error()
            records[str(message.topic())].append((message.key() or b"", message.value() or b""))
    consumer.close()
    return records


def await_records(address: str, count: int) -> None:
    """Wait until the topics hold so many records."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    partitions = [TopicPartition(topic, n) for topic in TOPICS.values() for n in range(4)]

    def are_there() -> bool:
        with suppress(KafkaException):  # a topic that was made again has no leader for a moment
            ends = [consumer.get_watermark_offsets(place, timeout=slowdown.seconds(10))[1] for place in partitions]
            return sum(ends) >= count
        return False

    slowdown.wait_for(f"{count:,} records in the topics", are_there, 60)
    consumer.close()


def test_kafka_gets_the_same_records_as_files(servers: str, tmp_path: Path) -> None:
    run = start(servers, tmp_path, "--workers", "2")
    _, said = run.communicate(timeout=slowdown.seconds(120))
    assert run.returncode == 0, said
    wanted, found = make(RUN), arrived(servers)
    for kind in KINDS:
        pairs = [(k, t) for k, t, of in zip(wanted.keys, wanted.texts, wanted.kinds, strict=True) if of == kind]
        assert Counter(found[TOPICS[kind]]) == Counter(pairs)
        by_key: dict[bytes, list[bytes]] = {}
        for key, text in pairs:
            by_key.setdefault(key, []).append(text)
        there: dict[bytes, list[bytes]] = {}
        for key, text in found[TOPICS[kind]]:
            there.setdefault(key, []).append(text)
        assert there == by_key  # the order within a key is that of delivery


def test_a_broker_that_dies_and_comes_back_loses_nothing(broker: LocalStack, servers: str, tmp_path: Path) -> None:
    run = start(servers, tmp_path, "--rate", "2000", "--events", "40000")
    await_records(servers, 4_000)
    broker.kill("kafka")
    _, said = run.communicate(timeout=slowdown.seconds(120))
    assert run.returncode == 0, said
    assert "connection errors" in said
    assert "records waited for the broker and were resent" in said
    wanted, found = make(RUN), arrived(servers)
    for kind in KINDS:
        texts = [t for t, of in zip(wanted.texts[:40000], wanted.kinds[:40000], strict=True) if of == kind]
        assert Counter(text for _, text in found[TOPICS[kind]]) == Counter(texts)


def test_ctrl_c_flushes_and_the_truth_covers_what_is_there(servers: str, tmp_path: Path) -> None:
    run = start(servers, tmp_path, "--rate", "5000")
    await_records(servers, 10_000)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=slowdown.seconds(120))
    assert run.returncode == 0, said
    truth = orjson.loads((tmp_path / "truth.json").read_bytes())
    found = arrived(servers)
    assert truth["counts"]["records"] == {topic: len(records) for topic, records in found.items()}
    assert sum(truth["counts"]["records"].values()) > 5000
    listens = {orjson.loads(text)["eventId"] for _, text in found["listen_events"]}
    assert sum(row["plays"] for row in truth["marts"]["daily_summary"]) == len(listens)


def test_missing_topics_are_one_line(broker: LocalStack, tmp_path: Path) -> None:
    environment = {"TOPIC_PREFIX": "elsewhere.", "KAFKA_BOOTSTRAP_SERVERS": broker.settings.bootstrap_servers}
    command = [sys.executable, "-m", "music_simulator", "--reference", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has no topic elsewhere.page_view_events" in done.stderr
    assert len(done.stderr.splitlines()) == 1
