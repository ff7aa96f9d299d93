"""A task's file and what the log says of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable as Table
from hypothesis import given
from hypothesis import strategies as st
from pyspark import cloudpickle

from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import create_table
from music_platform.lake.files import Folder
from music_spark import write
from music_spark.write import FORMAT, BatchWriter, MicroBatchWriter, Statistics, sink, write_file

SCHEMA = pa.schema([
    ("event_id", pa.string()), ("kafka_offset", pa.int64()), ("kafka_timestamp", pa.timestamp("us", tz="UTC")),
    ("event_time", pa.timestamp("us", tz="UTC")),
])  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
times = st.none() | st.integers(-(2**50), 2**52).map(lambda us: EPOCH + timedelta(microseconds=us))
rows = st.tuples(st.text(max_size=3), st.none() | st.integers(-(2**63), 2**63 - 1), times, times)


def batch(found: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = list(zip(*found, strict=True)) or [[]] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return batches


@given(st.lists(st.lists(rows, min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_statistics_are_bounds_of_every_row_and_at_most_a_millisecond_wide(
    parts: list[list[tuple[object, ...]]],
) -> None:
    statistics = Statistics()
    for part in parts:
        statistics.add(pa.Table.from_batches([batch(part)]))
    found = json.loads(statistics.json())
    every = [row for part in parts for row in part]
    assert found["numRecords"] == len(every)
    for place, name in enumerate(SCHEMA.names[1:], 1):
        values = [row[place] for row in every if row[place] is not None]
        assert found["nullCount"][name] == len(every) - len(values)
        if not values:
            assert name not in found["minValues"]
            assert name not in found["maxValues"]
            continue
        least, most = found["minValues"][name], found["maxValues"][name]
        if name == "kafka_offset":
            assert (least, most) == (min(values), max(values))
            continue
        for bound, value, side in ((least, min(values), 1), (most, max(values), -1)):
            distance = (value - datetime.fromisoformat(bound)) * side
            assert timedelta(0) <= distance < timedelta(milliseconds=1)


def test_times_that_no_calendar_has_are_in_the_file_and_not_in_the_statistics() -> None:
    far = pa.array([2**62, 0], pa.int64()).cast(SCHEMA.field("event_time").type)
    statistics = Statistics()
    statistics.add(pa.table([["a", "b"], [1, 2], far, [EPOCH, EPOCH]], schema=SCHEMA))
    found = json.loads(statistics.json())
    assert found["minValues"] == {"kafka_offset": 1, "event_time": "1970-01-01T00:00:00.000Z"}
    assert found["maxValues"].keys() == found["minValues"].keys()


def test_rows_become_one_file_of_row_groups_and_none_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ROWS_TOGETHER", 7)
    folder = Folder.at(str(tmp_path))
    assert write_file(folder, iter([])) is None
    assert write_file(folder, iter([batch([])])) is None
    assert list(tmp_path.iterdir()) == []
    parts = [[(f"{p}-{n}", n, EPOCH, None) for n in range(5)] for p in range(4)]
    written = write_file(folder, map(batch, parts))
    assert written is not None
    path = tmp_path / written.name
    assert path.stat().st_size == written.bytes
    assert pq.read_table(path).to_pylist() == pa.Table.from_batches(map(batch, parts)).to_pylist()
    assert pq.ParquetFile(path).num_row_groups == 2
    assert json.loads(written.statistics)["numRecords"] == 20


def test_a_batch_that_is_repeated_adds_no_rows_and_takes_no_file_away(tmp_path: Path) -> None:
    """As Spark drives it: the class travels, tasks write, the driver commits their messages, or another attempt has."""
    root = str(tmp_path / "events")
    create_table(root)
    kind = cloudpickle.loads(cloudpickle.dumps(sink(root, same)))
    assert kind.name() == FORMAT
    for number, rows_in_table in ((3, 4), (3, 4), (4, 8)):
        writer = kind({"application": "intake-x", "number": str(number)}).writer(None, False)
        assert isinstance(writer, BatchWriter)
        tasks = [[(f"{number}-{task}-{n}", n, EPOCH, EPOCH) for n in range(2)] for task in range(2)]
        messages = [writer.write(iter([batch(task)])) for task in tasks]
        writer.commit([*messages, writer.write(iter([]))])
        assert Table(root).to_pyarrow_table(columns=["event_id"]).num_rows == rows_in_table
    # The answer to a commit that succeeded was lost: Spark calls it failed.
    writer.commit([*messages, None])
    writer.abort([*messages, None])
    assert Table(root).to_pyarrow_table(columns=["event_id"]).num_rows == 8


def test_a_stream_s_batches_go_by_the_id_in_its_checkpoint(tmp_path: Path) -> None:
    root, checkpoint = str(tmp_path / "events"), tmp_path / "checkpoint"
    create_table(root)
    checkpoint.mkdir()
    (checkpoint / "metadata").write_text('{"id": "the-query"}')
    writer = sink(root, same)({"checkpointLocation": str(checkpoint)}).streamWriter(None, False)  # type: ignore[arg-type]
    assert isinstance(writer, MicroBatchWriter)
    writer.commit([writer.write(iter([batch([("a", 1, EPOCH, EPOCH)])]))], 12)
    assert DeltaTable(root).last_batch("the-query") == 12
