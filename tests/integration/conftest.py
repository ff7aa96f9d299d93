"""A platform of its own for each test: fresh topics, lake path and database on the session's stack."""

import json
import os
import subprocess
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import Producer

from music_platform.contracts import events
from music_platform.environment import dagster_environment, settings_environment, venv_bin
from music_platform.settings import LOOPBACK, PORT_FIELDS, Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.stack.services import create_dagster_store
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.eventsim import eventsim_lines
from tests.support.snowflake_grammar import Sent, not_begun, refused
from tests.support.stack import settings_for


@dataclass
class Platform:
    """Settings of a test's own platform, a Dagster instance in its own folder, and the ways to use them."""

    settings: Settings
    dagster_home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a process of its own works on this platform."""
        own = {**settings_environment(self.settings, secrets=True), **dagster_environment(self.settings)}
        own["DAGSTER_HOME"] = str(self.dagster_home)
        return {**os.environ, **own, "PATH": f"{venv_bin()}:{os.environ['PATH']}"}

    def produce(self, records: Iterable[tuple[str, bytes | None]]) -> int:
        """Send (event kind, value) to the kinds' topics; the number of acknowledged records."""
        names, sent = topic_names(self.settings), 0
        producer = Producer({**self.settings.kafka_client_config(), "linger.ms": 20, "compression.type": "lz4"})
        for kind, value in records:
            while True:
                try:
                    producer.produce(names[kind], value, key=_key(value))
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        assert producer.flush(slowdown.seconds(60)) == 0
        return sent

    def materialize(self, *options: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """`dagster asset materialize` in a fresh process; all that it printed is in stdout."""
        process = self.start_materializing(*options, **variables)
        printed, _ = process.communicate(timeout=slowdown.seconds(400))
        if check:
            assert process.returncode == 0, printed[-6000:]
        return subprocess.CompletedProcess(process.args, process.returncode, printed)

    def start_materializing(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            ["dagster", "asset", "materialize", "-m", "music_platform.definitions", *(options or ("--select", "*"))],
            env=self.environment | variables,
            # Not in the checkout: Dagster's programs read the `.env` of the folder they start in, and let it win.
            cwd=self.dagster_home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, job: str) -> dg.ExecuteInProcessResult:
        """A job of the definitions, in this process, on the test's own instance."""
        from music_platform.definitions import build_defs

        with dg.DagsterInstance.from_config(str(self.dagster_home)) as instance:
            return build_defs(self.settings).resolve_job_def(job).execute_in_process(instance=instance)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a statement at the warehouse."""
        with connect(self.settings) as session:
            return list(session.cursor().execute(statement).fetchall())  # type: ignore[union-attr, arg-type]

    def statements(self) -> list[dict[str, Any]]:
        """The latest statements that the stack's warehouse has got, from whomever, with their query tags."""
        return latest_statements(self.settings)

    def value(self, statement: str) -> Any:
        """The one value of a statement."""
        ((found,),) = self.rows(statement)
        return found


def latest_statements(settings: Settings) -> list[dict[str, Any]]:
    """What the local warehouse shows of the statements that it has got."""
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{settings.warehouse_port}/statements",
        headers={"Authorization": f"Bearer {settings.music_secret}"},
    )
    with urllib.request.urlopen(request, timeout=slowdown.seconds(10)) as answer:
        return list(json.load(answer))


def _key(value: bytes | None) -> bytes | None:
    try:
        record = json.loads(value or b"null")
    except ValueError:
        return None
    return (
        str(record.get("userId") or f"guest-{record.get('sessionId')}").encode() if isinstance(record, dict) else None
    )


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Sent]:
    """What the session's warehouse was sent. When the session ends, Snowflake's grammar has to take all of it."""
    found = Sent()
    yield found
    assert found.too_long == []
    own = tmp_path_factory.getbasetemp()
    assert refused(not_begun(found.shapes, (own if worker_id == "master" else own.parent) / "grammar")) == []


@pytest.fixture(autouse=True)
def collected(request: pytest.FixtureRequest, sent: Sent) -> Iterator[None]:
    """Collect the statements of each test on the session's stack."""
    yield
    if "stack" in request.fixturenames:
        sent.add(latest_statements(request.getfixturevalue("stack").settings))
    if "warehouse_settings" in request.fixturenames:
        sent.add(latest_statements(request.getfixturevalue("warehouse_settings")))


@pytest.fixture
def platform(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A provisioned platform of the test's own."""
    own = uuid.uuid4().hex[:8]
    shared = stack.settings
    settings = settings_for(
        shared.home,
        **{name: getattr(shared, name) for name in (*PORT_FIELDS, "music_secret")},
        topic_prefix=f"t{own}.",
        lake_url=str(tmp_path / "lake"),
        reference_dir=tmp_path / "reference",
        snowflake_database=f"T{own.upper()}",
    )
    for name, value in settings_environment(settings, secrets=True).items():
        monkeypatch.setenv(name, value)
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "run_launcher: {module: music_platform.orchestration.launcher, class: HealthCheckedLauncher}\n"
    )
    create_dagster_store(dagster_home)
    provision(settings)
    return Platform(settings, dagster_home)


def eventsim_records() -> Iterator[tuple[str, bytes]]:
    """(event kind, line) of eventsim's output."""
    for kind, topic in events.TOPICS.items():
        for line in eventsim_lines(topic):
            yield kind, line
