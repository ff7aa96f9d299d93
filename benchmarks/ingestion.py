"""A warm micro-batch: Kafka → lake and lake → RAW in events/s, compared with a raw read of the same topics.

    python -m benchmarks.ingestion [--events 1000000] [--versions 2000]

Runs on its own stack, in a folder that is removed at the end. The raw read, in the same run, is Spark's own: it reads
every byte of the topics and does nothing with it. With --versions, small batches are timed twice: with few table
versions and with that many. CPU seconds are those of Spark's server and of its Python processes; wall clock lies on a
busy machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import SparkSession

from music_platform.environment import settings_environment, venv_bin
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import append
from music_platform.lake.paths import events_path
from music_platform.settings import Settings, load_settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import cpu_seconds_of
from music_platform.stack.provision import provision
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from music_spark.job import MicroBatch
from music_spark.session import open_session

SMALL = 200
#: Drains of half the size before the first that counts; drains and raw reads whose median is reported.
WARM_UPS, REPEATS = 4, 3


@contextmanager
def running_stack(events: int) -> Iterator[LocalStack]:
    """Broker, Spark and warehouse in a folder of their own, where this many events are one micro-batch."""
    with tempfile.TemporaryDirectory(prefix="ingestion-") as home:
        own = {"music_home": Path(home), "topic_partitions": 2, "max_records_per_batch": 2 * events}
        stack = LocalStack(load_settings().model_copy(update=own))
        try:
            stack.up({"kafka", "spark", "warehouse"})
            yield stack
        finally:
            stack.down()


def simulate(settings: Settings, events: int, seed: int) -> None:
    """Fill the topics."""
    command = [str(venv_bin() / "music-platform"), "simulate", "--seed", str(seed), "--users", "20000", "--days", "60"]
    command += ["--events", str(events), "--duplicates", "0.01", "--malformed", "0.001"]
    environment = {**os.environ, **settings_environment(settings, secrets=True)}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def topics_from_the_start(reader: Any, settings: Settings) -> Any:
    """The records of the topics, by a reader or a stream reader of Spark's, without anything of the platform's."""
    options = {"kafka.bootstrap.servers": settings.bootstrap_servers, "startingOffsets": "earliest"}
    options |= {f"kafka.{name}": value for name, value in settings.kafka_jvm_config().items()}
    options["subscribe"] = ",".join(topic_names(settings).values())
    return reader.format("kafka").options(**options).load()


def raw_read(session: SparkSession, settings: Settings) -> float:
    """Records per second when every byte of the topics is read and nothing is written."""
    records = topics_from_the_start(session.read, settings)
    count = records.count()
    seconds = []
    for _ in range(REPEATS):
        started = time.monotonic()
        records.write.format("noop").mode("overwrite").save()
        seconds.append(time.monotonic() - started)
    return count / statistics.median(seconds)


def ingest(context: IngestionContext, **stages: bool) -> dict[str, float]:
    """Records of one drain, and the seconds of each stage."""
    found = {"records": 0.0, "lake": 0.0, "raw": 0.0}
    started = time.monotonic()
    for step in drain(context, **stages):
        if isinstance(step, MicroBatch):
            found["records"] += step.records
            found["lake"] += step.seconds
        else:
            found["raw"] += step.stage_seconds + step.copy_seconds
    return found | {"whole": time.monotonic() - started}


def spark_cpu(stack: LocalStack) -> tuple[float, float]:
    """CPU seconds of Spark's server, and of its Python processes."""
    pid = stack.status()["spark"].pid or 0
    own = psutil.Process(pid).cpu_times()
    jvm = float(own.user + own.system)
    return jvm, cpu_seconds_of(pid) - jvm


def measure(stack: LocalStack, events: int, versions: int) -> dict[str, object]:
    """Measure all figures."""
    settings = stack.settings
    provision(settings)

    def spark() -> SparkSession:
        return open_session(settings.spark_url or "", settings.spark_token)

    context = IngestionContext(settings, spark, lambda: connect(settings), lambda _: None)
    # The JVM compiles what it runs often. A server that has just started is half as fast.
    for seed in range(WARM_UPS):
        simulate(settings, events // 2, seed)
        ingest(context)
    batches = []
    for seed in range(REPEATS):
        simulate(settings, events, WARM_UPS + seed)
        before = spark_cpu(stack)
        batch = ingest(context)
        used = (now - then for now, then in zip(spark_cpu(stack), before, strict=True))
        batches.append(batch | dict(zip(("jvm", "python"), used, strict=True)))
    read = raw_read(spark(), settings)

    def rate(*stages: str) -> float:
        """Median records per second of the batches."""
        return statistics.median(batch["records"] / sum(batch[stage] for stage in stages) for batch in batches)

    def cpu(process: str) -> float:
        """Median CPU µs of a record."""
        return round(statistics.median(1e6 * batch[process] / batch["records"] for batch in batches), 1)

    result: dict[str, object] = {
        "events of a batch": int(batches[0]["records"]),
        "raw read, events/s": round(read),
        "Kafka → lake, events/s": round(rate("lake")),
        "of the raw read, %": round(100 * rate("lake") / read),
        "lake → RAW, events/s": round(rate("raw")),
        "Kafka → RAW, events/s": round(rate("whole")),
        "CPU of the JVM, µs/event": cpu("jvm"),
        "CPU of Python, µs/event": cpu("python"),
    }
    if versions:
        result["seconds of a batch at few versions"] = small_batches(context)
        table = DeltaTable(events_path(settings.lake_root))
        while (latest := table.latest_version()) < versions:
            append(table.root, [], "benchmark", latest)
        ingest(context)
        result[f"seconds of a batch at {versions} versions"] = small_batches(context)
    # Its end after the server's would be waited for.
    spark().stop()
    return result


def small_batches(context: IngestionContext, times: int = 5) -> float:
    """Median seconds of a micro-batch of `SMALL` events."""
    seconds = []
    for seed in range(times):
        simulate(context.settings, SMALL, seed=10 + seed)
        seconds.append(ingest(context)["lake"])
    return round(statistics.median(seconds), 2)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=0)
    given = parser.parse_args()
    with running_stack(given.events) as stack:
        print(json.dumps(measure(stack, given.events, given.versions), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
