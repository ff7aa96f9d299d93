"""How fast the simulator is: to nothing, to files and to Kafka, compared with eventsim.

    python benchmarks/simulator.py [--runs 3] [--kafka]

Each figure is the median over several runs of a whole process, including imports, catalogue and reference data. Only
"to nothing" measures just the generation, within one process. The runs have 20,000 users, ten days and a growth of 30 a
year. So did the eventsim run that they are compared with: 1,016,801 lines in 15.5 s on two cores. With --kafka, the
cluster in the settings is measured too, and its topics then contain the events.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

EVENTSIM_LINES, EVENTSIM_SECONDS = 1_016_801, 15.5
EVENTSIM_RATE = EVENTSIM_LINES / EVENTSIM_SECONDS
RUN = ["--users", "20000", "--start", "2026-11-01", "--days", "10", "--growth", "30"]
MANY_USERS = ["--users", "1000000", "--days", "2", "--events", "1000000", "--growth", "0"]


def whole_process(*options: str) -> tuple[float, int]:
    """Seconds and records of one `python -m music_simulator`."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "music_simulator", *options], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    line = next(line for line in done.stderr.splitlines() if line.startswith("delivered"))
    return seconds, int(line.split()[1].replace(",", ""))


def to_nothing(workers: int) -> tuple[float, int]:
    """Seconds and records of a generation into a sink that keeps nothing."""
    from datetime import datetime

    from music_simulator.generation import Generation, Plan, World
    from music_simulator.options import Options
    from music_simulator.pace import AtOnce
    from music_simulator.run import Run
    from music_simulator.sinks import Discard

    options = Options(users=20_000, start=datetime(2026, 11, 1), days=10, growth=30.0)
    world = World(options)
    began = time.perf_counter()
    with Generation(world, Plan(workers)) as generation:
        progress = Run(options, generation, Discard(), AtOnce(), lambda: False, lambda _: None).carry_out()
    return time.perf_counter() - began, progress.total


def to_files(workers: int) -> tuple[float, int]:
    """Seconds and records of a run to files."""
    with tempfile.TemporaryDirectory() as folder:
        return whole_process(*RUN, "--out", folder, "--workers", str(workers))


def to_kafka(workers: int, seed: int) -> tuple[float, int]:
    """Seconds and records of a run to Kafka."""
    with tempfile.TemporaryDirectory() as folder:
        return whole_process(*RUN, "--seed", str(seed), "--reference", folder, "--workers", str(workers))


def memory_of_a_million_users() -> int:
    """Peak resident size in bytes of a run with a million users."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "music_simulator", *MANY_USERS, "--out", folder]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the run with a million users failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Measure and print one line per figure, then all of them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kafka", action="store_true")
    arguments = parser.parse_args()
    figures: dict[str, float] = {"eventsim to files, 2 cores (given)": EVENTSIM_RATE}
    measured = {"simulator to nothing": to_nothing, "simulator to files": to_files}
    for name, measure in measured.items():
        for workers in (1, 2):
            rates = [records / seconds for seconds, records in (measure(workers) for _ in range(arguments.runs))]
            figures[f"{name}, {workers} worker{'s'[: workers > 1]}"] = median(rates)
    if arguments.kafka:
        for workers in (1, 2):
            runs = (to_kafka(workers, 100 * workers + n) for n in range(arguments.runs))
            figures[f"simulator to Kafka, {workers} worker{'s'[: workers > 1]}"] = median(n / s for s, n in runs)
    for name, rate in figures.items():
        print(f"{name:<40} {rate:>10,.0f} events/s  {rate / EVENTSIM_RATE:5.2f} × eventsim")
    memory = memory_of_a_million_users()
    print(f"peak memory with a million users: {memory / 1e9:.2f} GB")
    load = os.getloadavg()[0]
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    print(json.dumps({"figures": figures, "memory_bytes": memory, "load_average": load, "cpu_seconds": round(own, 1)}))


if __name__ == "__main__":
    main()
