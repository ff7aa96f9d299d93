"""The same 100,000 events, by topic alone and half by topic, half by file: every one is there, and the marts agree."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from music_platform.contracts import events
from music_platform.contracts.reference import TABLES
from music_platform.environment import project_root, venv_bin
from music_platform.orchestration.resources import dbt_environment
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from music_platform.warehouse.reference_tables import load_reference
from tests.support import slowdown
from tests.support.ingestion import Platform

NATIVE, MAPPED = 90_000, 5_000
#: Folder of the intake → kind or topic of `Platform.produce`.
FOLDERS = {topic: kind for kind, topic in events.TOPICS.items()} | {"playback": "plays", "user_event": "actions"}
#: Lines of a file.
PART = 8_000


def simulated(folder: Path) -> dict[str, list[bytes]]:
    """Lines of each folder, in order. In the second half every record has an unknown field."""
    command = [
        sys.executable,
        "-m",
        "music_simulator",
        "--out",
        str(folder),
        "--seed",
        "3",
        "--users",
        "2500",
        "--days",
        "14",
    ]
    disturbed = ["--events", str(NATIVE), "--late", ".02", "--malformed", ".002", "--invalid", ".002", "--v2", ".3"]
    subprocess.run([*command, *disturbed], check=True, capture_output=True, timeout=slowdown.seconds(200))
    lines = {topic: [line for file in sorted((folder / topic).glob("*.jsonl")) for line in file.open("rb")]
             for topic in events.TOPICS.values()}  # fmt: skip
    songs = [line.split(",")[0] for line in (folder / "reference/songs.csv").read_text().splitlines()[1:500]]
    chance = random.Random(3)
    for name, words in (("playback", [""]), ("user_event", ["play", "pause", "skip", "add_to_playlist", "sing"])):
        lines[name] = [mapped(number, chance.choice(songs), chance.choice(words)) for number in range(MAPPED)]
    return {name: [*of[: len(of) // 2], *map(with_mood, of[len(of) // 2 :])] for name, of in lines.items()}


def mapped(number: int, song: str, event_type: str) -> bytes:
    """A playback, or a user event."""
    time = datetime.fromtimestamp(1_780_300_000 + number * 97, UTC).isoformat()
    record = {"user_id": f"U{number % 700:03}", "song_id": song, "timestamp": time}
    more = {"event_id": f"ue-{number}", "event_type": event_type, "country": "NO"} if event_type else {"device": "tv"}
    return json.dumps({**record, **more}).encode()


def with_mood(line: bytes) -> bytes:
    try:
        return json.dumps({**json.loads(line), "mood": "calm"}).encode()
    except (ValueError, TypeError):
        return line


class Sourced(Platform):
    """A platform that reads topics and files."""

    def __init__(self, stack: LocalStack, name: str, folder: Path, reference: Path) -> None:
        topics = "plays=playback,actions=user_event"
        super().__init__(
            stack, name, folder, intake_url=str(folder / "intake"), shape_topics=topics, reference_dir=reference
        )

    def drop(self, folder: str, lines: list[bytes]) -> None:
        target = Path(self.settings.intake_root) / folder
        target.mkdir(parents=True)
        for number, start in enumerate(range(0, len(lines), PART)):
            text = b"".join(line.rstrip(b"\n") + b"\n" for line in lines[start : start + PART])
            zipped = number % 2
            path = target / f"{number}.jsonl{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(text, 1) if zipped else text)

    def build(self, scratch: Path) -> None:
        """The reference data into RAW, and all models."""
        with connect(self.settings) as session:
            for table in TABLES:
                load_reference(session, table, self.settings.reference_root / f"{table.name}.csv")
        places = {"DBT_TARGET_PATH": str(scratch / "target"), "DBT_LOG_PATH": str(scratch / "logs")}
        done = subprocess.run(
            [str(venv_bin() / "dbt"), "build", "--exclude-resource-type", "test", "unit_test"],
            cwd=project_root() / "dbt_project",
            env={**os.environ, **dbt_environment(self.settings), **places},
            capture_output=True,
            text=True,
            timeout=slowdown.seconds(300),
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]

    def marts(self) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
        for (name,) in self.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'GOLD' ORDER BY 1"
        ):
            yield str(name), sorted(self.rows(f"SELECT * FROM GOLD.{name}"), key=repr)


@pytest.mark.long
def test_topics_and_files_give_the_same_marts(stack: LocalStack, tmp_path: Path) -> None:
    lines = simulated(tmp_path / "simulated")
    sent = sum(map(len, lines.values()))
    assert sent >= 100_000
    reference = tmp_path / "simulated" / "reference"
    by_topic = Sourced(stack, "by_topic", tmp_path / "by_topic", reference)
    by_both = Sourced(stack, "by_both", tmp_path / "by_both", reference)
    for folder, of in lines.items():
        by_topic.produce((line.rstrip(b"\n") for line in of), kind=FOLDERS[folder])
        by_both.produce((line.rstrip(b"\n") for line in of[::2]), kind=FOLDERS[folder])
        by_both.drop(folder, of[1::2])
    for platform in (by_topic, by_both):
        platform.ingest()
        assert platform.count() == sent
        assert platform.imbalances() == []
        platform.build(tmp_path / platform.settings.snowflake_database)
    halves = [by_both.count(f"source = '{source}'") for source in ("kafka", "file")]
    assert sum(halves) == sent
    assert min(halves) > 0.49 * sent
    bad, carried = (by_topic.count(f"{column} IS NOT NULL") for column in ("quarantine_reason", "extra"))
    assert (by_both.count("quarantine_reason IS NOT NULL"), by_both.count("extra IS NOT NULL")) == (bad, carried)
    assert carried > 0.45 * sent
    assert bad > 1_000, "the word that no shape knows"

    expected, marts = dict(by_topic.marts()), dict(by_both.marts())
    assert expected.keys() == marts.keys()
    assert len(marts) >= 17
    for name, rows in expected.items():
        assert rows, name
        assert marts[name] == rows, (
            name,
            [pair for pair in zip(marts[name], rows, strict=False) if pair[0] != pair[1]][:2],
        )
