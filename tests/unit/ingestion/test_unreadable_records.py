"""A record over which Spark fails is found in its error, and counts as read once it is in the lake."""

import json
from pathlib import Path

from music_platform.ingestion.unreadable_records import Place, unreadable
from music_platform.lake.delta_log import RECORD_APPLICATION, DeltaTable, Transaction
from music_platform.lake.progress import Progress

#: As Spark Connect's server sends it: the class of the outermost error, and Java's causes without theirs.
ERROR = """(STREAM_FAILED) [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/events. SQLSTATE: 58030
=== Streaming Query ===
Current Available Offsets: {KafkaV2[Subscribe[t1.listen_events]]: {"t1.listen_events":{"3":50}}}
Caused by: org.apache.spark.sql.kafka010.KafkaIllegalStateException: Record at topic t1.listen_events partition 3 \
offset 42 has timestamp value 1796005863964000000 that overflows when converting to Spark's microsecond-precision \
TimestampType.
Caused by: java.lang.ArithmeticException: long overflow"""


def test_the_record_is_named_by_sparks_error() -> None:
    assert unreadable(ValueError(ERROR)) == Place("t1.listen_events", 3, 42)
    assert unreadable(ValueError("something else")) is None


def test_what_was_read_around_the_stream_is_in_the_lake_and_is_no_stream(tmp_path: Path) -> None:
    log = tmp_path / "events" / "_delta_log"
    log.mkdir(parents=True)
    applications = [("q", 0), (f"{RECORD_APPLICATION}id-1/0", 6), (f"{RECORD_APPLICATION}id-1/0", 9), ("intake-1", 4)]
    for version, (app_id, number) in enumerate(applications):
        txn = {"txn": {"appId": app_id, "version": number}}
        (log / f"{version:020d}.json").write_text(json.dumps(txn))
    table = DeltaTable(str(tmp_path / "events"))
    assert table.last_transaction() == Transaction("q", 0)
    assert table.read_around() == {("id-1", 0): 10}
    progress = Progress(str(tmp_path), {"a": "id-1"}, starting={"a": {0: 4, 1: 7}, "b": {0: 1}})
    assert progress.committed_in_lake(table) == {"a": {0: 10, 1: 7}, "b": {0: 1}}
    later = Progress(str(tmp_path), {"a": "id-1"}, starting={"a": {0: 40}})
    assert later.committed_in_lake(table) == {"a": {0: 40}}
    assert Progress(str(tmp_path), {"a": "id-2"}).committed_in_lake(table) == {}, "another topic of the name"
