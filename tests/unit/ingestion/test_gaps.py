"""What stops the stream is decided by comparing ids, offsets, and the checkpoint with the lake."""

from pathlib import Path

import pytest

from music_platform.ingestion.gaps import (
    Gap,
    Partition,
    ahead_of_broker,
    checkpoint_trouble,
    expired,
    held_topics,
    recreated,
)
from music_platform.ingestion.reconnection import offsets_after
from music_platform.lake.checkpoint import CheckpointError, CheckpointState, covers, read_checkpoint
from music_platform.lake.delta_log import Transaction
from music_platform.lake.paths import checkpoint_path, progress_path
from music_platform.lake.progress import FILE, Progress, RetiredTopic, read_progress
from music_platform.topics import TopicMissingError, TopicOffsets


def test_a_topic_with_another_id_was_created_again_and_a_new_one_was_not() -> None:
    assert recreated({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b"]


def test_expired_offsets_are_the_range_between_what_is_read_and_what_is_left() -> None:
    committed, first = {"a": {0: 5, 1: 7}}, {"a": {0: 5, 1: 9, 2: 3}}
    assert expired(committed, first, ["a"]) == [Gap(Partition("a", 1), 7, 8)]
    assert offsets_after(committed, expired(committed, first, ["a"])) == {"a": {0: 5, 1: 9}}


def test_a_broker_with_fewer_records_than_were_read_is_noticed() -> None:
    assert ahead_of_broker({"a": {0: 5, 1: 6}}, {"a": {0: 5, 1: 4}}, ["a"]) == ["a/1 (read up to 6, ends at 4)"]
    assert ahead_of_broker({"a": {0: 5}}, {"a": {}}, ["a"]) == ["a/0 (read up to 5, ends at nothing: it is gone)"]


@pytest.mark.parametrize(
    ("checkpoint", "last", "in_lake", "retired", "said"),
    [
        (CheckpointState(), None, -1, (), None),
        (CheckpointState("q", -1, 0), None, -1, (), None),
        (CheckpointState("q", 3, 3), Transaction("q", 3), 3, (), None),
        (CheckpointState("q", 3, 4), Transaction("q", 3), 3, (), None),  # died before the table's commit
        (CheckpointState("q", 3, 4), Transaction("q", 4), 4, (), None),  # died between it and the checkpoint's
        (CheckpointState("q", 3, 3), Transaction("q", 4), 4, (), "checkpoint is old"),
        (CheckpointState("q", 3, 4), Transaction("q", 5), 5, (), "checkpoint is old"),
        (CheckpointState("q", 3, 3), Transaction("q", 2), 2, (), "lake is old"),
        (CheckpointState("q", 3, 3), None, -1, (), "lake is old"),
        (CheckpointState("q", 3, 3), Transaction("p", 8), -1, ("p",), "lake is old"),  # older than the generation
        (CheckpointState("q", 3, 3), Transaction("other", 3), -1, (), "checkpoint is foreign"),
        (CheckpointState(), Transaction("q", 3), -1, (), "checkpoint is lost"),
        (CheckpointState(), Transaction("q", 3), -1, ("q",), None),  # a new generation that has not started
        (CheckpointState("q", 3, 3, "offsets/4"), Transaction("q", 3), 3, (), "checkpoint is damaged: offsets/4"),
    ],
)
def test_checkpoint_and_lake_must_be_of_one_stream_and_equally_recent(
    checkpoint: CheckpointState, last: Transaction | None, in_lake: int, retired: tuple[str, ...], said: str | None
) -> None:
    trouble = checkpoint_trouble(checkpoint, last, in_lake, retired)
    assert (said is None) == (trouble is None)
    assert said is None or said in str(trouble)


OFFSETS = 'v1\n{"batchWatermarkMs":0}\n{"a":{"0":5}}'


def checkpoint(root: Path, committed: int, planned: int) -> Path:
    """A checkpoint as Spark leaves it."""
    for folder, last, text in (("commits", committed, 'v1\n{"nextBatchWatermarkMs":0}'), ("offsets", planned, OFFSETS)):
        (root / folder).mkdir(parents=True)
        for number in range(last + 1):
            (root / folder / str(number)).write_text(text)
    (root / "metadata").write_text('{"id":"q"}')
    (root / "sources" / "0").mkdir(parents=True)
    (root / "sources" / "0" / "0").write_text('\0v1\n{"a":{"0":0}}')
    return root


def test_the_state_of_a_checkpoint_is_read_from_its_files(tmp_path: Path) -> None:
    assert read_checkpoint(str(tmp_path / "none")) == CheckpointState()
    assert read_checkpoint(str(checkpoint(tmp_path / "a", 3, 3))) == CheckpointState("q", 3, 3)
    assert read_checkpoint(str(checkpoint(tmp_path / "b", 3, 4))) == CheckpointState("q", 3, 4)
    assert read_checkpoint(str(checkpoint(tmp_path / "c", -1, 0))) == CheckpointState("q", -1, 0)


@pytest.mark.parametrize("file", ["metadata", "commits/3", "offsets/3", "offsets/4", "sources/0/0"])
def test_a_file_that_a_power_failure_left_empty_is_named(tmp_path: Path, file: str) -> None:
    found = checkpoint(tmp_path / "events", 3, 4)
    (found / file).write_text("")
    assert read_checkpoint(str(found)).damaged == file


def test_a_batch_succeeds_when_the_checkpoint_covers_all_wanted_offsets() -> None:
    assert covers({"a": {0: 5, 1: 9}}, {"a": {0: 5, 1: 8}})
    assert not covers({"a": {0: 5}}, {"a": {0: 5, 1: 1}})
    assert covers({}, {"a": {0: 0}})


def test_progress_is_read_as_written_and_says_where_a_new_generation_starts(tmp_path: object) -> None:
    root = str(tmp_path)
    assert read_progress(root) == Progress(root)
    kept = Progress(root, {"a": "1"}, 2, {"a": {0: 5}}, (RetiredTopic("a", "0", {0: 9}),), ("q",))
    kept.save()
    assert read_progress(root) == kept
    assert kept.checkpoint.endswith("events-2")
    assert kept.committed() == {"a": {0: 5}}
    assert kept.starting_offsets({"a": {0: 9, 1: 9}}) == '{"a": {"0": 5, "1": -2}}'


def test_a_damaged_progress_is_named_and_a_new_generation_never_takes_an_old_checkpoint(tmp_path: Path) -> None:
    root = str(tmp_path)
    for generation in (0, 1, 2):
        Path(checkpoint_path(root, generation)).mkdir(parents=True)
    # As after a backup of generation 0 was restored.
    assert Progress(root).next_generation({}, {}).generation == 3
    (Path(progress_path(root)) / FILE).write_text("")
    with pytest.raises(CheckpointError, match=r"progress.json cannot be read.*music-platform recover"):
        read_progress(root)


def test_each_topic_is_held_by_its_own_trouble(tmp_path: Path) -> None:
    """One that is missing, was created again, lost records or is shorter than it was; also while it is set aside."""
    progress = Progress(
        str(tmp_path),
        {"fine": "1", "again": "2", "lost": "3", "short": "4", "gone": "5"},
        1,
        {"fine": {0: 5}, "again": {0: 5}, "short": {0: 5}},
        set_aside=(RetiredTopic("lost", "3", {0: 5}),),
    )
    offsets = TopicOffsets(
        first={"fine": {0: 0}, "again": {0: 0}, "lost": {0: 7}, "short": {0: 0}, "new": {0: 3}},
        end={"fine": {0: 9}, "again": {0: 9}, "lost": {0: 9}, "short": {0: 4}, "new": {0: 9}},
        ids={"fine": "1", "again": "another", "lost": "3", "short": "4", "new": "6"},
        troubles={"gone": TopicMissingError("Topic gone is missing")},
    )
    held = held_topics(progress, offsets)
    assert {topic: str(why).partition(": ")[2][:24] for topic, why in held.items() if topic != "gone"} == {
        "again": "again was deleted and cr",
        "lost": "the broker deleted recor",
        "short": "the broker has fewer rec",
    }
    assert held["gone"] is offsets.troubles["gone"]
    assert offsets.only(offsets.ids.keys() - held.keys()).ids == {"fine": "1", "new": "6"}
