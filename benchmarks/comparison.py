"""The platform beside what people would use instead: the same events, one run, one table.

    make bench, or: python -m benchmarks [--events 300000] [--repeats 5] [--results benchmarks/RESULTS.md]

Kafka → table by the platform, by the job of a Spark tutorial on the same server, and by programs of one process
(`benchmarks.alternatives`); lake → RAW by the platform's COPY, and by rows. Reading alone is the measure: it does
nothing with what it reads. Wall clock lies on a busy machine, so the CPU seconds of a million events stand beside it;
the broker's are nobody's.
"""

import argparse
import os
import platform as machine
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import psutil
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from snowflake.connector.pandas_tools import write_pandas

from benchmarks.alternatives import LACKS
from benchmarks.ingestion import WARM_UPS, ingest, running_stack, simulate, topics_from_the_start
from music_platform.contracts import events as contract
from music_platform.contracts.events import ColumnType
from music_platform.environment import settings_environment
from music_platform.ingestion.context import IngestionContext
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import cpu_seconds_of
from music_platform.stack.provision import create_topics, provision
from music_platform.warehouse.connection import connect
from music_spark.session import open_session

RAW_READ, PLATFORM, TUTORIAL = "raw read by Spark", "music-platform → Delta lake", "Spark tutorial → Parquet"
LOADED = "music-platform: COPY"

#: Columns of the tutorial's table.
TUTORIAL_FIELDS = "ts BIGINT, userId STRING, sessionId BIGINT, level STRING, city STRING, state STRING, page STRING"

INSERT, EXECUTEMANY, WRITE_PANDAS = "INSERT, row by row", "executemany, 10,000 rows at a time", "write_pandas"

#: Rows that are sent by each way into a warehouse, within a time that a person waits.
ROWS = {INSERT: 200, EXECUTEMANY: 20_000, WRITE_PANDAS: 200_000}

LEAVES_OUT = LACKS | {
    RAW_READ: "everything but reading",
    PLATFORM: "nothing",
    TUTORIAL: "no validation, unknown fields and malformed records lost, files of each partition",
    LOADED: "nothing",
    **dict.fromkeys(ROWS, "no exactly-once"),
}


@dataclass
class Figures:
    """What the repeats of one way took: events (or rows), wall seconds and CPU seconds of each."""

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def rate(self) -> float:
        """Median events per second."""
        return statistics.median(e / s for e, s in zip(self.events, self.seconds, strict=True))

    def cpu_per_million(self) -> float:
        """Median CPU seconds of a million events."""
        return statistics.median(1e6 * c / e for e, c in zip(self.events, self.cpu, strict=True))


