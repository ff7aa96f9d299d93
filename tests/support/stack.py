"""The real local stack for tests: a home of its own on free ports, up for as long as the `with` lasts."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.connect.session import SparkSession as ConnectSession

from music_platform.settings import Settings
from music_platform.sources import ENV_FILE
from music_platform.stack import services
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import tree_of
from music_spark.session import open_session

#: What the data goes through; the webserver and the daemon are started only where a test asks for them.
DATA_SERVICES = frozenset({"kafka", "spark", "warehouse"})

#: Settings that say where tools are; a developer's values hold in tests too.
_TOOL_SETTINGS = ("java_home", "jars_dir")


def forget_environment() -> None:
    """Drop the platform's settings: tests must not reach a developer's own Kafka or Snowflake, by `.env` neither."""
    for name in Settings.model_fields:
        if name not in _TOOL_SETTINGS:
            os.environ.pop(name.upper(), None)
    os.environ[ENV_FILE] = ""


#: Servers of tests live for minutes: without it half of what they do is compile themselves.
QUICK_START = "-XX:TieredStopAtLevel=1"


#: Settings under which a disk is never too full.
NO_DISK_ALERTS = {"disk_warning_percent": 0, "disk_critical_percent": 0}


def settings_for(home: Path, **settings: object) -> Settings:
    """Settings of a home, without `.env`. Ports are chosen by the stack's first `up`.

    How full the disk of the machine is that runs the tests is nobody's alert. Nothing off this machine is accepted,
    neither here nor by what the tests start.
    """
    given: dict[str, Any] = {"jvm_options": QUICK_START, "music_local_only": True, **NO_DISK_ALERTS, **settings}
    return Settings(_env_file=None, music_home=home, **given)  # type: ignore[call-arg]


def kill_tree(stack: LocalStack, service: str) -> None:
    """SIGKILL for a service and all that it has started: of the code server, the runs at work."""
    pid = stack.status()[service].pid
    assert pid is not None, f"{service} does not run"
    for process in tree_of(pid):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def spark_session(settings: Settings) -> Iterator[SparkSession]:
    """A session of its own on a stack that ends before the process does: `getOrCreate` would keep it for the next."""
    session = open_session(settings.spark_url or "", settings.spark_token, str(uuid.uuid4()))
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def tiny_code_location(project: Path) -> Iterator[None]:
    """Stacks that start meanwhile serve a project of one asset, `one`, in this folder: it loads at once."""
    (project / "tiny.py").write_text("import dagster as dg\n\n\n@dg.asset\ndef one() -> int:\n    return 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "project_root", lambda: project)
        patch.setattr(services, "DEFINITIONS", "tiny")
        yield


@contextmanager
def running_stack(home: Path, only: frozenset[str] | None = DATA_SERVICES, **settings: object) -> Iterator[LocalStack]:
    """A stack with every service answering; taken down at the end, whatever happened."""
    stack = LocalStack(settings_for(home, **settings))
    end_spark_session()
    try:
        stack.up(set(only) if only is not None else None)
        yield stack
    finally:
        end_spark_session()
        stack.down()


def end_spark_session() -> None:
    """End this process's Spark session, so that the next one is opened at the address that is asked for. Its server is
    going away: left to the process's end, pyspark says goodbye to it for a minute."""
    if (session := ConnectSession._default_session) is not None:
        session.release_session_on_close = False
        session.stop()
