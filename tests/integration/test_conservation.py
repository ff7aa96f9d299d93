"""Conservation on the real parts: only what is new is counted, nothing is missed, and every failure has its end."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from music_platform import topics
from music_platform.ingestion import conservation
from music_platform.ingestion.conservation import audit
from music_platform.ingestion.drain import drain
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.ingestion import PAGE_VIEW, Platform, listens

TRANSACTIONS = 10_000


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The consumers that are opened."""
    opened: list[object] = []

    def open_one(config: dict[str, Any]) -> Any:
        opened.append(config)
        return real(config)

    real = topics.Consumer
    monkeypatch.setattr(topics, "Consumer", open_one)
    return opened


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that a comparison sends."""
    sent: list[str] = []
    real = conservation.rows_of

    def listen(session: Any, statement: str) -> Any:
        sent.append(statement)
        return real(session, statement)

    with monkeypatch.context() as patch:
        patch.setattr(conservation, "rows_of", listen)
        yield sent


def commit_transactions(platform: Platform, count: int, name: str) -> None:
    """As many transactions of one record, a marker after each."""
    producer = Producer({**platform.settings.kafka_client_config(), "transactional.id": name, "linger.ms": 0})
    producer.init_transactions(slowdown.seconds(30))
    record = json.dumps(listens(1)[0]).encode()
    for _ in range(count):
        producer.begin_transaction()
        producer.produce(platform.topic(), record, partition=0)
        producer.commit_transaction(slowdown.seconds(30))


@pytest.mark.timeout(900)
def test_ten_thousand_transactions_cost_one_consumer_and_are_asked_about_once(
    stack: LocalStack, tmp_path: Path, consumers: list[object], show: Callable[[str], None]
) -> None:
    platform = Platform(stack, "markers", tmp_path)
    commit_transactions(platform, TRANSACTIONS, f"markers-{tmp_path}")
    platform.ingest()
    assert platform.count() == TRANSACTIONS
    consumers.clear()
    with connect(platform.settings) as session:
        began = time.monotonic()
        found = audit(session, platform.settings)
        seconds = time.monotonic() - began
    show(f"conservation with {TRANSACTIONS:,} transactions: {seconds:.1f} s, {len(consumers)} consumers")
    assert (found.complaints, found.postponed, found.rows) == ([], None, TRANSACTIONS)
    assert seconds < slowdown.seconds(60)
    assert len(consumers) == 1
    # The next one knows, also when the broker does not any more, and counts what is new.
    platform.expire(partition=0, before=2 * TRANSACTIONS - 5)
    platform.produce(listens(3), partition=0)
    platform.ingest()
    assert platform.imbalances() == []
    # RAW is another table after a rebuild, and everything is counted again, without the broker.
    platform.command("rebuild", "--yes")
    assert platform.imbalances() == []
    assert len(consumers) == 1
    platform.rows("DELETE FROM RAW.EVENTS WHERE kafka_offset = 8")
    assert platform.imbalances() == [f"{platform.topic()}/0: 1 rows are missing"]


def test_only_new_batches_are_counted_until_the_total_differs(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(stack, "counted", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    assert platform.imbalances() == []
    ((batch, rows),) = platform.rows(
        "SELECT batch_id, row_count FROM OPS.RECONCILED WHERE end_offset > 0 AND source = 'kafka'"
    )
    platform.produce(listens(5, first=10), partition=0)
    platform.ingest()
    with asked(monkeypatch) as sent:
        assert platform.imbalances() == []
    counts = [statement for statement in sent if "COUNT(DISTINCT" in statement]
    assert (int(rows), len(counts)) == (10, 1)
    assert f"e.batch_id > {batch} AND" in counts[0]
    # A row that was counted is gone, or there twice: the number of all rows says so.
    platform.rows("DELETE FROM RAW.EVENTS WHERE kafka_offset = 3")
    assert platform.imbalances() == [f"{platform.topic()}/0: 1 rows are missing"]
    platform.rows("INSERT INTO RAW.EVENTS SELECT * FROM RAW.EVENTS WHERE kafka_offset IN (5, 6)")
    assert platform.imbalances() == [f"{platform.topic()}/0: 1 rows are missing"]
    # Each failure has a command that ends it.
    platform.command("rebuild", "--yes")
    assert platform.imbalances() == []


def test_a_lake_ahead_of_raw_is_no_failure(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "ahead", tmp_path)
    platform.produce(listens(10), partition=0)
    list(drain(platform.context, to_raw=False))
    with connect(platform.settings) as session:
        found = audit(session, platform.settings)
    assert (found.complaints, found.postponed) == ([], "10 records of the lake are not in RAW yet")
    assert platform.rows("SELECT * FROM OPS.RECONCILED") == []
    platform.ingest()
    assert platform.imbalances() == []


def test_a_partition_without_rows_balances_where_nothing_is_missing(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "rowless", tmp_path)
    platform.produce(listens(10), partition=1)
    platform.expire(partition=1, before=10)
    platform.produce(listens(3), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (3, [])
    # What is lost before the first row that arrived is missed.
    platform.produce([{"ts": listens(1)[0]["ts"], "page": "Home"}] * 4, PAGE_VIEW, partition=0)
    platform.ingest()
    platform.rows("DELETE FROM RAW.EVENTS WHERE event_kind = 'page_view' AND kafka_offset < 2")
    topic = platform.topic(PAGE_VIEW)
    assert platform.imbalances() == [f"{topic}/0: 2 rows are missing (offsets 0–1)"]
    shown = platform.command("accept-loss", answer="n")
    assert f"{topic}/0: 2 rows are missing (offsets 0–1)" in shown
    assert platform.imbalances() != []
    platform.command("accept-loss", "--yes")
    assert platform.imbalances() == []
    assert platform.rows("SELECT kafka_topic, first_offset, last_offset FROM OPS.GAPS") == [(topic, 0, 1)]
    # So are rows that are there twice, and nothing is asked again.
    platform.rows(f"INSERT INTO RAW.EVENTS SELECT * FROM RAW.EVENTS WHERE kafka_topic = '{topic}' LIMIT 1")
    assert platform.imbalances() == [f"{topic}/0: 1 duplicate rows"]
    platform.command("accept-loss", "--yes")
    assert platform.imbalances() == []
    platform.produce(listens(2, first=3), partition=0)
    platform.ingest()
    assert platform.imbalances() == []


def test_of_two_audits_at_once_neither_misses_what_the_other_has_noted(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(stack, "two_audits", tmp_path)
    platform.produce(listens(40))
    platform.ingest()
    count, others = conservation.count_partitions, []

    def meanwhile(*arguments: Any) -> Any:
        if not others:
            others.append("begun")
            with connect(platform.settings) as other:
                others.extend(audit(other, platform.settings).complaints)
        return count(*arguments)

    monkeypatch.setattr(conservation, "count_partitions", meanwhile)
    assert platform.imbalances() == []
    assert others == ["begun"]
