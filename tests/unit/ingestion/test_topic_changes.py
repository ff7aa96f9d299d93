"""Which changes of topics and partitions begin a new generation of the checkpoint."""

from dataclasses import replace
from pathlib import Path

import pytest

from music_platform.ingestion.topic_changes import Changes, Read, adjust, changes, set_aside_sentences
from music_platform.lake.checkpoint import Offsets
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import checkpoint_path
from music_platform.lake.progress import Progress, RetiredTopic, read_progress
from music_platform.topics import TopicOffsets


def today(first: Offsets) -> TopicOffsets:
    """Topics of the broker, each named like its id, that hold ten records a partition."""
    ends = {topic: {number: at + 10 for number, at in parts.items()} for topic, parts in first.items()}
    return TopicOffsets(first, ends, {topic: f"id-{topic}" for topic in first})


READ = Read(committed={"a": {0: 5}})
BEGUN = Read(initial={"a": {0: 5}})


@pytest.mark.parametrize(
    ("read", "first", "wanted"),
    [
        (READ, {"a": {0: 3}}, Changes()),
        (READ, {"a": {0: 8}}, Changes()),  # lost after it was read from: a person decides
        (READ, {"a": {0: 0, 1: 0}}, Changes()),  # Spark reads an added partition from 0
        (READ, {"a": {0: 0, 1: 4}}, Changes(begin={"a": {1: 4}})),
        (READ, {"a": {0: 0}, "b": {0: 0}}, Changes()),
        (READ, {"a": {0: 0}, "b": {0: 4, 1: 0}}, Changes(begin={"b": {0: 4}})),
        (READ, {"b": {0: 0}}, Changes(gone=("a",))),
        (Read(), {"a": {0: 9}}, Changes()),  # no checkpoint yet: Spark begins where the broker does
        (BEGUN, {"a": {0: 5}}, Changes()),
        (BEGUN, {"a": {0: 8}}, Changes(begin={"a": {0: 8}})),  # expired before anything was committed
        (replace(BEGUN, starting={"a": {0: 5}}), {"a": {0: 8}}, Changes()),  # promised: a person decides
        (Read(starting={"a": {0: 5}}), {"b": {0: 0}}, Changes(gone=("a",))),
    ],
)
def test_a_new_generation_begins_where_nothing_was_promised(read: Read, first: Offsets, wanted: Changes) -> None:
    assert changes(read, today(first), {}, []) == wanted


def test_a_topic_that_comes_back_is_known_by_its_id() -> None:
    assert changes(READ, today({"a": {0: 0}, "b": {0: 4}}), {"b": "id-b"}, []).back == ("b",)
    assert changes(READ, today({"a": {0: 0}, "b": {0: 4}}), {"b": "older"}, []).back == ()


def test_what_the_lake_has_is_not_read_again_although_the_checkpoint_does_not_call_it_committed(tmp_path: Path) -> None:
    """The stream died between the two commits of its first micro-batch; then records expired."""
    checkpoint, log = Path(checkpoint_path(str(tmp_path))), tmp_path / "events" / "_delta_log"
    for file, text in (
        ("metadata", '{"id":"q"}'),
        ("sources/0/0", '\0v1\n{"a":{"0":0,"1":0}}'),
        ("offsets/0", 'v1\n{}\n{"a":{"0":10}}'),
    ):
        (checkpoint / file).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / file).write_text(text)
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_text('{"txn":{"appId":"q","version":0}}')
    found = adjust(Progress(str(tmp_path)), DeltaTable(str(tmp_path / "events")), today({"a": {0: 4, 1: 4}}), print)
    assert found.starting == {"a": {0: 10, 1: 4}}


def test_a_topic_is_set_aside_and_resumes_where_it_was(tmp_path: Path) -> None:
    table, said = DeltaTable(str(tmp_path / "events")), list[str]()
    Progress(str(tmp_path), {"a": "id-a", "b": "id-b"}, 1, {"a": {0: 5}, "b": {0: 7}}).save()
    without = adjust(read_progress(str(tmp_path)), table, today({"a": {0: 0}}), said.append)
    assert read_progress(str(tmp_path)) == without
    assert (without.generation, without.starting) == (2, {"a": {0: 5}})
    assert without.set_aside == (RetiredTopic("b", "id-b", {0: 7}),)
    assert "music-platform topic retire b" in set_aside_sentences(without, ["a"])[0]
    assert set_aside_sentences(without, ["a", "b"]) == [], "one that cannot be read is still the platform's"
    assert without.read_up_to() == {"a": {0: 5}, "b": {0: 7}}
    assert adjust(without, table, today({"a": {0: 0}}), said.append) is without, "once"
    again = adjust(without, table, today({"a": {0: 0}, "b": {0: 2}}), said.append)
    assert (again.generation, again.starting, again.set_aside) == (3, {"a": {0: 5}, "b": {0: 7}}, ())
