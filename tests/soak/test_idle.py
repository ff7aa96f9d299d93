"""Ten minutes with nothing to do: no run, no statement, little CPU, nothing in the logs that a person should read."""

import json
import re
import time
import urllib.request
from pathlib import Path

import dagster as dg
import psutil
import pytest

from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from tests.soak.test_soak import await_rest
from tests.support import slowdown
from tests.support.stack import settings_for

SECONDS = 600
#: Dagster's own processes; the watch is the platform's.
DAGSTER = ("code", "webserver", "daemon")


def statements(stack: LocalStack) -> int:
    """Statements that the local warehouse has run."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{stack.settings.warehouse_port}/health", timeout=slowdown.seconds(10)
    ) as answer:
        return int(json.load(answer)["statements"])


def cpu_seconds(stack: LocalStack, service: str) -> float:
    """CPU that a service and its children have used; children that have ended count with their parent."""
    pid = stack.status()[service].pid
    assert pid is not None
    process = psutil.Process(pid)
    times = [found.cpu_times() for found in (process, *process.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def loud_lines(stack: LocalStack, since: dict[str, int]) -> list[str]:
    """Lines at WARNING or above that were written since."""
    found = []
    for name, size in since.items():
        with stack.home.log_of(name).open("rb") as log:
            log.seek(size)
            lines = log.read().decode(errors="replace").splitlines()
        found += [f"{name}: {line}" for line in lines if re.search(r"\b(WARN|WARNING|ERROR|CRITICAL|FATAL)\b", line)]
    return found


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_idle_for_ten_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = LocalStack(settings_for(tmp_path / "home"))
    try:
        stack.up(provision=provision)
        with dg.DagsterInstance.from_config(str(stack.home.dagster)) as instance:
            await_rest(stack, instance, slowdown.seconds(300))
            time.sleep(slowdown.seconds(60))
            await_rest(stack, instance, slowdown.seconds(300))
            runs, asked = instance.get_runs_count(), statements(stack)
            services = (*DAGSTER, "watch", "kafka", "spark", "warehouse")
            sizes = {name: stack.home.log_of(name).stat().st_size for name in services}
            used = {name: cpu_seconds(stack, name) for name in services}
            time.sleep(SECONDS)
            shares = {name: (cpu_seconds(stack, name) - used[name]) / SECONDS for name in services}
            with capsys.disabled():
                print("\n  CPU while idle, of one core: " + ", ".join(f"{n} {s:.1%}" for n, s in shares.items()))
                print(f"  Dagster's processes together: {sum(shares[name] for name in DAGSTER):.1%}")
            assert instance.get_runs_count() == runs
            assert statements(stack) == asked
            assert not loud_lines(stack, sizes)
    finally:
        stack.down()
