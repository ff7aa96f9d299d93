"""Topics and offsets that changed are noticed, named and handled by a command, never skipped silently."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from music_platform.ingestion.backlog import kafka_age, lake_age, look_at_kafka, read_kafka_backlog
from music_platform.ingestion.drain import drain
from music_platform.ingestion.gaps import StreamStoppedError
from music_platform.ingestion.waiting import Seen
from music_platform.lake.paths import events_path
from music_platform.lake.progress import read_progress
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import create_topics
from music_platform.topics import TIMEOUT, TopicMissingError
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
    platform.produce([{"ts": 1_780_000_000_000, "userId": 1, "page": "Home"}] * 2, PAGE_VIEW)
    with pytest.raises(StreamStoppedError, match=r"expired-listen_events/1 10–14.*accept-loss"):
        platform.ingest()
    assert platform.count() == 12, "the other topic is read"
    shown = platform.command("accept-loss", answer="n")
    assert "expired-listen_events/1: the broker deleted offsets 10 to 14 (5) before they were read" in shown
    assert platform.rows("SELECT * FROM OPS.GAPS") == []
    assert "expired-listen_events/1: offsets 10 to 14 are recorded as lost" in platform.command("accept-loss", "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (17, [])
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


def with_plays(platform: Platform, names: str = "plays=playback") -> Platform:
    """The platform with other topics of its own shapes. They exist."""
    platform.settings = platform.settings.model_copy(update={"shape_topics": names})
    platform.context = replace(platform.context, settings=platform.settings)
    create_topics(platform.settings)
    return platform


def plays(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {"user_id": "U1", "song_id": f"S{n}", "timestamp": f"2026-05-01T00:00:{n:02}"}
        for n in range(first, first + count)
    ]


def test_a_topic_is_added_without_its_first_records_taken_out_and_put_back(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "changed", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    with_plays(platform)
    platform.produce(plays(10), "plays", partition=0)
    platform.expire(partition=0, before=4, kind="plays")
    platform.produce(listens(5, first=10), partition=0)
    platform.ingest()
    assert (platform.count(), platform.count("kafka_topic = 'changed-plays'"), platform.imbalances()) == (21, 6, [])
    platform.produce(plays(3, first=10), "plays", partition=0)
    with_plays(platform, "")
    platform.produce(listens(5, first=15), partition=0)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (26, [])
    platform.ingest()
    assert "music-platform topic retire changed-plays" in "".join(platform.lines)
    # Records that came while it was not read are read as soon as it is back.
    with_plays(platform)
    platform.ingest()
    assert (platform.count("kafka_topic = 'changed-plays'"), platform.imbalances()) == (9, [])
    # Taken out for good, and nothing is missed, whatever becomes of the topic.
    with_plays(platform, "")
    assert "up to these offsets: 0: 13" in platform.command("topic", "retire", "changed-plays", answer="n")
    assert "changed-plays is retired" in platform.command("topic", "retire", "changed-plays", "--yes")
    platform.command("recover", "--yes")
    platform.produce(listens(5, first=20), partition=0)
    assert len(platform.ingest()) == 2
    assert (platform.count(), platform.imbalances()) == (34, [])


def test_an_added_partition_without_its_first_records_stops_nobody(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "widened", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    platform.admin.create_partitions([NewPartitions(platform.topic(), 3)])[platform.topic()].result(
        slowdown.seconds(30)
    )
    time.sleep(slowdown.seconds(0.5))
    platform.produce(listens(10, first=10), partition=2)
    platform.expire(partition=2, before=6)
    platform.ingest()
    assert (platform.count(), platform.count("kafka_partition = 2"), platform.imbalances()) == (14, 4, [])


def test_a_first_micro_batch_whose_records_expire_before_it_commits_begins_later(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "edge", tmp_path)
    platform.produce(listens(10), partition=0)
    list(drain(platform.context, to_raw=False))
    # As a kill before the first commit leaves it: planned, but neither in the lake nor committed.
    shutil.rmtree(Path(events_path(platform.settings.lake_root)))
    shutil.rmtree(Path(read_progress(platform.settings.lake_root).checkpoint) / "commits")
    platform.expire(partition=0, before=4)
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (6, [])


def test_a_topic_created_again_after_its_checkpoint_was_lost_balances_after_recover_and_adopt(
    stack: LocalStack, tmp_path: Path
) -> None:
    platform = Platform(stack, "twice", tmp_path)
    platform.produce(listens(10), partition=0)
    platform.ingest()
    platform.recreate()
    shutil.rmtree(Path(platform.settings.lake_root) / "_checkpoints")
    platform.produce(listens(4, first=100), partition=0)
    platform.command("recover", "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (14, [])


def test_a_topic_that_is_missing_and_then_created_again_holds_no_other(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "missing", tmp_path)
    topic = platform.topic(PAGE_VIEW)
    platform.produce(listens(3))
    platform.produce([{"ts": 1_780_000_000_000, "userId": 1, "page": "Home"}] * 2, PAGE_VIEW)
    platform.ingest()
    assert platform.count() == 5
    platform.admin.delete_topics([topic])[topic].result(slowdown.seconds(30))
    time.sleep(slowdown.seconds(0.5))
    platform.produce(listens(3, first=3))
    offsets, stage = read_kafka_backlog(platform.settings)
    assert stage.behind == {name: 3 if name == platform.topic() else 0 for name in offsets.end}, "the others are read"
    assert (set(offsets.troubles), topic in offsets.end) == ({topic}, False)
    with pytest.raises(TopicMissingError, match=f"Topic {topic} is missing from Kafka"):
        platform.ingest()
    assert (platform.count(), platform.imbalances()) == (8, []), "but the others are read"
    generation = read_progress(platform.settings.lake_root).generation
    platform.produce(listens(1, first=6))
    with pytest.raises(TopicMissingError):
        platform.ingest()
    assert (platform.count(), read_progress(platform.settings.lake_root).generation) == (9, generation)
    create_topics(platform.settings)
    platform.produce([{"ts": 1_780_000_000_000, "userId": 1, "page": "Home"}] * 4, PAGE_VIEW)
    platform.produce(listens(1, first=7))
    with pytest.raises(StreamStoppedError, match=f"{topic} was deleted and created again"):
        platform.ingest()
    assert platform.count() == 10
    assert "is adopted with its new id" in platform.command("topic", "adopt", topic, "--yes")
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (14, [])


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
    offsets, stage = read_kafka_backlog(platform.settings)
    assert stage.records == 0, "an open transaction is no backlog"
    seen = look_at_kafka(platform.settings, Seen(), offsets, 1_000)
    assert seen.held_longer_than(300, 1_301) == {f"{platform.topic()}/0": (13, 1_000)}, "but it is seen"
    assert (platform.count(), platform.imbalances()) == (7, [])
    # 5 records, a marker, 3 aborted, a marker, 2 records, a marker.
    noted = platform.rows("SELECT first_offset, end_offset, row_count FROM OPS.RECONCILED WHERE row_count > 0")
    assert [tuple(map(int, row)) for row in noted] == [(0, 13, 7)]
    assert platform.rows("SELECT * FROM OPS.GAPS") == []
    producer.commit_transaction(slowdown.seconds(30))
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (11, [])
    transaction(listens(1, first=20))
    producer.abort_transaction(slowdown.seconds(30))
    offsets, stage = read_kafka_backlog(platform.settings)
    assert look_at_kafka(platform.settings, seen, offsets, 2_000).held == {}
    assert stage.records == 2, "an aborted record and its marker"
    began = time.monotonic()
    assert kafka_age(platform.settings, offsets) == 0.0
    assert time.monotonic() - began < min(TIMEOUT, slowdown.seconds(5)), "it waited for a record that never comes"
    platform.ingest()
    # A micro-batch of aborted records alone is one of the lake's too.
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (11, [])
    # A row that is missing where the broker holds a record is none of this.
    platform.rows("DELETE FROM RAW.EVENTS WHERE kafka_offset IN (2, 10)")
    assert platform.imbalances() == [f"{platform.topic()}/0: 2 rows are missing"]
