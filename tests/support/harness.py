"""Kills, and what must hold after them according to the broker's first and end offsets, not to the platform."""

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from music_platform.environment import settings_environment, venv_bin
from music_platform.ingestion.backlog import read_kafka_backlog, read_lake_backlog
from music_platform.lake.checkpoint import last_committed
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.lake.progress import read_progress
from music_platform.stack.local_stack import LocalStack
from music_platform.topics import topic_names, topic_offsets
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import loaded_version
from tests.support import slowdown, worker

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(worker.PRELOAD)

#: Seconds of the reference machine within which a run ends and the simulator sends something.
PATIENCE = 200


def start(stack: LocalStack, what: str = "drain", failpoint: str = "") -> multiprocessing.process.BaseProcess:
    log = str(worker.log_of(stack.home.root))
    process = CONTEXT.Process(target=worker.run, args=(what, stack.settings, failpoint, log))
    process.start()
    return process


def finish(process: multiprocessing.process.BaseProcess) -> int:
    """Exit code; negative for the signal that ended it. One that hangs is ended, and the test fails."""
    process.join(slowdown.seconds(PATIENCE))
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"a run did not end within {slowdown.seconds(PATIENCE):.0f} s")
    assert process.exitcode is not None
    return process.exitcode


def tail(stack: LocalStack, lines: int = 15) -> str:
    log = worker.log_of(stack.home.root)
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def drain(stack: LocalStack) -> bool:
    """Recovery: what the next scheduled run does. Retried, because services may take a moment to come back."""
    for _ in range(4):
        if finish(start(stack)) == 0:
            return True
        stack.await_ready({"kafka", "spark", "warehouse"})
        time.sleep(1)
    raise AssertionError(f"ingestion does not recover:\n{tail(stack)}")


def committed_batch(stack: LocalStack) -> int:
    return last_committed(read_progress(stack.settings.lake_root).checkpoint)


def lake_version(stack: LocalStack) -> int:
    return DeltaTable(events_path(stack.settings.lake_root)).latest_version()


@contextmanager
def watching(condition: Callable[[], bool], act: Callable[[], object]) -> Iterator[list[bool]]:
    """Do something as soon as a condition holds, while the block runs. The list shows whether it was done."""
    done: list[bool] = []
    end = threading.Event()

    def watch() -> None:
        while not end.is_set():
            if condition():
                act()
                done.append(True)
                return
            time.sleep(0.0005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield done
    finally:
        end.set()
        thread.join()


def lake_rows(root: str) -> pa.Table:
    table = DeltaTable(events_path(root))
    names = ["kafka_topic", "kafka_topic_id", "kafka_partition", "kafka_offset", "event_id", "quarantine_reason"]
    files = [table.folder.file(file) for version in table.versions_after(-1) for file in version.files]
    return pa.concat_tables([pq.read_table(file, columns=names) for file in files])


def check_conservation(stack: LocalStack) -> int:
    """Every record of the broker is one row of lake and RAW, and there is no backlog. Returns the records."""
    settings = stack.settings
    offsets = topic_offsets(settings.kafka_client_config(), topic_names(settings).values())
    rows = lake_rows(settings.lake_root)
    seen: dict[tuple[str, int], list[int]] = {}
    for topic, topic_id, number, offset in zip(*(rows.column(n).to_pylist() for n in range(4)), strict=True):
        assert topic_id == offsets.ids[topic]
        seen.setdefault((topic, number), []).append(offset)
    for topic, ends in offsets.end.items():
        for number, end in ends.items():
            found = sorted(seen.get((topic, number), []))
            assert found == list(range(offsets.first[topic][number], end)), f"{topic}/{number} in the lake"
    valid = {i for i, reason in zip(rows.column("event_id").to_pylist(), rows.column("quarantine_reason").to_pylist(),
                                    strict=True) if reason is None}  # fmt: skip
    with connect(settings) as session:
        cursor = session.cursor()
        cursor.execute(
            "SELECT kafka_topic, kafka_partition, COUNT(*), COUNT(DISTINCT kafka_offset), MIN(kafka_offset), "
            "MAX(kafka_offset) FROM RAW.EVENTS GROUP BY 1, 2"
        )
        raw = {(t, int(p)): (int(n), int(d), int(lo), int(hi)) for t, p, n, d, lo, hi in cursor.fetchall()}
        cursor.execute("SELECT DISTINCT event_id FROM RAW.EVENTS WHERE quarantine_reason IS NULL")
        assert {row[0] for row in cursor.fetchall()} == valid
        loaded = loaded_version(session)
    for key, found in seen.items():
        assert raw.get(key) == (len(found), len(found), min(found), max(found)), f"{key} in RAW"
    _, backlog = read_kafka_backlog(settings)
    assert (backlog.records, read_lake_backlog(settings, loaded).records) == (0, 0)
    return len(rows)


@contextmanager
def stream(stack: LocalStack, rate: int = 150, seed: int = 7) -> Iterator[None]:
    """Run the simulator, with duplicates, late, malformed and invalid events, until the block ends."""
    options = ["--users", "20000", "--start", "2026-06-01", "--days", "30", "--v2", "0.3"]
    for disturbance in ("duplicates", "late", "malformed", "invalid"):
        options += [f"--{disturbance}", "0.02"]
    command = [str(venv_bin() / "music-platform"), "simulate", "--seed", str(seed), "--rate", str(rate), *options]
    log = (stack.home.root / "simulator.log").open("ab")
    environment = {**os.environ, **settings_environment(stack.settings, secrets=True)}
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
        assert process.poll() is None, f"the simulator ended too early: see {log.name}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(slowdown.seconds(90))
        log.close()


def backlog(stack: LocalStack) -> int:
    return read_kafka_backlog(stack.settings)[1].records


def await_backlog(stack: LocalStack, records: int = 20) -> None:
    """Wait until there is something to read."""
    deadline = time.monotonic() + slowdown.seconds(PATIENCE)
    while backlog(stack) < records:
        assert time.monotonic() < deadline, f"the simulator sends nothing: see {stack.home.root}/simulator.log"
        time.sleep(0.1)


def rebuilding(stack: LocalStack) -> bool:
    """Whether a rebuild was killed and has to be finished."""
    with connect(stack.settings) as session:
        cursor = session.cursor()
        cursor.execute("SELECT COUNT(*) FROM OPS.LOAD_STATE WHERE rebuilding IS NOT NULL")
        return bool(cursor.fetchone()[0])
