"""The process that is killed: one drain of the platform's own ingestion, or one of its other jobs, with nothing
around it.

Started through a fork server that has the imports done, so that twenty kills cost seconds and not minutes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from music_platform.settings import Settings, get_settings


def run(what: str, settings: Settings, failpoint: str, log: str) -> None:
    """Entry point of the child: run `what`, dying at `failpoint` if one is given."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["FAILPOINT"] = failpoint
    get_settings.cache_clear()
    try:
        JOBS[what](settings)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}"[:2000], file=sys.stderr, flush=True)
        os._exit(1)
    # Without the client's farewell, which waits where a server is gone.
    os._exit(0)


def context(settings: Settings) -> "object":
    from pyspark.sql import SparkSession

    from music_platform.ingestion.context import IngestionContext
    from music_platform.warehouse.connection import connect
    from music_spark.session import open_session

    def spark() -> SparkSession:
        return open_session(settings.spark_url or "", settings.spark_token)

    return IngestionContext(settings, spark, lambda: connect(settings), lambda line: print(line, flush=True))


def drain(settings: Settings) -> None:
    from music_platform.ingestion.drain import drain as ingest

    for step in ingest(context(settings)):  # type: ignore[arg-type]
        print(step, flush=True)


def rebuild(settings: Settings) -> None:
    from music_platform.ingestion.rebuild import rebuild as again

    again(context(settings))  # type: ignore[arg-type]


def maintain(settings: Settings) -> None:
    from music_platform.ingestion.maintenance import maintain as keep

    keep(context(settings))  # type: ignore[arg-type]


JOBS: dict[str, Callable[[Settings], None]] = {"drain": drain, "rebuild": rebuild, "maintain": maintain}

PRELOAD = [
    "tests.support.worker",
    "music_platform.ingestion.drain",
    "music_platform.warehouse.connection",
    "snowflake.connector",
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.streaming.query",
]


def log_of(home: Path) -> Path:
    """Where the children's output goes."""
    return home / "chaos.log"
