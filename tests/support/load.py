"""A producer that knows what was acknowledged: offsets of its records, and the longest time without an answer."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message, Producer

from music_platform.settings import Settings
from music_platform.topics import topic_names
from tests.support import slowdown

#: Records that are sent in one go.
TICK_SECONDS = 0.02


@dataclass
class Acknowledged:
    """What the brokers have acknowledged: (topic, partition, offset) of each record, and what they refused."""

    records: list[tuple[str, int, int]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sent: int = 0
    _last: float = field(default_factory=time.monotonic)
    _gap: float = 0.0

    def note(self, error: Any, message: Message) -> None:
        """A delivery report."""
        now = time.monotonic()
        self._gap, self._last = max(self._gap, now - self._last), now
        if error is not None:
            self.refused.append(str(error))
        else:
            self.records.append((str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)))

    def longest_gap(self) -> float:
        """Seconds without an acknowledgement, at the longest since the last call."""
        gap, self._gap = max(self._gap, time.monotonic() - self._last), 0.0
        return gap


@contextmanager
def sending(settings: Settings, rate: int) -> Iterator[Acknowledged]:
    """Send listens at `rate` a second, each of them once, until the block ends and all are acknowledged."""
    found, end = Acknowledged(), threading.Event()
    producer = Producer({
        **settings.kafka_client_config(), "acks": "all", "enable.idempotence": True, "linger.ms": 5, "log_level": 0,
        "message.timeout.ms": 900_000, "reconnect.backoff.max.ms": 500, "queue.buffering.max.messages": 1_000_000,
        # A broker that was killed answers nothing; another one that leads by now does.
        "socket.timeout.ms": 10_000, "topic.metadata.refresh.interval.ms": 1000,
    })  # fmt: skip
    topic = topic_names(settings)["listen"]

    def send() -> None:
        begun = time.monotonic()
        while not end.is_set():
            while found.sent < (time.monotonic() - begun) * rate:
                found.sent += 1
                listen = {
                    "ts": int(time.time() * 1000), "userId": found.sent % 5000, "sessionId": found.sent // 20,
                    "songId": f"s{found.sent % 900}", "duration": 180.0, "itemInSession": found.sent,
                }  # fmt: skip
                producer.produce(topic, json.dumps(listen).encode(), str(found.sent % 5000), on_delivery=found.note)
            producer.poll(TICK_SECONDS)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()
        left = producer.flush(slowdown.seconds(120))
    assert left == 0, f"{left} records were never acknowledged"
    assert found.refused == []
