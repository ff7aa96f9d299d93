"""Latency under a steady load: from the record's production to its row in RAW, and to the end of the build after which
every live mart includes it.

    python -m benchmarks.latency [--rate 2000] [--minutes 10] [--warm-up 5]

The whole platform runs in its own home with sensors on; nothing is started by hand. The first minutes are a warm-up
and do not count, since a Spark server that has just started spends most of them compiling.
"""

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from music_platform.environment import settings_environment, venv_bin
from music_platform.orchestration.assets.marts import tier_keys
from music_platform.orchestration.freshness import LIVE
from music_platform.orchestration.inputs import built_inputs, current_inputs
from music_platform.orchestration.keys import GOLD
from music_platform.settings import Settings, load_settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.warehouse.connection import connect
from music_platform.warehouse.schema import BUILDS, LOADS
from music_simulator.options import users_for

PERCENTILES = (50, 95, 99)
#: Simulated days of the load.
DAYS = 30


def rows(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a statement returns in the warehouse."""
    with connect(settings) as session:
        found: Any = session.cursor().execute(statement).fetchall()  # type: ignore[union-attr]
    return list(found)


def covered(builds: list[tuple[str, int, int, datetime]], marts: set[str], version: int) -> datetime | None:
    """When the last of the marts first included the version; None if one does not yet."""
    first = {
        mart: min((at for model, upto, since, at in builds if model == mart and since < version <= upto), default=None)
        for mart in marts
    }
    ends = [at for at in first.values() if at is not None]
    return max(ends) if len(ends) == len(marts) else None


def latencies(settings: Settings, begin: float) -> dict[str, Any]:
    """Percentiles in seconds over the events produced since `begin`, an epoch second."""
    loaded = dict(rows(settings, f"SELECT version, loaded_at FROM {LOADS}"))
    builds = rows(settings, f"SELECT model, version, since_version, built_at FROM {BUILDS} WHERE built_at IS NOT NULL")
    marts = {key.path[-1] for key in tier_keys(LIVE, GOLD)}
    built = {version: covered(builds, marts, version) for version in loaded}
    after = datetime.fromtimestamp(begin, UTC).replace(tzinfo=None)
    to_raw, to_marts = [], []
    for version, produced in rows(settings, "SELECT batch_id, kafka_timestamp FROM RAW.EVENTS"):
        if produced >= after and (end := built[version]) is not None:
            to_raw.append((loaded[version] - produced).total_seconds())
            to_marts.append((end - produced).total_seconds())
    named = {"event → RAW, s": to_raw, "event → live marts, s": to_marts}
    return {"events": len(to_raw)} | {
        what: {f"p{p}": round(float(np.percentile(seconds, p)), 1) for p in PERCENTILES}
        for what, seconds in named.items()
        if seconds
    }


def wait(instance: dg.DagsterInstance, seconds: float) -> None:
    """Wait until the live models include everything that is loaded."""
    deadline = time.monotonic() + seconds
    while built_inputs(instance, LIVE) != current_inputs(instance) and time.monotonic() < deadline:
        time.sleep(1)


def measure(stack: LocalStack, rate: int, minutes: float, warm_up: float) -> dict[str, Any]:
    """Put the platform under load and measure."""
    settings = stack.settings
    with dg.DagsterInstance.from_config(str(stack.home.dagster)) as instance:
        wait(instance, 300)
        users = users_for(rate * minutes * 60, DAYS)
        command = [str(venv_bin() / "music-platform"), "simulate", "--rate", str(rate), "--users", str(users)]
        command += ["--start", "2026-06-01", "--days", str(DAYS)]
        environment = {**os.environ, **settings_environment(settings, secrets=True)}
        load_before = os.getloadavg()[0]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begin = time.time()
        time.sleep(minutes * 60)
        load_after = os.getloadavg()[0]
        process.send_signal(signal.SIGINT)
        process.wait(120)
        time.sleep(15)
        wait(instance, 300)
        runs = [run.job_name for run in instance.get_runs()]
    return {
        "records per second": rate,
        "minutes in all, of warm-up": [minutes, warm_up],
        "load average before, during": [round(load_before, 1), round(load_after, 1)],
        "runs": {job: runs.count(job) for job in sorted(set(runs))},
        **latencies(settings, begin + warm_up * 60),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=5, help="minutes at the start that do not count")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latency-") as home:
        stack = LocalStack(load_settings().model_copy(update={"music_home": Path(home)}))
        try:
            stack.up(provision=provision)
            print(json.dumps(measure(stack, given.rate, given.minutes, given.warm_up), indent=2, ensure_ascii=False))
        finally:
            stack.down()


if __name__ == "__main__":
    main()
