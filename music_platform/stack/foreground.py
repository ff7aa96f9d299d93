"""One service in the foreground, without supervisor: its environment, its health, and the end of the code server."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from music_platform.environment import MARKER, inherited_environment
from music_platform.home import Home
from music_platform.lake.lease import is_held_here
from music_platform.lake.paths import lease_path
from music_platform.settings import Settings
from music_platform.stack.readiness import lacks
from music_platform.stack.services import Program
from music_spark.session import CREDENTIALS

POLL_SECONDS = 0.2
#: Seconds that the code server gets to end once no batch is at work.
END_SECONDS = 10


def environment(settings: Settings, program: Program) -> dict[str, str]:
    """The environment of a service that runs alone."""
    if program.isolated:
        return {**program.environment, MARKER: str(settings.home)}
    return {**inherited_environment(settings), **program.environment}


def store_credentials(settings: Settings) -> dict[str, str]:
    """The object stores' credentials that are files in MUSIC_SECRETS_DIR, as the variables that their clients read."""
    values = settings.sources.values if settings.sources else {}
    return {name: values[name.lower()].text for name in CREDENTIALS if name.lower() in values}


def complaint(settings: Settings, service: str, since: int) -> str | None:
    """Why the service does not do its work; None if it does. `since`: epoch second of the oldest sign of life."""
    return lacks(service, settings, since)


def run_code(settings: Settings, program: Program, variables: dict[str, str], grace: float) -> int:
    """Run the code server until it ends, and return its exit code.

    SIGTERM and SIGINT are not passed on at once: runs are children of the server and would die with it. They are asked
    to finish their batch, and the server ends when none writes the lake any more, or after `grace` seconds.
    """
    stopping = Home(settings.home).stopping
    stopping.unlink(missing_ok=True)
    asked = False

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    # In a session of its own, so that a signal for the group of this process does not reach it.
    server = subprocess.Popen(program.command, cwd=program.directory, env=variables, start_new_session=True)
    while not asked:
        with suppress(subprocess.TimeoutExpired):
            return server.wait(POLL_SECONDS)
    stopping.touch()
    await_batch(lambda: is_held_here(lease_path(settings.lake_root)), lambda: server.poll() is not None, grace)
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    return 0


def await_batch(writes: Callable[[], bool], ended: Callable[[], bool], grace: float) -> bool:
    """Wait until nothing writes the lake, the server has ended or `grace` seconds are over. Whether nothing writes."""
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and not ended():
        if not writes():
            return True
        time.sleep(POLL_SECONDS)
    return False
