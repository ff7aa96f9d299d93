"""What the lake's writer promises: a number of an application once, whoever commits beside it."""

import json
import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable as Table

from music_platform.contracts import events as contract
from music_platform.lake import delta_writer
from music_platform.lake.delta_log import DeltaTable, Transaction
from music_platform.lake.delta_writer import DataFile, append, compact, create_table, vacuum
from music_platform.lake.snapshot import snapshot


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A new table."""
    folder = str(tmp_path / "lake of [mine]" / "events")
    create_table(folder)
    return folder


def file(root: str, name: str, rows: int = 3) -> DataFile:
    """A file of rows in the table's folder, in some of the table's columns."""
    path = Path(root) / f"{name}.parquet"
    pq.write_table(pa.table({"event_id": [f"{name}-{n}" for n in range(rows)]}), path)
    return DataFile(path.name, path.stat().st_size, int(time.time() * 1000), json.dumps({"numRecords": rows}))


def test_a_new_table_has_the_contract_s_columns_and_an_old_one_gets_those_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, all_of_them = str(tmp_path), contract.lake_columns()
    with monkeypatch.context() as before:
        before.setattr(contract, "lake_columns", lambda: all_of_them[:-2])
        create_table(root)
    create_table(root)
    create_table(root)
    schema = Table(root).schema()
    assert [(f.name, f.metadata["comment"]) for f in schema.fields] == [(c.column, c.description) for c in all_of_them]
    assert DeltaTable(root).latest_version() == 1, "the third time there is nothing to do"


def test_a_number_of_an_application_is_in_the_table_once(root: str) -> None:
    assert append(root, [file(root, "a"), file(root, "b", 4)], "query", 5)
    assert not append(root, [file(root, "c")], "query", 5)
    assert not append(root, [file(root, "d")], "query", 4)
    assert append(root, [file(root, "e")], "another", 4)
    assert append(root, [], "query", 6), "a micro-batch of markers alone has its number too"
    table = DeltaTable(root)
    assert snapshot(table).rows_of == {"a.parquet": 3, "b.parquet": 4, "e.parquet": 3}
    assert [(version.number, version.rows) for version in table.versions_after(0)] == [(1, 7), (2, 3), (3, 0)]
    assert (table.last_batch("query"), table.last_batch("another")) == (6, 4)
    assert table.last_transaction() == Transaction("query", 6)


def test_of_writers_at_once_each_number_is_committed_by_one_and_no_commit_is_lost(root: str) -> None:
    """Eight of them, of two applications, want the same ten numbers."""
    done: list[tuple[str, int]] = []

    def write(who: int) -> None:
        app_id = f"query{who % 2}"
        for number in range(10):
            if append(root, [file(root, f"{app_id}-{number}-{who}", who + 1)], app_id, number):
                done.append((f"{app_id}-{number}", who + 1))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = sorted(f"query{app}-{number}" for app in range(2) for number in range(10))
    assert sorted(name for name, _ in done) == wanted
    rows = snapshot(DeltaTable(root)).rows_of
    assert sorted(name.rsplit("-", 1)[0] for name in rows) == wanted
    assert sum(rows.values()) == sum(rows for _, rows in done)


def test_compaction_and_vacuum_leave_what_is_being_written_and_change_no_data(root: str) -> None:
    for number in range(6):
        append(root, [file(root, f"part-{number}", 100)], "query", number)
    before = DeltaTable(root).latest_version()
    being_written = file(root, "part-tomorrow")
    assert compact(root, 1 << 20, 1) == 6
    table = DeltaTable(root)
    assert (snapshot(table).rows, len(snapshot(table).rows_of)) == (600, 1)
    assert [version.files for version in table.versions_after(before)] == [()], "nothing for the loader"
    old = time.time() - 3 * 3600
    for name in (*(f"part-{number}.parquet" for number in range(6)), "left-behind.parquet"):
        (Path(root) / name).touch()
        os.utime(Path(root) / name, (old, old))
    vacuum(root, 2)
    kept = {path.name for path in Path(root).glob("*.parquet")}
    assert being_written.name in kept
    assert "left-behind.parquet" not in kept, "of a task that died"
    assert {f"part-{number}.parquet" for number in range(6)} <= kept, "replaced a moment ago"
    assert table.latest_version() >= before + 1
    assert append(root, [being_written], "query", 6)
    assert snapshot(table).rows == 603


def test_the_log_has_checkpoints_and_transactions_outlive_the_commits_before_them(root: str) -> None:
    append(root, [file(root, "first")], "old", 7)
    for number in range(60):
        append(root, [], "query", number)
    log = Path(root) / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == 1
    for commit in log.glob("*.json"):
        if int(commit.stem) <= 40:
            commit.unlink()
    table = DeltaTable(root)
    assert (table.last_batch("old"), table.last_batch("query")) == (7, 59)
    assert not append(root, [file(root, "again")], "old", 7)
    assert table.last_transaction() == Transaction("query", 59)


def test_servers_that_are_not_amazon_s_or_google_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert delta_writer.storage_options() == {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://minio.example")
    assert delta_writer.storage_options() == {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert delta_writer.storage_options() == {"AWS_ALLOW_HTTP": "true"}
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443")
    account = json.loads(delta_writer.storage_options()["GOOGLE_SERVICE_ACCOUNT_KEY"])
    assert (account["gcs_base_url"], account["disable_oauth"]) == ("http://127.0.0.1:4443", True)
