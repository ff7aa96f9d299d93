"""What builds of the marts cost: live and policy builds on a short and on a long history, and a rebuild of everything.

    python -m benchmarks.marts [--short 1000000] [--long 20000000] [--rebuild 10000000] [--new 20000] [--repeats 3]

A history has the same number of events on each day, so a longer one has more days. DuckDB writes the lake's files and
the loader loads them. Builds run in one warm process that keeps the manifest, as in the platform. The seconds of a
model are from builds that run one model after another. After one repeat to warm up, the fastest counts: other load on
the machine can only add time.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from socket import socket
from typing import Any

import duckdb

from music_platform.contracts.events import ColumnType, lake_columns
from music_platform.contracts.reference import TABLES
from music_platform.lake.delta_log import DeltaTable
from music_platform.settings import LOOPBACK, Settings
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import load
from music_platform.warehouse.reference_tables import load_reference
from music_platform.warehouse.schema import provision_warehouse

PROJECT = Path(__file__).parents[1] / "dbt_project"
FLAGS = ("--no-use-colors", "--no-send-anonymous-usage-stats", "--quiet", "--log-level-file", "none",
         "--profiles-dir", str(PROJECT), "--project-dir", str(PROJECT))  # fmt: skip
EVENTS_A_DAY, EVENTS_A_SESSION, USERS, SONGS = 33_340, 20, 20_000, 10_000
LAST_DAY = date(2026, 6, 30)
ROWS_A_FILE = 2_000_000
TIERS = ("live", "policy")
_SQL_TYPES = {ColumnType.STRING: "varchar", ColumnType.BIGINT: "bigint", ColumnType.DOUBLE: "double",
              ColumnType.BOOLEAN: "boolean", ColumnType.TIMESTAMP: "timestamptz"}  # fmt: skip


def events_sql(first: int, count: int, seed: int, days: str) -> str:
    """Events from number `first`, in sessions: Home, nine songs (listen, NextSong), Skip. `days`: SQL of a date."""
    values = {
        "source": "'kafka'",
        "kafka_topic": "case when is_listen then 'listen_events' else 'page_view_events' end",
        "kafka_topic_id": "'topic'",
        "kafka_partition": "n % 4",
        "kafka_offset": "n",
        "kafka_timestamp": "happened + interval 2 seconds",
        "event_kind": "case when is_listen then 'listen' else 'page_view' end",
        "event_time": "happened",
        "event_id": f"md5('{seed}/' || n)",
        "schema_version": "1",
        "ts": "epoch_ms(happened)",
        "session_id": f"{seed}::bigint * 100000000 + session",
        "item_in_session": "item",
        "level": "case when who % 4 = 0 then 'paid' else 'free' end",
        "user_agent": "'\"Mozilla/5.0 (Windows NT 6.' || who % 50 || ') Gecko/20100101 Firefox/31.0\"'",
        "city": "'City ' || who % 500",
        "state": "'S' || who % 50",
        "zip": "lpad((who % 90000)::varchar, 5, '0')",
        "lat": "40.0",
        "lon": "-90.0",
        "user_id": "who::varchar",
        "first_name": "'First'",
        "last_name": "'Last'",
        "gender": "case when who % 2 = 0 then 'F' else 'M' end",
        "registration": "1500000000000",
        "auth": "'Logged In'",
        "page": "case when is_listen then null when item=0 then 'Home' when item=19 then 'Skip' else 'NextSong' end",
        "artist": "case when item between 1 and 18 then 'Artist ' || song // 3 end",
        "song": "case when item between 1 and 18 then 'Song ' || song end",
        "duration": "case when item between 1 and 18 then 180.0 + song % 100 end",
        "song_id": "case when item > 0 then 'S' || song end",
        "artist_id": "case when item between 1 and 18 then 'A' || song // 3 end",
        "ingested_at": "happened + interval 4 seconds",
    }
    columns = ", ".join(
        f"({values.get(c.column, 'null')})::{_SQL_TYPES[c.sql_type]} as {c.column}" for c in lake_columns()
    )
    return f"""
        with numbered as (
            select range as n, range // {EVENTS_A_SESSION} as session, (range % {EVENTS_A_SESSION})::int as item
            from range({first}, {first + count})
        ),
        placed as (
            select *, hash(session, {seed}) % {USERS} as who, item between 1 and 18 and item % 2 = 1 as is_listen,
                (hash(session, (item + 1) // 2, {seed}) % {SONGS} * (hash(n, 7) % 1000) // 1000)::bigint as song,
                ({days})::timestamp + to_seconds((hash(session, 3, {seed}) % 82000)::int + (item // 2) * 200) as at_utc
            from numbered
        ),
        timed as (select *, at_utc at time zone 'UTC' as happened from placed)
        select {columns} from timed
    """


class Lake:
    """The lake's files and log, written without Spark."""

    def __init__(self, root: Path) -> None:
        self.root, self.versions = root, 0
        (root / "_delta_log").mkdir(parents=True)

    def append(self, statements: list[str]) -> None:
        """Append a version with one file per statement."""
        lines: list[Any] = [{"commitInfo": {"timestamp": int(time.time() * 1000)}}]
        with duckdb.connect() as engine:
            engine.execute("set TimeZone = 'UTC'")
            for statement in statements:
                name = f"part-{uuid.uuid4()}.parquet"
                engine.execute(f"copy ({statement}) to '{self.root / name}' (format parquet, compression zstd)")
                (rows,) = engine.execute(f"select count(*) from read_parquet('{self.root / name}')").fetchone() or (0,)
                lines.append({"add": {"path": name, "dataChange": True, "stats": json.dumps({"numRecords": rows})}})
        (self.root / "_delta_log" / f"{self.versions:020d}.json").write_text("\n".join(map(json.dumps, lines)))
        self.versions += 1

    def append_history(self, events: int) -> None:
        """Append `events` events whose last day is `LAST_DAY`."""
        first_day = LAST_DAY - timedelta(days=events // EVENTS_A_DAY)
        days = f"date '{first_day}' + (session * {EVENTS_A_SESSION} // {EVENTS_A_DAY})::int"
        self.append([events_sql(n, min(ROWS_A_FILE, events - n), 1, days) for n in range(0, events, ROWS_A_FILE)])

    def append_new(self, events: int, seed: int) -> None:
        """Append new events of the last day. A few are up to three days late."""
        days = f"date '{LAST_DAY}' - (case when hash(session, 9) % 100 < 3 then hash(session) % 3 + 1 else 0 end)::int"
        self.append([events_sql(0, events, seed, days)])


class Warehouse:
    """A local warehouse in its own process, with one database."""

    def __init__(self, root: Path, delay: float = 0.0) -> None:
        with socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "snowflake_local", "--root", str(root / "warehouse")]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--memory-limit", "8GB", "--statement-delay-seconds", str(delay)],
            stderr=subprocess.DEVNULL,
        )
        self.settings = Settings(_env_file=None, music_home=root, warehouse_port=port)  # type: ignore[call-arg]
        self.lake, self._manifest = Lake(root / "lake"), None
        self._environment = {
            "WAREHOUSE_PORT": str(port),
            "SNOWFLAKE_DATABASE": self.settings.snowflake_database,
            "DBT_TARGET_PATH": str(root / "target"),
            "DBT_LOG_PATH": str(root / "logs"),
        }
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        provision_warehouse(self.settings)
        self._load_reference(root)

    def _load_reference(self, root: Path) -> None:
        songs = "".join(f"S{n},Song {n},A{n // 3},180.0,Genre {n % 12},2000,Label {n % 20}\n" for n in range(SONGS))
        artists = "".join(f"A{n},Artist {n},Paris,TX\n" for n in range(SONGS // 3 + 1))
        texts = {"songs": songs, "artists": artists, "users": ""}
        with connect(self.settings) as session:
            for table in TABLES:
                header = ",".join(column.column for column in table.columns) + "\n"
                (root / f"{table.name}.csv").write_text(header + texts[table.name])
                if texts[table.name]:
                    load_reference(session, table, root / f"{table.name}.csv")

    def load(self) -> float:
        """Load what is new in the lake. Returns the seconds."""
        started = time.monotonic()
        with connect(self.settings) as session:
            for _ in load(session, DeltaTable(str(self.lake.root))):
                pass
        return time.monotonic() - started

    def dbt(self, *arguments: str) -> tuple[float, dict[str, float]]:
        """Run dbt in this process. Returns the seconds in all and per model."""
        from dbt.cli.main import dbtRunner

        os.environ |= self._environment
        if self._manifest is None:
            self._manifest = dbtRunner().invoke(["parse", *FLAGS]).result
        started = time.monotonic()
        done = dbtRunner(self._manifest).invoke([*arguments, *FLAGS])
        if not done.success:
            raise RuntimeError(
                f"dbt {' '.join(arguments)} failed: {done.exception or [r.message for r in done.result]}"
            )
        return time.monotonic() - started, {result.node.name: result.execution_time for result in done.result}

    def statements(self) -> int:
        """Number of statements since the warehouse started."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.settings.warehouse_port}/health", timeout=5) as answer:
            return int(json.load(answer)["statements"])

    def peak_memory_gb(self) -> float:
        """Peak memory of the warehouse's process."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) / 1e6 if found else float("nan")


@contextmanager
def warehouse(delay: float = 0.0) -> Iterator[Warehouse]:
    """A warehouse in a temporary folder that is removed afterwards. Each statement takes `delay` seconds longer."""
    with tempfile.TemporaryDirectory(prefix="benchmark-marts-") as folder:
        running = Warehouse(Path(folder), delay)
        try:
            yield running
        finally:
            running.process.terminate()
            running.process.wait(60)


def measure(histories: tuple[int, int], new: int, repeats: int) -> list[dict[str, float]]:
    """For each history, the seconds of live and policy builds and of each model in them.

    The two histories take turns, so that other load on the machine affects both.
    """
    runs: list[dict[str, list[float]]] = [{}, {}]
    with ExitStack() as stack:
        warehouses = [stack.enter_context(warehouse()) for _ in histories]
        for running, history in zip(warehouses, histories, strict=True):
            running.lake.append_history(history)
            running.load()
            running.dbt("seed")
            running.dbt("run")
        for number in range(repeats + 1):
            for running, found in zip(warehouses, runs, strict=True):
                for name, seconds in live_and_policy(running, new, seed=number + 2).items():
                    found.setdefault(name, []).append(seconds)
    return [{name: min(values[1:]) for name, values in found.items()} for found in runs]


def live_and_policy(running: Warehouse, new: int, seed: int) -> dict[str, float]:
    """Load new events and build as the platform does, for the seconds of the builds. Then do the same with one model
    after another, for the seconds of each model: in parallel, a model of a tenth of a second waits as long again.
    """
    found: dict[str, float] = {}
    running.lake.append_new(new, 2 * seed)
    found["RAW (load)"] = running.load()
    for tier in TIERS:
        found[f"{tier.upper()} BUILD"], _ = running.dbt("run", "--selector", tier)
    running.lake.append_new(new, 2 * seed + 1)
    running.load()
    for tier in TIERS:
        _, models = running.dbt("run", "--selector", tier, "--threads", "1")
        found |= {f"{tier}: {name}": seconds for name, seconds in models.items()}
    return found


def rebuild(events: int) -> tuple[float, float]:
    """Seconds and peak memory (GB) of a rebuild of silver and gold from that many raw events."""
    with warehouse() as running:
        running.lake.append_history(events)
        running.load()
        running.dbt("seed")
        seconds, _ = running.dbt("run", "--full-refresh")
        return seconds, running.peak_memory_gb()


def start_of_dbt() -> float:
    """Seconds until a fresh dbt process has read the project from the cache of the previous one."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "parse", *FLAGS]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DBT_TARGET_PATH": folder, "DBT_LOG_PATH": folder}
        for _ in range(4):
            started = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds.append(time.monotonic() - started)
    return min(seconds[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.marts", description=__doc__)
    for name, default in (
        ("short", 1_000_000),
        ("long", 20_000_000),
        ("rebuild", 10_000_000),
        ("new", 20_000),
        ("repeats", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    wanted = parser.parse_args()
    short, long = measure((wanted.short, wanted.long), wanted.new, wanted.repeats)
    print(f"| seconds for {wanted.new:,} new events | on {wanted.short:,} | on {wanted.long:,} | ratio |")
    print("|---|---|---|---|")
    for name in sorted(short, key=lambda name: (name.islower(), name)):
        print(f"| {name} | {short[name]:.2f} | {long[name]:.2f} | {long[name] / short[name]:.2f} |", flush=True)
    print(f"\nA fresh dbt process before its first model: {start_of_dbt():.1f} s")
    if wanted.rebuild:
        seconds, memory = rebuild(wanted.rebuild)
        print(f"Silver and gold from {wanted.rebuild:,} raw events: {seconds:.0f} s, peak memory {memory:.1f} GB")


if __name__ == "__main__":
    main()
