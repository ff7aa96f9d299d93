"""A field that the contract names later is carried in `extra` before and a column after, and the stream resumes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from music_platform.environment import project_root, settings_environment
from music_platform.ingestion.drain import drain
from music_platform.orchestration.resources import dbt_environment
from music_platform.stack.local_stack import LocalStack
from tests.support import slowdown
from tests.support.ingestion import Platform, listens

#: The edit: one more field, in a new version.
ANCHOR = '    _field("listenedSeconds"'
MOOD = '    _field("mood", "mood", S, "Mood of the listener.", since=4),\n'

#: A drain of the edited checkout with its own Spark: workers of the session's server import this checkout's modules.
DRAIN = """
from pyspark.sql import SparkSession
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.stack.provision import provision
from music_platform.stack.spark_connect import server_conf
from music_platform.settings import load_settings
from music_platform.warehouse.connection import connect

settings = load_settings()
provision(settings)
builder = SparkSession.builder
for name, value in server_conf(settings).items():
    if not name.startswith("spark.connect") and name != "spark.driver.extraJavaOptions":
        builder = builder.config(name, value)
list(drain(IngestionContext(settings, builder.getOrCreate, lambda: connect(settings), print)))
"""


def edited_checkout(folder: Path) -> Path:
    """A copy of this project whose contract names `mood`, released by its own command."""
    for name in ("music_platform", "spark", "simulator", "dbt_project"):
        shutil.copytree(project_root() / name, folder / name, ignore=shutil.ignore_patterns("target", "__pycache__"))
    definition = folder / "music_platform" / "contracts" / "events.py"
    text = definition.read_text()
    assert ANCHOR in text
    definition.write_text(text.replace(ANCHOR, MOOD + ANCHOR))
    return folder


@pytest.mark.long
def test_a_field_is_carried_in_extra_until_the_contract_names_it(stack: LocalStack, tmp_path: Path) -> None:
    platform = Platform(stack, "evolved", tmp_path)
    platform.produce(listens(5, mood="calm"))
    platform.ingest()
    # A version of the lake that only the edited loader comes to: its files lack the column.
    platform.produce(listens(5, first=5, mood="wild"))
    list(drain(platform.context, to_raw=False))

    checkout = edited_checkout(tmp_path / "checkout")
    variables = settings_environment(platform.settings, secrets=True) | dbt_environment(platform.settings)
    # A Connect client leaves its marks in the environment.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    environment = {**inherited, **variables, "PYTHONPATH": str(checkout), "PYSPARK_PYTHON": sys.executable}

    def run(*command: str, cwd: Path = checkout) -> None:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=slowdown.seconds(200),
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    run(sys.executable, "-m", "music_platform.cli.contract")
    assert (checkout / "music_platform/contracts/schemas/v4/listen.json").exists()
    platform.produce(listens(5, first=10, mood="keen"))
    run(sys.executable, "-c", DRAIN)

    # Nothing was read again or lost: the same checkpoint went on.
    assert (platform.count(), platform.imbalances()) == (15, [])
    assert platform.rows("SELECT mood, extra:mood::varchar, COUNT(*) FROM RAW.EVENTS GROUP BY 1, 2 ORDER BY 2") == [
        (None, "calm", 5),
        (None, "wild", 5),
        ("keen", None, 5),
    ]
    dbt = str(Path(sys.executable).parent / "dbt")
    run(dbt, "run", "--select", "+events", cwd=checkout / "dbt_project")
    assert platform.rows("SELECT mood, COUNT(*) FROM SILVER.EVENTS GROUP BY 1 ORDER BY 1") == [
        ("calm", 5),
        ("keen", 5),
        ("wild", 5),
    ]
