"""What the platform asks a table's log, however long the log is and wherever it begins."""

import json
import math
import shutil
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from music_platform.ingestion import backlog
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import Loads
from music_platform.ingestion.gaps import require_sound_checkpoint
from music_platform.lake.delta_log import DeltaTable, Transaction, last_where
from music_platform.lake.files import Folder
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress
from music_platform.settings import Settings
from music_platform.topics import TopicOffsets
from tests.unit.warehouse.test_loads import Account


class Log:
    """A log made by hand: commits, a checkpoint, and Delta's pointer to it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "_delta_log"
        self.folder.mkdir()
        self.table = DeltaTable(str(root))

    def commit(self, version: int, app_id: str = "q", batch: int | None = None) -> None:
        txn = {"txn": {"appId": app_id, "version": version if batch is None else batch}}
        (self.folder / f"{version:020d}.json").write_text(json.dumps({"commitInfo": {}}) + "\n" + json.dumps(txn))

    def checkpoint(self, version: int, *transactions: tuple[str, int, int]) -> None:
        kind = pa.struct([("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())])
        rows = [None, *({"appId": app, "version": batch, "lastUpdated": at} for app, batch, at in transactions)]
        pq.write_table(pa.table({"txn": pa.array(rows, kind)}), self.folder / f"{version:020d}.checkpoint.parquet")
        (self.folder / "_last_checkpoint").write_text(json.dumps({"version": version, "size": 1}))

    def clean(self, before: int) -> None:
        for version in range(before):
            (self.folder / f"{version:020d}.json").unlink()


def test_transactions_outlive_the_cleaned_log_in_deltas_checkpoint(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for version in range(6):
        log.commit(version, "q" if version < 3 else "intake-x", version)
    assert log.table.last_transaction() == Transaction("q", 2)
    log.checkpoint(5, ("p", 9, 1), ("intake-x", 5, 3), ("q", 2, 2))
    log.clean(5)
    assert log.table.last_transaction() == Transaction("q", 2), "files alone were taken in for days"
    assert (log.table.last_batch("q"), log.table.last_batch("intake-x"), log.table.last_batch("p")) == (2, 5, 9)
    assert log.table.last_batch("intake-y") == -1
    log.commit(6, "q", 3)
    assert (log.table.last_transaction(), log.table.last_batch("intake-x")) == (Transaction("q", 3), 5)


@pytest.mark.parametrize(("known", "last"), [(0, 0), (0, 1), (0, 6), (0, 7), (0, 8), (50, 99_999), (99_990, 99_999)])
def test_the_last_version_is_found_in_few_questions(known: int, last: int) -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number <= last

    assert last_where(holds, known) == last
    assert len(asked) <= 2 * math.log2(last - known + 2) + 2


def test_the_latest_version_follows_a_log_that_grows_is_restored_or_is_gone(tmp_path: Path) -> None:
    log = Log(tmp_path)
    assert (log.table.latest_version(), log.table.earliest_version()) == (-1, 0)
    for version in range(12):
        log.commit(version)
        assert DeltaTable(str(tmp_path)).latest_version() == version
    log.checkpoint(9)
    log.clean(7)
    assert (log.table.earliest_version(), log.table.latest_version()) == (7, 11)
    assert [log.table.reaches_back_to(number) for number in (-1, 5, 6, 11, 12)] == [False, False, True, True, True]
    # A backup that ends earlier, while the process lives.
    for version in (10, 11):
        (log.folder / f"{version:020d}.json").unlink()
    assert log.table.latest_version() == 9
    (log.folder / "_last_checkpoint").write_text("")
    (log.folder / f"{9:020d}.json").unlink()
    assert (log.table.earliest_version(), log.table.latest_version()) == (7, 8)
    shutil.rmtree(log.folder)
    assert (log.table.latest_version(), log.table.earliest_version()) == (-1, 0)


VERSIONS = 100_000


def test_nothing_lists_a_log_of_a_hundred_thousand_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, lake_url=str(tmp_path / "lake"))  # type: ignore[call-arg]
    names = {f"{version:020d}.json" for version in range(50, VERSIONS)}
    commit = json.dumps({"commitInfo": {"timestamp": 1}})
    listed, asked = list[str](), list[str]()

    def is_log(folder: Folder) -> bool:
        return folder.path.endswith("_delta_log")

    def read(folder: Folder, name: str) -> bytes:
        if is_log(folder):
            asked.append(name)
            if name == "_last_checkpoint":
                return json.dumps({"version": VERSIONS - 40}).encode()
            if name in names:
                return commit.encode()
        raise FileNotFoundError(name)

    def exists(folder: Folder, name: str) -> bool:
        asked.append(name)
        return is_log(folder) and name in names

    def note_listing(folder: Folder) -> list[object]:
        if is_log(folder):
            listed.append(folder.path)
        return []

    offsets = TopicOffsets({"a": {0: 0}}, {"a": {0: 0}}, {"a": "1"})
    monkeypatch.setattr(Folder, "read", read)
    monkeypatch.setattr(Folder, "exists", exists)
    monkeypatch.setattr(Folder, "_listed", note_listing)
    monkeypatch.setattr(backlog, "readable_offsets", lambda *_: offsets)
    monkeypatch.setattr(DeltaTable, "_checkpointed_transactions", lambda *_: iter(()))
    table = DeltaTable(events_path(settings.lake_root))
    loaded = VERSIONS - 3

    def watch_and_sensors() -> None:
        backlog.read_kafka_backlog(settings)
        backlog.read_lake_backlog(settings, loaded)
        backlog.lake_age(settings, loaded)
        backlog.read_marts_backlog(settings, loaded - 2, loaded)

    context = IngestionContext(settings, lambda: None, lambda: nullcontext(Account(0, loaded)), lambda _: None)  # type: ignore[arg-type, return-value]
    for look in (
        watch_and_sensors,
        lambda: require_sound_checkpoint(Progress(settings.lake_root), table),
        lambda: Loads(context, table, {}).are_due(),
        lambda: list(Loads(context, table, {}).run()),
    ):
        asked.clear()
        look()
        assert len(asked) < 200
    assert listed == []
    assert table.latest_version() == VERSIONS - 1
    assert table.earliest_version() == 50
    assert backlog.read_lake_backlog(settings, -1).unknown
    assert listed == []


def test_a_table_that_was_never_written_has_no_transaction(tmp_path: Path) -> None:
    assert DeltaTable(str(tmp_path)).last_transaction() is None
    assert DeltaTable(str(tmp_path)).last_batch("q") == -1


@pytest.mark.parametrize("minimum", ["+58869-01-07T02:40:00.000Z", "1970-01-21T16:45:17.000Z", "no time"])
def test_a_time_in_the_statistics_that_is_none_is_unknown(tmp_path: Path, minimum: str) -> None:
    """One record whose producer wrote microseconds ended loading, lag, maintenance, the sensors and the watch."""
    add = {"path": "a", "dataChange": True}
    log = tmp_path / "_delta_log"
    log.mkdir()
    for number, found in enumerate((minimum, "2026-05-01T00:00:00.000Z")):
        stats = json.dumps({"numRecords": 1, "minValues": {"kafka_timestamp": found}})
        (log / f"{number:020d}.json").write_text(json.dumps({"add": {**add, "stats": stats}}))
    first, second = DeltaTable(str(tmp_path)).versions_after(-1)
    assert (first.rows, first.oldest_ms) == (1, None)
    assert second.oldest_ms == 1_777_593_600_000
