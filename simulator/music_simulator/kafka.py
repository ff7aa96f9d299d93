"""The Kafka sink: idempotent, and patient with brokers that go away and come back.

Every record goes to librdkafka, which keeps the order within a partition, resends what was not acknowledged and lets
the broker drop duplicates (`enable.idempotence`). It reports back only what failed for good, so a record that is not
reported by the end of the last flush was acknowledged.
"""

import json
import time
from functools import partial
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from music_platform.contracts.events import TOPICS
from music_platform.settings import Settings
from music_platform.topics import REFUSALS, away, refusal
from music_simulator.disturbances import KINDS
from music_simulator.sinks import SinkError

#: Seconds to wait at the start for a broker that refuses connections, and for one that does not answer at all.
REFUSED_SECONDS, SILENT_SECONDS = 2.0, 4.0
#: Seconds for which an unacknowledged record is resent before it counts as lost.
DELIVERY_TIMEOUT_SECONDS = 900
#: Seconds to wait for room in a full queue before returning to the run.
QUEUE_FULL_SECONDS = 0.2
#: Seconds after the last connection error for which a broker is reported as away.
AWAY_SECONDS = 3.0


class Kafka:
    """The topics of the contract, on the cluster in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._where = settings.bootstrap_servers
        self._topics = [settings.topic_prefix + TOPICS[kind] for kind in KINDS]
        self._next, self._lost = 0, set[int]()
        self._last_error, self._error_at = "", 0.0
        self._refused = False
        self._errors, self._waited, self._retries = 0, 0, dict[str, int]()
        self._producer = Producer(
            {
                **settings.kafka_client_config(),
                "client.id": "music-platform-simulator",
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "batch.size": 1_000_000,
                "batch.num.messages": 20_000,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 262_144,
                "message.timeout.ms": DELIVERY_TIMEOUT_SECONDS * 1000,
                "reconnect.backoff.max.ms": 2000,
                "delivery.report.only.error": True,
                "statistics.interval.ms": 1000,
                "stats_cb": self._on_statistics,
                "error_cb": self._on_error,
                "log_level": 0,
            }
        )
        self._first_contact()

    def deliver(self, kinds: list[int], texts: list[bytes], keys: list[bytes], times: list[int] | None = None) -> int:
        """Queue the records, or as many as there is room for while the queue stays full."""
        produce, topics, failed, first = self._producer.produce, self._topics, self._on_delivery, self._next
        # A timestamp of 0 is the moment of the call.
        for kind, text, key, at in zip(kinds, texts, keys, times or repeat(0, len(kinds)), strict=True):
            try:
                try:
                    produce(topics[kind], text, key, on_delivery=partial(failed, self._next), timestamp=at)
                except BufferError:
                    self._producer.poll(QUEUE_FULL_SECONDS)
                    produce(topics[kind], text, key, on_delivery=partial(failed, self._next), timestamp=at)
            except BufferError:
                break
            except KafkaException as error:
                raise SinkError(f"Kafka at {self._where} accepts no more records: {error.args[0].str()}") from None
            self._next += 1
        self._producer.poll(0)
        return self._next - first

    def poll(self) -> str:
        """Serve callbacks. Reports brokers that are away."""
        self._producer.poll(0)
        if self._error_at and time.monotonic() - self._error_at < AWAY_SECONDS and len(self._producer):
            self._waited = max(self._waited, len(self._producer))
            return f"{self._last_error}; {len(self._producer):,} records are waiting and will be resent"
        return ""

    def retried(self) -> str:
        """One line about what had to be resent."""
        requests = sum(self._retries.values())
        if not requests and not self._errors:
            return "no connection errors, nothing had to be resent"
        last = f" (last: {self._last_error})" if self._last_error else ""
        return (
            f"{self._errors:,} connection errors{last}: up to {self._waited:,} records waited for the broker and were "
            f"resent; {requests:,} requests retried"
        )

    def close(self, patience_seconds: float) -> set[int]:
        """Flush for up to `patience_seconds`, then give up on the rest. Returns the numbers of the lost records."""
        left = self._producer.flush(patience_seconds)
        if left:
            self._producer.purge()
            self._producer.flush(5.0)
        return self._lost

    def _first_contact(self) -> None:
        try:
            known = self._topics_of_cluster()
        except KafkaException:
            if self._refused:
                raise SinkError(refusal(self._where, self._last_error)) from None
            raise SinkError(f"{away(self._where)} --out DIR writes files instead.") from None
        missing = [topic for topic in self._topics if topic not in known]
        if missing:
            names = ", ".join(missing)
            raise SinkError(f"Kafka at {self._where} has no topic {names}: `music-platform up` creates missing topics")

    def _topics_of_cluster(self) -> set[str]:
        try:
            return set(self._producer.list_topics(timeout=REFUSED_SECONDS).topics)
        except KafkaException:
            self._producer.poll(0)  # delivers the errors
            if "refused" in self._last_error or self._refused:
                raise
            return set(self._producer.list_topics(timeout=SILENT_SECONDS).topics)

    def _on_delivery(self, number: int, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._lost.add(number)

    def _on_error(self, error: KafkaError) -> None:
        self._errors += 1
        self._last_error, self._error_at = error.str(), time.monotonic()
        self._refused = self._refused or error.code() in REFUSALS

    def _on_statistics(self, text: str) -> None:
        brokers: dict[str, Any] = json.loads(text).get("brokers", {})
        for name, broker in brokers.items():
            self._retries[name] = max(self._retries.get(name, 0), broker.get("txretries", 0))
