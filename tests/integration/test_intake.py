"""Files and topics, in every shape, into one table: each line and each record once."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from music_platform import failpoints
from music_platform.ingestion.rebuild import rebuild
from music_platform.stack.local_stack import LocalStack
from tests.support import worker
from tests.support.harness import CONTEXT, finish
from tests.support.ingestion import Platform, listens

PLAYBACK = {"user_id": "U001", "song_id": "S001", "timestamp": "2025-04-09T10:00:00", "device": "mobile"}
SKIP = {"user_id": "U001", "song_id": "S001", "event_type": "skip", "timestamp": "2025-04-09T10:01:00", "country": "NO"}


class WithFiles(Platform):
    """A platform with an intake, and a topic of another producer's shape."""

    def __init__(self, stack: LocalStack, name: str, folder: Path) -> None:
        places = {"intake_url": str(folder / "intake"), "reference_dir": folder / "reference"}
        super().__init__(stack, name, folder, shape_topics="plays=playback", **places)

    def drop(self, name: str, lines: Iterable[Any], end: bytes = b"\n") -> None:
        """A file, renamed into the intake as producers do."""
        text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + end
        path = Path(self.settings.intake_root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        part.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        part.rename(path)

    def left(self) -> list[str]:
        intake = Path(self.settings.intake_root)
        return sorted(str(path.relative_to(intake)) for path in intake.rglob("*") if path.is_file())


def catalogue(folder: Path) -> None:
    """Two artists of the name B: their songs of one title cannot be told apart by name."""
    folder.mkdir()
    (folder / "songs.csv").write_text(
        "song_id,title,artist_id,duration,genre,release_year\n"
        'S001,"Song, one",a1,200,Pop,1999\nS002,Two,a2,1,Rock,2000\nS003,Two,a3,1,Folk,2000\n'
    )
    (folder / "artists.csv").write_text("artist_id,name,home_city,home_state\na1,A,,\na2,B,,\na3,B,,\n")
    (folder / "users.csv").write_text("user_id,state,country\nU001,OS,NO\n7,,\n")


def test_files_and_topics_of_every_shape_go_into_one_table(stack: LocalStack, tmp_path: Path) -> None:
    platform = WithFiles(stack, "intake", tmp_path)
    catalogue(tmp_path / "reference")
    platform.produce(listens(3))
    platform.produce([PLAYBACK, {**PLAYBACK, "mood": "calm"}, b"{"], kind="plays")
    named = [{"artist": "A", "song": "Song, one"}, {"artist": "B", "song": "Two"}]
    by_name = [
        {**listen, "songId": None, "state": "OS", **names} for listen, names in zip(listens(2), named, strict=True)
    ]
    calm = [{**listen, "mood": "calm"} for listen in (*listens(2, first=100), *by_name)]
    platform.drop("listen_events/a b.jsonl", [*calm, b"{'not': json}", b""], end=b"")
    platform.drop("playback/a.jsonl.gz", [PLAYBACK, PLAYBACK, {**PLAYBACK, "timestamp": "2999-01-01T00:00:00"}])
    platform.drop("user_event/a.jsonl", [SKIP, {**SKIP, "event_type": "play"}, {**SKIP, "event_type": "sing"}])
    platform.drop("user_event/empty.jsonl", [], end=b"")
    platform.drop("user_event/.writing.jsonl", [SKIP])
    platform.ingest()

    found = platform.rows(
        "SELECT source, COALESCE(source_file, kafka_topic), event_kind, COUNT(*), COUNT(quarantine_reason), "
        "COUNT(extra) FROM RAW.EVENTS GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    assert [(*row[:3], *map(int, row[3:])) for row in found] == [
        ("file", "listen_events/a b.jsonl", "listen", 5, 1, 4),
        ("file", "playback/a.jsonl.gz", "listen", 3, 1, 0),
        ("file", "user_event/a.jsonl", "listen", 1, 0, 1),
        ("file", "user_event/a.jsonl", "page_view", 1, 0, 1),
        ("file", "user_event/a.jsonl", None, 1, 1, 0),
        ("kafka", "intake-listen_events", "listen", 3, 0, 0),
        ("kafka", "intake-plays", "listen", 3, 1, 1),
    ]
    assert platform.rows(
        "SELECT event_id, source_line, quarantine_reason FROM RAW.EVENTS WHERE source_file = 'playback/a.jsonl.gz' "
        "ORDER BY source_line"
    ) == [
        ("playback/a.jsonl.gz:1", 1, None),
        ("playback/a.jsonl.gz:2", 2, None),
        ("playback/a.jsonl.gz:3", 3, "timestamp: more than 24 h after the file's modification time"),
    ]
    # What the reference data says is in the lake, and in RAW with it.
    assert platform.rows(
        "SELECT DISTINCT song_id, artist, song_known, song_title, song_genre, user_country, place_country "
        "FROM RAW.EVENTS WHERE quarantine_reason IS NULL ORDER BY 1, 2"
    ) == [
        ("S001", None, True, "Song, one", "Pop", "NO", None),
        ("s", None, False, None, None, None, None),
        (None, "A", True, "Song, one", "Pop", None, "NO"),
        (None, "B", False, None, None, None, "NO"),
    ]
    assert platform.imbalances() == []
    assert platform.left() == [
        "_archive/listen_events/a b.jsonl", "_archive/playback/a.jsonl.gz", "_archive/user_event/a.jsonl",
        "_archive/user_event/empty.jsonl", "user_event/.writing.jsonl",
    ]  # fmt: skip

    # The same name again is refused, a new one is read, and the topics' stream continues as before.
    platform.drop("playback/a.jsonl.gz", [PLAYBACK])
    platform.drop("playback/b.jsonl", [PLAYBACK])
    platform.produce(listens(2, first=3))
    platform.ingest()
    assert (platform.count(), platform.count("source_file = 'playback/b.jsonl'"), platform.imbalances()) == (20, 1, [])
    assert [line for line in platform.lines if "a file with this name was ingested before" in line]
    rebuild(platform.context)
    assert (platform.count(), platform.imbalances()) == (20, [])


@pytest.mark.long
@pytest.mark.parametrize("point", [failpoints.INSIDE_FILE_BATCH, failpoints.AFTER_FILE_BATCH])
def test_a_killed_batch_of_files_is_repeated_and_nothing_is_there_twice(
    stack: LocalStack, tmp_path: Path, point: str
) -> None:
    platform = WithFiles(stack, f"killed_{point.replace('-', '_')}", tmp_path)
    for number in range(5):
        platform.drop(f"playback/{number}.jsonl", [PLAYBACK] * 200)
    platform.produce(listens(3))
    log = str(tmp_path / "killed.log")
    dying = CONTEXT.Process(target=worker.run, args=("drain", platform.settings, point, log))
    dying.start()
    assert finish(dying) == -9, Path(log).read_text()[-2000:]
    platform.drop("playback/later.jsonl", [PLAYBACK])
    platform.ingest()
    assert (platform.count("source = 'file'"), platform.count(), platform.imbalances()) == (1_001, 1_004, [])
    assert all(name.startswith("_archive/") for name in platform.left())