class Comparison:
    """The figures of each way, by name, while they are measured."""

    def __init__(self, stack: LocalStack, events: int, repeats: int, folder: Path) -> None:
        self.stack, self.events, self.repeats, self.folder = stack, events, repeats, folder
        self.settings = stack.settings
        #: The same events in topics that nobody else reads: each way reads them from their beginning.
        self.again = self.settings.model_copy(update={"topic_prefix": f"again-{self.settings.topic_prefix}"})
        self.found: dict[str, Figures] = {}

    @contextmanager
    def timed(self, name: str, service: str) -> Iterator[list[int]]:
        """Note the time of one repeat; the block appends its number of events."""
        figures, counted = self.found.setdefault(name, Figures()), list[int]()
        pids = [os.getpid(), self.stack.status()[service].pid or 0]
        cpu, started = sum(map(cpu_seconds_of, pids)), time.monotonic()
        yield counted
        figures.seconds.append(time.monotonic() - started)
        figures.cpu.append(sum(map(cpu_seconds_of, pids)) - cpu)
        figures.events.append(sum(counted))
        print(f"  {name}: {figures.events[-1] / figures.seconds[-1]:,.0f}/s", flush=True)

    def spark(self) -> SparkSession:
        """The session of this process."""
        return open_session(self.settings.spark_url or "", self.settings.spark_token)

    def run(self) -> None:
        """Measure all ways in turn, `repeats` times."""
        provision(self.settings)
        create_topics(self.again)
        context = IngestionContext(self.settings, self.spark, lambda: connect(self.settings), lambda _: None)
        simulate(self.again, self.events, seed=0)
        print(f"warming up: {WARM_UPS} batches of {self.events // 2:,} events", flush=True)
        for seed in range(WARM_UPS):
            simulate(self.settings, self.events // 2, seed)
            ingest(context)
        self.tutorial("warm")
        for number in range(self.repeats):
            print(f"round {number + 1} of {self.repeats}", flush=True)
            self.platform(context, WARM_UPS + number)
            self.raw_read()
            with self.timed(TUTORIAL, "spark") as counted:
                counted.append(self.tutorial(str(number)))
            for name in LACKS:
                self.alternative(name)
            self.row_by_row()

    def platform(self, context: IngestionContext, seed: int) -> None:
        """A drain into the lake, and its load."""
        simulate(self.settings, self.events, seed)
        with self.timed(PLATFORM, "spark") as counted:
            counted.append(int(ingest(context, to_raw=False)["records"]))
        with self.timed(LOADED, "warehouse") as counted:
            ingest(context, to_lake=False)
            counted.append(self.found[PLATFORM].events[-1])

    def raw_read(self) -> None:
        """Spark reads every byte, and writes nothing."""
        records = topics_from_the_start(self.spark().read, self.again)
        events = records.count()
        with self.timed(RAW_READ, "spark") as counted:
            records.write.format("noop").mode("overwrite").save()
            counted.append(events)

    def tutorial(self, name: str) -> int:
        """from_json with a schema, a Parquet sink, a checkpoint, Spark's own 200 shuffle partitions."""
        session, folder = self.spark(), self.folder / f"tutorial-{name}"
        value = F.from_json(F.col("value").cast("string"), TUTORIAL_FIELDS).alias("event")
        events = topics_from_the_start(session.readStream, self.again).select("topic", "timestamp", value)
        rows = events.select("topic", "timestamp", "event.*")
        query = (
            rows.writeStream.format("parquet")
            .option("path", str(folder / "table"))
            .option("checkpointLocation", str(folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return sum(progress.numInputRows for progress in query.recentProgress)

    def alternative(self, name: str) -> None:
        """A program of one process, from its start to its end."""
        environment = {**os.environ, **settings_environment(self.again, secrets=True)}
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            command = [sys.executable, "-m", "benchmarks.alternatives", name, own]
            with self.timed(name, "warehouse") as counted:
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                counted.append(int(done.stdout.split()[-1]))

    def row_by_row(self) -> None:
        """Rows of the lake into the warehouse, without files."""
        table = DeltaTable(events_path(self.settings.lake_root))
        last = next(iter(table.retained_after(table.latest_version() - 1)))
        # The connector binds no time of pandas, and no statement of Snowflake's binds a VARIANT.
        plain = (ColumnType.STRING, ColumnType.BIGINT, ColumnType.DOUBLE, ColumnType.BOOLEAN)
        names = [c.column for c in contract.lake_columns() if c.sql_type in plain]
        files = [f"{table.root}/{name}" for name in last.files]
        with connect(self.settings) as session:
            cursor = session.cursor()
            for way, most in ROWS.items():
                frame = duckdb.sql(f"SELECT {', '.join(names)} FROM read_parquet($files) LIMIT {most}",
                                   params={"files": files}).df()  # fmt: skip
                cursor.execute("CREATE OR REPLACE TABLE RAW.BENCHMARK AS SELECT "
                               f"{', '.join(names)} FROM RAW.EVENTS WHERE FALSE")  # fmt: skip
                with self.timed(way, "warehouse") as counted:
                    counted.append(WAYS[way](session, frame, names))
            cursor.execute("DROP TABLE RAW.BENCHMARK")


def _insert_statement(names: list[str]) -> str:
    return f"INSERT INTO RAW.BENCHMARK ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _insert(session: Any, frame: Any, names: list[str]) -> int:
    for row in _rows(frame):
        session.cursor().execute(_insert_statement(names), row)
    return len(frame)


def _executemany(session: Any, frame: Any, names: list[str]) -> int:
    rows = _rows(frame)
    for start in range(0, len(rows), 10_000):
        session.cursor().executemany(_insert_statement(names), rows[start : start + 10_000])
    return len(frame)


def _write_pandas(session: Any, frame: Any, _names: list[str]) -> int:
    frame.columns = [name.upper() for name in frame.columns]
    write_pandas(session, frame, "BENCHMARK", schema="RAW")
    return len(frame)


def _rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))


WAYS: dict[str, Callable[[Any, Any, list[str]], int]] = {
    INSERT: _insert,
    EXECUTEMANY: _executemany,
    WRITE_PANDAS: _write_pandas,
}


def table(found: dict[str, Figures], names: list[str], measure: str) -> str:
    """A table of these ways, each with its rate as a multiple of `measure`'s."""
    lines = ["| | events/s | × " + measure + " | CPU s per million | leaves out |", "|---|---|---|---|---|"]
    for name in sorted(names, key=lambda name: -found[name].rate()):
        ratio = found[name].rate() / found[measure].rate()
        figures = f"{found[name].rate():,.0f} | {ratio:.2g} | {found[name].cpu_per_million():.1f}"
        lines.append(f"| {name} | {figures} | {LEAVES_OUT[name]} |")
    return "\n".join(lines)


def results(found: dict[str, Figures], events: int, repeats: int) -> str:
    """The page of results."""
    packages = ("pyspark", "confluent-kafka", "duckdb", "polars", "pyarrow", "dlt", "snowflake-connector-python")
    memory = psutil.virtual_memory().total / 2**30
    into_lake = [name for name in found if name not in (LOADED, *ROWS)]
    return "\n".join([
        "# Results of `make bench`",
        "",
        f"{date.today()}, {os.cpu_count()} cores, {memory:.0f} GB, {machine.system()} {machine.machine()}, Python "
        f"{machine.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages) + ".",
        f"{repeats} rounds in one run, of which these are the medians; in a round each way has its turn. The module "
        "`benchmarks/comparison.py` says what each one is. Compare ratios: the machine may be noisy.",
        "",
        f"## Kafka → table, {events:,} events",
        "",
        table(found, into_lake, RAW_READ),
        "",
        "## Lake → warehouse (the local one)",
        "",
        table(found, [LOADED, *ROWS], LOADED),
        "",
    ])  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "RESULTS.md")
    given = parser.parse_args()
    with running_stack(given.events) as stack:
        comparison = Comparison(stack, given.events, given.repeats, stack.home.root)
        comparison.run()
        comparison.spark().stop()
        given.results.write_text(results(comparison.found, given.events, given.repeats))
        print(given.results.read_text())


if __name__ == "__main__":
    main()
