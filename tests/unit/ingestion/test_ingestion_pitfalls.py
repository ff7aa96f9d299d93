"""Mistakes of existing pipelines, each by its name, between a record's bytes and COPY."""

import json
from pathlib import Path

from music_platform.contracts import events
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.files import Folder
from music_platform.warehouse.copy import MAX_FILES, copy_statement
from music_platform.warehouse.staging import version_folder
from tests.support.payloads import TS
from tests.unit.spark.conftest import lake_rows

LISTEN = {"ts": TS, "userId": 1, "songId": "s"}


def test_sessionid_against_sessionId_is_silently_null() -> None:  # noqa: N802
    """A misspelt field is carried in `extra`, and a record that lacks a required one for it is quarantined."""
    optional, required = lake_rows([{**LISTEN, "sessionid": 7}, {"ts": TS, "userid": 1, "songId": "s"}])
    assert (optional.session_id, json.loads(optional.extra)) == (None, {"sessionid": 7})
    assert required.quarantine_reason == "userId: missing"


def test_event_id_hashed_from_content_deletes_real_events() -> None:
    """Equal content is two events; equal producer's ids are one event twice."""
    first, second = lake_rows([LISTEN, LISTEN])
    assert first.event_id != second.event_id
    again, repeated = lake_rows([{**LISTEN, "eventId": "e"}] * 2)
    assert again.event_id == repeated.event_id == "e"


def test_unpaginated_listing_stops_at_ten_thousand(tmp_path: Path) -> None:
    for number in range(12_000):
        (tmp_path / f"{number:020d}.json").touch()
    assert len(Folder.at(str(tmp_path)).names()) == 12_000


def test_second_resolution_object_names_overwrite_each_other() -> None:
    """A staged file has the name that Delta gave it, with a UUID, in the folder of its version."""
    assert version_folder(1) != version_folder(2) != version_folder(2, "rebuild")


def test_row_by_row_insert() -> None:
    """A version is loaded by bulk COPY: one statement for up to a thousand files, every column of the contract cast."""
    files = [f"part-{number}.parquet" for number in range(MAX_FILES)]
    statement = copy_statement("RAW.EVENTS", events.raw_columns(), "RAW.LAKE/events/v7", files, {"batch_id": "7"})
    assert statement.startswith("COPY INTO RAW.EVENTS (")
    assert statement.count(".parquet'") == MAX_FILES
    assert all(f"$1:{column.column}::" in statement for column in events.lake_columns())


def test_loader_globs_a_folder_and_counts_files_of_failed_attempts(tmp_path: Path) -> None:
    """Only what a committed version names counts, and compaction's rewritten files do not count again."""
    log = tmp_path / "_delta_log"
    log.mkdir()
    (tmp_path / "failed-attempt.parquet").touch()
    add = {"path": "a.parquet", "dataChange": True, "stats": '{"numRecords": 3, "minValues": {}}'}
    rewritten = {"path": "b.parquet", "dataChange": False, "stats": '{"numRecords": 3}'}
    remove = {"path": "a.parquet", "dataChange": False}
    commits = [[{"add": add}], [{"remove": remove}, {"add": rewritten}]]
    for version, actions in enumerate(commits):
        (log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, actions)))
    versions = list(DeltaTable(str(tmp_path)).versions_after(-1))
    assert [(version.files, version.rows) for version in versions] == [(("a.parquet",), 3), ((), 0)]
