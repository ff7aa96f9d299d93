"""Checks what the local platform needs. Each finding says what was found, where, and what to do next."""

from collections.abc import Iterator

from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack import executors, processes, services
from music_platform.stack.findings import Finding, Verdict
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.machine_doctor import examine_disk, examine_machine
from music_platform.stack.ports import holder_of, is_free
from music_platform.stack.readiness import code_location_errors


def examine(stack: LocalStack) -> Iterator[Finding]:
    """All findings, one after the other."""
    yield from examine_machine(stack.settings, stack.is_running())
    yield from _leftovers(stack)
    states = stack.status()
    for name in services.services_of(stack.settings):
        if name == services.WAREHOUSE and states[name].state == "external":
            yield from warehouse(stack.settings)
            continue
        found = _service(stack, name, states[name].state)
        yield found
        if name == services.WAREHOUSE and found.verdict is Verdict.GOOD:
            yield from warehouse(stack.settings)
        if name == services.SPARK_CONNECT and found.verdict is Verdict.GOOD and has_executors(stack.settings):
            yield from executors.examine(stack.settings)
    if states[services.WEBSERVER].state == "running":
        yield from definitions(stack.settings)
    yield from examine_disk(stack.settings)


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
        return Finding(name, Verdict.BAD, f"runs, but: {complaint} ({address})", f"music-platform logs {name}")
    if state != "stopped":
        return Finding(name, Verdict.BAD, f"{state} ({address})", f"music-platform logs {name}")
    try:
        services.require_installed((name,))
    except LocalStackError as error:
        return Finding(name, Verdict.BAD, str(error))
    for setting in services.PORT_SETTINGS[name]:
        port = getattr(stack.settings, setting)
        if not is_free(port):
            holder = holder_of(port) or "another process"
            advice = f"Stop it, or choose another port: {setting.upper()}=<port>"
            return Finding(name, Verdict.BAD, f"stopped, and port {port} is held by {holder}", advice)
    return Finding(name, Verdict.NOTE, f"stopped ({address})", "music-platform up")


def has_executors(settings: Settings) -> bool:
    """Whether tasks run elsewhere than in the Connect server or in a run's own process."""
    return settings.spark_url is not None and (not settings.spark_is_local or settings.spark_is_standalone)


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
    """Brokers and Spark elsewhere are checked as local ones are."""
    complaint = stack.lacks(name)
    if complaint is None:
        return Finding(name, Verdict.GOOD, f"answers ({address})")
    return Finding(name, Verdict.BAD, f"{complaint} ({address})", "Check the address and the network")
