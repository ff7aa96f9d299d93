"""A platform of a test's own on the session's stack: its own topics, lake and database."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from music_platform.cli import app, terminal
from music_platform.environment import settings_environment
from music_platform.ingestion.conservation import audit
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.settings import Settings, get_settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import create_topics, provision
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from music_spark.session import open_session
from tests.support import slowdown

LISTEN, PAGE_VIEW = "listen", "page_view"


class Platform:
    """What a test does with it: produce, ingest, ask."""

    def __init__(self, stack: LocalStack, name: str, folder: Path, **settings: object) -> None:
        own = {"topic_prefix": f"{name}-", "lake_url": str(folder / "lake"), "snowflake_database": name.upper()}
        self.settings: Settings = stack.settings.model_copy(update={**own, "topic_partitions": 2, **settings})
        self.lines: list[str] = []
        provision(self.settings)
        self.context = IngestionContext(self.settings, self._spark, lambda: connect(self.settings), self.lines.append)
        self.admin = AdminClient(self.settings.kafka_client_config())

    def _spark(self) -> SparkSession:
        return open_session(self.settings.spark_url or "", self.settings.spark_token)

    def topic(self, kind: str = LISTEN) -> str:
        return topic_names(self.settings)[kind]

    def produce(self, values: Iterable[Any], kind: str = LISTEN, partition: int | None = None) -> None:
        producer = Producer(self.settings.kafka_client_config())
        where = {} if partition is None else {"partition": partition}
        for value in values:
            raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            producer.produce(self.topic(kind), raw, **where)
            producer.poll(0)
        assert producer.flush(slowdown.seconds(30)) == 0

    def ingest(self) -> list[Any]:
        return list(drain(self.context))

    def command(self, *arguments: str, answer: str | None = None, fails: bool = False) -> str:
        """Run `music-platform …` on this platform, in this process; what it printed.

        With an answer there is a terminal, at which the command's question gets it; a refusal has to exit with 1, and
        so has a command that fails.
        """
        variables = settings_environment(self.settings, secrets=True) | {"COLUMNS": "200"}
        with patch.dict(os.environ, variables), patch.object(terminal, "has_terminal", lambda: answer is not None):
            get_settings.cache_clear()
            try:
                done = CliRunner().invoke(app, arguments, input=answer)
            finally:
                get_settings.cache_clear()
        assert done.exit_code == int(fails or answer == "n"), done.output
        return done.output + (str(done.exception) if fails else "")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.settings) as session:
            cursor = session.cursor()
            cursor.execute(statement)
            return cursor.fetchall()

    def count(self, where: str = "TRUE") -> int:
        return int(self.rows(f"SELECT COUNT(*) FROM RAW.EVENTS WHERE {where}")[0][0])

    def imbalances(self) -> list[str]:
        """What the conservation check says of topics and files. It has to have looked."""
        with connect(self.settings) as session:
            found = audit(session, self.settings)
        assert found.postponed is None, found.postponed
        return found.complaints

    def recreate(self, kind: str = LISTEN) -> None:
        """Delete the topic and create it again, as `up` would."""
        self.admin.delete_topics([self.topic(kind)])[self.topic(kind)].result(slowdown.seconds(30))
        while self.topic(kind) in self.admin.list_topics(timeout=slowdown.seconds(10)).topics:
            time.sleep(0.1)
        create_topics(self.settings)

    def expire(self, partition: int, before: int, kind: str = LISTEN) -> None:
        """Let the broker delete what retention would: records below an offset."""
        where = TopicPartition(self.topic(kind), partition, before)
        for future in self.admin.delete_records([where]).values():
            future.result(slowdown.seconds(30))


def listens(count: int, first: int = 0, **fields: object) -> list[dict[str, object]]:
    """Valid listens with ids of their own."""
    ts = int(time.time() * 1000) - 60_000
    return [
        {"eventId": f"e{n}", "ts": ts + n, "userId": 1, "songId": "s", **fields} for n in range(first, first + count)
    ]
