"""Topics and offsets that changed are noticed, named and handled by a command, never skipped silently."""

import json
import shutil
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from music_platform.ingestion.backlog import kafka_age, lake_age, read_kafka_backlog
from music_platform.ingestion.gaps import StreamStoppedError
from music_platform.lake.paths import events_path
from music_platform.lake.progress import read_progress
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import create_topics
from music_platform.topics import TopicMissingError
from music_platform.warehouse.loader import LoadError
from tests.support import slowdown
from tests.support.ingestion import LISTEN, PAGE_VIEW, Platform, listens


def test_a_topic_created_again_is_noticed_and_read_once_adopted(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "recreated", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    platform.recreate()
    platform.produce(listens(4, first=100), partition=0)
    assert read_kafka_backlog(platform.settings)[1].records == 4, "its records are backlog although offsets are lower"
    with pytest.raises(StreamStoppedError, match=r"recreated-listen_events was deleted and created again.*topic adopt"):
        platform.ingest()
    assert platform.count() == 10
    shown = platform.command("topic", "adopt", platform.topic(LISTEN), answer="n")
    assert "The lake has its records up to these offsets: 0: 10" in shown
    assert "holds 4 records, which are read from the first" in shown
    with pytest.raises(StreamStoppedError):
        platform.ingest()
    assert "is adopted with its new id" in platform.command("topic", "adopt", platform.topic(LISTEN), answer="y")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (14, [])
    assert platform.rows("SELECT COUNT(DISTINCT kafka_topic_id) FROM RAW.EVENTS") == [(2,)]


def test_failOnDataLoss_false_hides_expired_offsets(stack: LocalStack, tmp_path: Path) -> None:  # noqa: N802
    platform = Platform(stack, "expired", tmp_path)
    platform.produce(listens(10), partition=1)
    platform.ingest()
    platform.produce(listens(10, first=10), partition=1)
    platform.expire(partition=1, before=15)
    with pytest.raises(StreamStoppedError, match=r"expired-listen_events/1 10–14.*accept-loss"):
        platform.ingest()
    shown = platform.command("accept-loss", answer="n")
    assert "expired-listen_events/1: the broker deleted offsets 10 to 14 (5) before they were read" in shown
    assert platform.rows("SELECT * FROM OPS.GAPS") == []
    assert "expired-listen_events/1: offsets 10 to 14 are recorded as lost" in platform.command("accept-loss", "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (15, [])
    assert platform.rows("SELECT first_offset, last_offset FROM OPS.GAPS") == [(10, 14)]


@pytest.mark.parametrize("what", ["lost", "foreign", "damaged", "old by 1", "old by 2"])
def test_a_checkpoint_that_does_not_fit_is_recovered_from_the_lake(
    stack: LocalStack, tmp_path: Path, what: str
) -> None:
    what, batches = what.split(" ")[0], int(what[-1]) if what[-1].isdigit() else 0
    platform = Platform(stack, f"checkpoint_{what}{batches or ''}", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    checkpoint = Path(read_progress(platform.settings.lake_root).checkpoint)
    if what == "lost":
        shutil.rmtree(checkpoint)
    elif what == "foreign":
        (checkpoint / "metadata").write_text('{"id":"00000000-0000-4000-8000-000000000000"}')
    elif what == "damaged":
        (checkpoint / "commits" / "0").write_text("")
    else:
        shutil.copytree(checkpoint, tmp_path / "old")
        for batch in range(batches):
            platform.produce(listens(10, first=10 * (batch + 1)), partition=0)
            platform.ingest()
        shutil.rmtree(checkpoint)
        shutil.copytree(tmp_path / "old", checkpoint)
    before = platform.count()
    platform.produce(listens(5, first=50), partition=0)
    with pytest.raises(StreamStoppedError, match=f"the checkpoint is {what}.*music-platform recover"):
        platform.ingest()
    generation = read_progress(platform.settings.lake_root).generation
    assert f"The checkpoint {checkpoint} is no longer used." in platform.command("recover", answer="n")
    assert read_progress(platform.settings.lake_root).generation == generation
    assert f"{platform.topic()}: resumes at 0: {before}" in platform.command("recover", "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (before + 5, [])


@pytest.mark.parametrize("batches", [1, 2])
def test_a_lake_that_is_older_than_its_checkpoint_reads_again_what_it_lost(
    stack: LocalStack, tmp_path: Path, batches: int
) -> None:
    platform = Platform(stack, f"lake_old{batches}", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    lake = Path(events_path(platform.settings.lake_root))
    shutil.copytree(lake, tmp_path / "old")
    for batch in range(batches):
        platform.produce(listens(10, first=10 * (batch + 1)), partition=0)
        platform.ingest()
    shutil.rmtree(lake)
    shutil.copytree(tmp_path / "old", lake)
    with pytest.raises(LoadError, match="music-platform rebuild"):
        platform.ingest()
    platform.command("rebuild", "--yes")
    with pytest.raises(StreamStoppedError, match=r"the lake is old: .*music-platform recover"):
        platform.ingest()
    platform.command("recover", "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (10 * (batches + 1), [])


def test_a_restart_resumes_at_the_committed_offset_and_reads_added_partitions_from_their_start(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "added", tmp_path)
    platform.produce(listens(10))
    platform.ingest()
    platform.admin.create_partitions([NewPartitions(platform.topic(LISTEN), 3)])[platform.topic(LISTEN)].result(
        slowdown.seconds(30)
    )
    time.sleep(slowdown.seconds(0.5))
    platform.produce(listens(7, first=10), partition=2)
    platform.ingest()
    assert (platform.count(), platform.count("kafka_partition = 2"), platform.imbalances()) == (17, 7, [])
    assert platform.ingest() == []


def test_a_missing_topic_stops_ingestion_with_its_name(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "missing", tmp_path)
    topic = platform.topic(PAGE_VIEW)
    platform.admin.delete_topics([topic])[topic].result(slowdown.seconds(30))
    time.sleep(slowdown.seconds(0.5))
    with pytest.raises(TopicMissingError, match="A topic is missing from Kafka"):
        platform.ingest()
    create_topics(platform.settings)


def test_lag_is_end_offsets_minus_committed_offsets_and_has_an_age(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "aged", tmp_path)
    platform.produce(listens(3))
    time.sleep(1.2)
    platform.produce(listens(2, first=3))
    offsets, stage = read_kafka_backlog(platform.settings)
    assert stage.records == 5
    assert 1.2 <= kafka_age(platform.settings, offsets) < slowdown.seconds(60)
    platform.ingest()
    offsets, stage = read_kafka_backlog(platform.settings)
    assert (stage.records, kafka_age(platform.settings, offsets)) == (0, 0.0)
    assert 1.2 <= lake_age(platform.settings, -1) < slowdown.seconds(120)
    assert lake_age(platform.settings, 10_000) == 0.0


def test_transaction_markers_and_aborted_records_are_neither_rows_nor_losses(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "transactions", tmp_path)
    producer = Producer({**platform.settings.kafka_client_config(), "transactional.id": f"transactions-{tmp_path}"})
    producer.init_transactions(slowdown.seconds(30))

    def transaction(values: list[dict[str, object]]) -> None:
        producer.begin_transaction()
        for value in values:
            producer.produce(platform.topic(), json.dumps(value).encode(), partition=0)
        producer.flush(slowdown.seconds(30))

    transaction(listens(5))
    producer.commit_transaction(slowdown.seconds(30))
    transaction(listens(3, first=5))
    producer.abort_transaction(slowdown.seconds(30))
    transaction(listens(2, first=8))
    producer.commit_transaction(slowdown.seconds(30))
    transaction(listens(4, first=10))
    platform.ingest()
    assert read_kafka_backlog(platform.settings)[1].records == 0, "an open transaction is no backlog"
    assert (platform.count(), platform.imbalances()) == (7, [])
    # 5 records, a marker, 3 aborted, a marker, 2 records, a marker.
    noted = platform.rows("SELECT first_offset, last_offset FROM OPS.GAPS ORDER BY 1")
    assert [(int(first), int(last)) for first, last in noted] == [(5, 9), (12, 12)]
    producer.commit_transaction(slowdown.seconds(30))
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (11, [])
    # A micro-batch of aborted records alone is one of the lake's too.
    transaction(listens(3, first=14))
    producer.abort_transaction(slowdown.seconds(30))
    platform.ingest()
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (11, [])
    # A row that is missing where the broker holds a record is none of this.
    platform.rows("DELETE FROM RAW.EVENTS WHERE kafka_offset IN (2, 10)")
    assert platform.imbalances() == [f"{platform.topic()}/0: 2 rows are missing"]
