"""The lake and the intake on an object store: the whole chain, maintenance, and kills in the middle of it."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from music_platform import failpoints
from music_platform.ingestion.maintenance import maintain
from music_platform.ingestion.rebuild import rebuild
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import DataFile, append, compact, create_table
from music_platform.lake.files import Folder
from music_platform.lake.paths import events_path
from music_platform.lake.snapshot import snapshot
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from tests.support import worker
from tests.support.harness import CONTEXT, finish
from tests.support.ingestion import Platform, listens
from tests.support.stack import running_stack, spark_session
from tests.support.stores import Store, gcs, s3

PLAYBACK = b'{"user_id": "U001", "song_id": "S001", "timestamp": "2025-04-09T10:00:00", "device": "mobile"}\n'

STORES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {"s3": s3, "gcs": gcs}
KILLS = (failpoints.INSIDE_MICRO_BATCH, failpoints.BEFORE_COMMIT, failpoints.INSIDE_FILE_BATCH)


class OnStore(Platform):
    """A platform whose lake and intake are in a bucket; broker and warehouse are the session's."""

    def __init__(self, stack: LocalStack, name: str, folder: Path, spark: SparkSession, **settings: object) -> None:
        self.spark = spark
        super().__init__(stack, name, folder, **settings)

    def drop(self, name: str, content: bytes) -> None:
        folder, _, file = name.rpartition("/")
        Folder.at(f"{self.settings.intake_root}/{folder}").write(file, content)

    def _spark(self) -> SparkSession:
        return self.spark


def dying(variables: dict[str, str], settings: Settings, point: str, log: str) -> None:
    """Entry point of a drain that dies at a point; its fork server may be older than the store."""
    os.environ.update(variables)
    worker.run("drain", settings, point, log)


@pytest.mark.long
@pytest.mark.parametrize("name", STORES)
def test_the_chain_on_an_object_store(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with STORES[name](tmp_path / "store") as store:
        for variable, value in store.variables.items():
            monkeypatch.setenv(variable, value)
        places: dict[str, object] = {"lake_url": f"{store.url}/lake", "intake_url": f"{store.url}/intake"}
        with (
            running_stack(
                tmp_path / "home", frozenset({"spark"}), music_secret=stack.settings.music_secret, **places
            ) as own,
            spark_session(own.settings) as spark,
        ):
            places["spark_port"] = own.settings.spark_port
            chain(OnStore(stack, f"on_{name}", tmp_path, spark, **places))
            places |= {"lake_url": f"{store.url}/dying", "intake_url": f"{store.url}/dying-intake"}
            die(OnStore(stack, f"dies_on_{name}", tmp_path, spark, **places), store, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", STORES)
def test_of_commits_at_the_same_time_none_overwrites_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The store decides who is first. Six writers of two applications want the same numbers."""
    with STORES[name](tmp_path / "store") as store:
        for variable, value in store.variables.items():
            monkeypatch.setenv(variable, value)
        root = f"{store.url}/lake of [mine]/events"
        create_table(root)
        done: list[tuple[str, int]] = []

        def write(app_id: str) -> None:
            done.extend((app_id, number) for number in range(5) if append(root, [], app_id, number))

        threads = [threading.Thread(target=write, args=(f"query{who % 2}",)) for who in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [(f"query{app}", number) for app in range(2) for number in range(5)]
        assert DeltaTable(root).latest_version() == len(done)

        assert append(root, [large_file(root, "a"), large_file(root, "b")], "query0", 5)
        assert compact(root, 1 << 30, 1) == 2
        found = snapshot(DeltaTable(root))
        assert (found.rows, len(found.rows_of)) == (2 * ROWS, 1), "written in several parts"


#: Rows of a file of 8 MB: two of them together are written in several parts.
ROWS = 8_000


def large_file(root: str, name: str) -> DataFile:
    """A file in the table's folder whose text no compression makes smaller."""
    folder, file = Folder.at(root), f"{name}.parquet"
    with folder.system.open_output_stream(folder.file(file)) as stream:
        pq.write_table(pa.table({"event_id": [os.urandom(512).hex() for _ in range(ROWS)]}), stream)
        size = stream.tell()
    return DataFile(file, size, int(time.time() * 1000), json.dumps({"numRecords": ROWS}))


def chain(platform: OnStore) -> None:
    """Ingest topics and files to RAW in several batches, maintain the lake, rebuild RAW."""
    platform.produce(listens(100))
    platform.drop("playback/a.jsonl", PLAYBACK * 10)
    platform.drop("playback/.part.jsonl", PLAYBACK)
    platform.ingest()
    platform.produce(listens(100, first=100))
    platform.ingest()
    assert (platform.count(), platform.count("source = 'file'"), platform.imbalances()) == (210, 10, [])
    root = platform.settings.intake_root
    assert Folder.at(f"{root}/playback").names() == [".part.jsonl"]
    assert Folder.at(f"{root}/_archive/playback").names() == ["a.jsonl"]

    assert maintain(platform.context).compacted >= 3
    platform.produce(listens(50, first=200))
    platform.ingest()
    assert (platform.count(), platform.imbalances()) == (260, [])
    assert snapshot(DeltaTable(events_path(platform.settings.lake_root))).rows == 260
    rebuild(platform.context)
    assert (platform.count(), platform.imbalances(), platform.ingest()) == (260, [], [])


def die(platform: OnStore, store: Store, folder: Path) -> None:
    """A run that dies in the middle leaves nothing half visible, and the next one loses and doubles nothing."""
    sent, log = 0, str(folder / "dying.log")
    for number, point in enumerate(KILLS):
        platform.produce(listens(40, first=40 * number))
        platform.drop(f"playback/{number}.jsonl", PLAYBACK * 10)
        sent += 50
        before = platform.count()
        run = CONTEXT.Process(target=dying, args=(store.variables, platform.settings, point, log))
        run.start()
        assert finish(run) == -9, (point, Path(log).read_text()[-3000:])
        assert platform.count() - before in (0, 10, 40, 50), f"{point}: a batch is there wholly or not at all"
        platform.ingest()
        assert (platform.count(), platform.imbalances()) == (sent, []), point
