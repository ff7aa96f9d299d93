"""What the platform asks a table's log, however long the log is and wherever it begins."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from music_platform.lake.delta_log import DeltaTable, Transaction


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


def test_a_table_that_was_never_written_has_no_transaction(tmp_path: Path) -> None:
    assert DeltaTable(str(tmp_path)).last_transaction() is None
    assert DeltaTable(str(tmp_path)).last_batch("q") == -1
