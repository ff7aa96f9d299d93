"""Examines what the local platform stands on. Each finding says what was found, where, and what to do next."""

import sys
from collections.abc import Iterator
from pathlib import Path

from music_platform.errors import LocalStackError
from music_platform.ingestion.disk_space import local_disks
from music_platform.settings import Settings
from music_platform.stack import processes, services
from music_platform.stack.findings import Finding, Verdict
from music_platform.stack.jars import BROKER, damaged_jars, locked_jars, missing_jars, repository, spark_sets
from music_platform.stack.java import find_java
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.ports import holder_of, is_free
from music_platform.stack.readiness import code_location_errors

LEAST_FREE_BYTES = 2 * 1000**3
OLDEST_PYTHON = (3, 11)


def examine(stack: LocalStack) -> Iterator[Finding]:
    """All findings, one after the other."""
    yield _python()
    yield _java(stack.settings)
    yield _jars(stack.settings)
    yield from _leftovers(stack)
    states = stack.status()
    for name in services.SERVICES:
        if name == services.WAREHOUSE and states[name].state == "external":
            yield from warehouse(stack.settings)
            continue
        found = _service(stack, name, states[name].state)
        yield found
        if name == services.WAREHOUSE and found.verdict is Verdict.GOOD:
            yield from warehouse(stack.settings)
    if states[services.WEBSERVER].state == "running":
        yield from definitions(stack.settings)
    yield from _disk(stack)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding(
            "python", Verdict.BAD, f"{version} at {sys.executable}", "Install Python 3.11 or newer; make venv"
        )
    return Finding("python", Verdict.GOOD, f"{version} at {sys.executable}")


def _java(settings: Settings) -> Finding:
    try:
        java = find_java(settings)
    except LocalStackError as error:
        return Finding("java", Verdict.BAD, str(error))
    return Finding("java", Verdict.GOOD, f"{java.version} at {java.home}")


def _jars(settings: Settings) -> Finding:
    folder, jars = repository(settings), locked_jars(BROKER, *spark_sets(settings))
    damaged = damaged_jars(jars, folder)
    if damaged:
        names = ", ".join(str(jar.path_in(folder)) for jar in damaged[:3])
        return Finding(
            "jars", Verdict.BAD, f"{len(damaged)} differ from jars.lock: {names}", "Delete them; music-platform up"
        )
    missing = missing_jars(jars, folder)
    if missing:
        found = f"{len(missing)} of {len(jars)} are not yet in {folder}"
        return Finding("jars", Verdict.NOTE, found, "music-platform up fetches them")
    return Finding("jars", Verdict.GOOD, f"{len(jars)} in {folder}, checksums match")


def _leftovers(stack: LocalStack) -> Iterator[Finding]:
    if stack.is_running():
        return
    leftovers = processes.processes_of_home(stack.home.root)
    if leftovers:
        pids = ", ".join(str(process.pid) for process in leftovers)
        found = f"processes of this home run without their supervisor: {pids}"
        yield Finding("leftovers", Verdict.BAD, found, "music-platform down")


def _service(stack: LocalStack, name: str, state: str) -> Finding:
    address = services.address_of(name, stack.settings) or "listens nowhere"
    if state == "external":
        return _external(stack, name, address)
    if state == "running":
        complaint = stack.lacks(name)
        if complaint is None:
            return Finding(name, Verdict.GOOD, f"answers ({address})")
        return Finding(name, Verdict.BAD, f"runs, but: {complaint} ({address})", f"Read {stack.home.log_of(name)}")
    if state != "stopped":
        return Finding(name, Verdict.BAD, f"{state} ({address})", f"Read {stack.home.log_of(name)}")
    try:
        services.require_installed((name,))
    except LocalStackError as error:
        return Finding(name, Verdict.BAD, str(error))
    for setting in services.PORT_SETTINGS[name]:
        port = getattr(stack.settings, setting)
        if not is_free(port):
            holder = holder_of(port) or "another process"
            advice = f"Stop that, or choose another port: {setting.upper()}=<port>"
            return Finding(name, Verdict.BAD, f"stopped, and port {port} is held by {holder}", advice)
    return Finding(name, Verdict.NOTE, f"stopped ({address})", "music-platform up")


def warehouse(settings: Settings) -> Iterator[Finding]:
    """What is in the warehouse. Imported late: Snowflake's client takes a second."""
    from music_platform.stack.account_doctor import examine_warehouse

    yield from examine_warehouse(settings)


def definitions(settings: Settings) -> Iterator[Finding]:
    """Whether Dagster could load the platform's code: the webserver answers even when it could not."""
    try:
        broken = code_location_errors(settings)
    except OSError as error:
        yield Finding("code", Verdict.BAD, f"the webserver does not say whether the code loads: {error}")
        return
    for name, message in broken.items():
        advice = "dagster definitions validate -m music_platform.definitions"
        yield Finding("code", Verdict.BAD, f"the code location {name} does not load: {message[:500]}", advice)
    if not broken:
        yield Finding("code", Verdict.GOOD, "the code location loads")


def _external(stack: LocalStack, name: str, address: str) -> Finding:
    """Brokers and Spark elsewhere are asked as local ones are."""
    complaint = stack.lacks(name)
    if complaint is None:
        return Finding(name, Verdict.GOOD, f"answers ({address})")
    return Finding(name, Verdict.BAD, f"{complaint} ({address})", "Check the address and the network")


def _disk(stack: LocalStack) -> Iterator[Finding]:
    sizes = {name: size_of(folder) for name, folder in stack.home.parts().items()}
    used = ", ".join(f"{name} {_human(size)}" for name, size in sizes.items() if size)
    yield Finding("home", Verdict.GOOD, f"{stack.home.root}: {used or 'empty'}")
    settings = stack.settings
    for disk in local_disks(settings):
        if disk.free < LEAST_FREE_BYTES or disk.free_percent < settings.disk_critical_percent:
            yield Finding("disk", Verdict.BAD, str(disk), "Free some, or move MUSIC_HOME")
        elif disk.free_percent < settings.disk_warning_percent:
            yield Finding("disk", Verdict.NOTE, str(disk), "Free some before ingestion pauses (DISK_CRITICAL_PERCENT)")
        else:
            yield Finding("disk", Verdict.GOOD, str(disk))


def size_of(folder: Path) -> int:
    """Bytes that the folder's files take on disk (sparse files count what they hold)."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        total += status.st_blocks * 512
    return total


def _human(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
