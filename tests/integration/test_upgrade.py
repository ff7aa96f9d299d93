"""A home that the previous commit's code created and filled still works."""

import os
import subprocess
from pathlib import Path

import pytest

from music_platform.environment import project_root, venv_bin
from music_platform.ingestion.conservation import audit
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.stack.provision import provision
from music_platform.topics import topic_names, topic_offsets
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.stack import DATA_SERVICES, running_stack, spark_session

#: A run of the older code, of both stages, as its users start it: the modules of a version may be anywhere.
DRAIN = ("dagster", "asset", "materialize", "-m", "music_platform.definitions", "--select")
BOTH = 'key:"lake/events" or key:"raw/events"'
#: The older commit: UPGRADE_FROM, or the one before this.
BEFORE = os.environ.get("UPGRADE_FROM", "HEAD^")


def previous_checkout(folder: Path) -> Path:
    """The commit before this one."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", BEFORE], cwd=project_root(), capture_output=True, check=False)
    assert archive.returncode == 0, f"needs the commit before this one: git fetch --deepen 1\n{archive.stderr.decode()}"
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


@pytest.mark.long
def test_a_home_of_the_previous_commit_still_works(tmp_path: Path) -> None:
    home, before = tmp_path / "home", previous_checkout(tmp_path / "before")
    # A Connect client leaves its marks in the environment.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    packages = ("", "packages/snowflake_local", "spark", "simulator")
    folders = [before / name for name in packages if not name or any((before / name).glob("*/__init__.py"))]
    path = os.pathsep.join(map(str, folders))
    environment = {**inherited, "MUSIC_HOME": str(home), "PYTHONPATH": path, "DAGSTER_HOME": str(home / "dagster")}

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            cwd=before,
            env=environment,
            capture_output=True,
            text=True,
            timeout=slowdown.seconds(300),
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    program = str(venv_bin() / "music-platform")
    simulate = (program, "simulate", "--users", "60", "--days", "1", "--events", "400")
    try:
        run(program, "up", "--detach", "--only", ",".join(sorted(DATA_SERVICES)))
        run(*simulate, "--seed", "1")
        run(str(venv_bin() / DRAIN[0]), *DRAIN[1:], BOTH)
        run(*simulate, "--seed", "2")
    finally:
        run(program, "down")

    with running_stack(home, DATA_SERVICES) as stack:
        settings = stack.settings
        provision(settings)
        environment["PYTHONPATH"] = str(project_root())
        run(*simulate, "--seed", "3")
        with spark_session(settings) as spark:
            list(drain(IngestionContext(settings, lambda: spark, lambda: connect(settings), lambda _: None)))
        records = topic_offsets(settings.kafka_client_config(), topic_names(settings).values()).records()
        with connect(settings) as session:
            found = audit(session, settings)
            cursor = session.cursor()
            cursor.execute("SELECT COUNT(*), COUNT(song_known) FROM RAW.EVENTS")
            ((rows, enriched),) = cursor.fetchall()
        assert (found.complaints, found.postponed, rows) == ([], None, records)
        assert records > 600
        assert enriched > 0, "new rows have the columns that the home did not have"
