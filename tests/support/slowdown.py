"""How much slower this machine is than the reference machine, and the limits in seconds that follow from it.

Limits in tests are written in seconds of the reference machine: two cores that have nothing else to do. A slower or
busier machine gets a multiple of them, so that the tests take longer there and still pass. It is measured once, at the
start of the session; a test that knows what a part of its own work takes on the reference machine raises it by that.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

#: Carries the factor to xdist's workers, and sets it by hand: TEST_SLOWDOWN=3 make test.
VARIABLE = "TEST_SLOWDOWN"
#: What is measured: hashing and JSON, in as many processes at once as the reference machine has cores.
WORK = """
import hashlib, json
for n in range(250_000):
    hashlib.sha256(json.dumps({"n": n, "text": "x" * 40}, sort_keys=True).encode()).hexdigest()
"""
PROCESSES = 2
#: Seconds that it takes on the reference machine.
REFERENCE_SECONDS = 1.0
#: The largest factor: beyond it a test that hangs would keep people waiting for hours.
LARGEST = 10.0


def factor() -> float:
    """The slowdown; measured by the first call of a session, read from the environment by all others."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{factor_of(measure()):.2f}"
    return float(os.environ[VARIABLE])


def seconds(limit: float) -> float:
    """A limit in seconds of the reference machine, in seconds of this one."""
    return limit * factor()


def learn(taken: float, reference: float) -> float:
    """Raise the slowdown to what a piece of work shows that takes `reference` seconds on the reference machine, and
    return it. Machines change while a session goes on, and a disk can be slower than a processor: a whole service's
    start says more than a measure of some arithmetic."""
    os.environ[VARIABLE] = f"{max(factor(), factor_of(taken / reference * REFERENCE_SECONDS)):.2f}"
    return factor()


def wait_for(what: str, condition: Callable[[], Found], limit: float = 240) -> Found:
    """Wait until the condition holds, for a limit in seconds of the reference machine. Returns what it returned."""
    deadline = time.monotonic() + seconds(limit)
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds(limit):.0f} s for: {what}"
        time.sleep(1)
    return found


def factor_of(measured: float) -> float:
    """The slowdown of a machine that needs so many seconds for the work. Never below 1: no limit becomes tighter."""
    return min(max(measured / REFERENCE_SECONDS, 1.0), LARGEST)


def measure() -> float:
    """Seconds that the work takes on this machine, as busy as it is."""
    started = time.monotonic()
    workers = [subprocess.Popen([sys.executable, "-I", "-S", "-c", WORK]) for _ in range(PROCESSES)]
    for worker in workers:
        worker.wait()
    return time.monotonic() - started
