"""The commands that run the platform on this machine: `up`, `down`, `restart`, `status`, `open`, `dashboard`."""

import html
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from music_platform.cli.terminal import acting_settings, console, current_settings, plain
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.settings import Settings, get_settings
from music_platform.stack import services
from music_platform.stack.local_stack import LocalStack, ServiceStatus, standing
from music_platform.web_guard import login_address

REFRESH_SECONDS = 2.0
COLOURS = {"running": "green", "external": "cyan", "starting": "yellow", "stopped": "dim"}


def complete_service(incomplete: str) -> list[str]:
    """Names of services, for the shell."""
    return [name for name in services.known_names(get_settings()) if name.startswith(incomplete)]


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when every service answers.")] = False,
    only: Annotated[
        str,
        typer.Option(
            metavar="SERVICE,…",
            help="Only these services: kafka, spark, warehouse, code, webserver, daemon, dashboard, watch. 'dagster' "
            "means code, webserver and daemon; 'kafka' and 'spark' mean all members of a local cluster.",
        ),
    ] = "",
) -> None:
    """Start the platform on this machine.

    Creates topics, database and empty reference tables where they are missing. Stays in the foreground and stops
    everything on Ctrl-C, unless --detach is given.

    Services you point elsewhere (KAFKA_BOOTSTRAP_SERVERS, SPARK_REMOTE, SNOWFLAKE_ACCOUNT) are not started here.
    """
    from music_platform.stack.provision import provision_for

    settings = acting_settings()
    names = {name.strip() for name in only.split(",") if name.strip()}
    wanted = services.named_services(names) if names else None
    with console.status("starting") as spinner:

        def report(service: str, what: str) -> None:
            _report(service, what)
            spinner.update("starting")

        stack = LocalStack(settings, report, console)
        # A closed terminal and SIGTERM end `up` as Ctrl-C does; so does SIGINT where a shell's `&` has it ignored.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        started = stack.up(wanted, lambda running: provision_for(running, wanted))
    if wanted is None or services.WEBSERVER in wanted:
        _print_broken_code(stack)
    if not started:
        console.print(plain(_nothing_started(stack.settings, wanted)), soft_wrap=True)
    if detach or not started:
        status = stack.status()
        console.print(_table(status))
        if status[services.WEBSERVER].state == "running":
            console.print("Dagster's UI: music-platform open")
        if status[services.DASHBOARD].state == "running":
            console.print("The dashboard: music-platform dashboard")
        return
    _stay(stack)


def down() -> None:
    """Stop everything that `up` started in this home."""
    with console.status("stopping"):
        stack = LocalStack(current_settings(), console=console)
        stopped = stack.down()
    if not stopped:
        console.print(f"Nothing of {plain(str(stack.settings.home))} is running.", soft_wrap=True)
    for name in stopped:
        _report(name, "stopped")


def restart(
    service: Annotated[
        str, typer.Argument(help="The service; all that were started if left out.", autocompletion=complete_service)
    ] = "",
) -> None:
    """Restart services with the settings of now."""
    stack = LocalStack(acting_settings(), _report, console)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    stack.restart({service} if service else None)


def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object by service name.")] = False) -> None:
    """Show each service's state, process, memory and address.

    Exit code: 0 if every service that was started runs, 1 if one of them does not, 3 if nothing of this home runs.
    """
    found = LocalStack(current_settings(), console=console).status()
    if as_json:
        print(json.dumps({name: asdict(service) for name, service in found.items()}, indent=2))
    else:
        console.print(_table(found))
    raise typer.Exit(standing(found))


def open_ui() -> None:
    """Open Dagster's UI in a browser, and print its address.

    The address logs a browser in, for a month. Anyone who has it can use the UI.
    """
    stack = LocalStack(current_settings(), console=console)
    address = login_address(stack.settings.dagster_url, stack.settings.music_secret)
    print(address, flush=True)
    if stack.lacks(services.WEBSERVER):
        raise LocalStackError("Dagster's UI does not answer there. Start it with `music-platform up`.")
    _open(stack, address)


def dashboard() -> None:
    """Open the dashboard in a browser, and print its address.

    If the dashboard does not run, it is started: beside the services that run, or alone until Ctrl-C, with the local
    warehouse if that is its own. The address logs a browser in, for a month. Anyone who has it can use the dashboard.
    """
    stack = LocalStack(acting_settings(), _report, console)
    # In a container it runs without supervisor.
    starts = stack.lacks(services.DASHBOARD) is not None
    stays = starts and not stack.is_running()
    if starts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        # Alone it would have nothing to show.
        needed = {services.WAREHOUSE} if stack.settings.warehouse_is_local else set()
        stack.up({services.DASHBOARD, *needed})
    address = login_address(stack.settings.dashboard_url, stack.settings.music_secret)
    print(address, flush=True)
    _open(stack, address)
    if stays:
        _stay(stack)


def _open(stack: LocalStack, address: str) -> None:
    """Open an address that logs in, where there is a display: a text browser might take over the terminal."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        typer.launch(write_login_page(stack.home, address).as_uri())


def write_login_page(home: Home, address: str) -> Path:
    """A page that leads to the address. Other users see the command line of a browser, but not this file."""
    page = home.root / "open.html"
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(address)}">\n'
    with open(page, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
    return page


def watch() -> None:
    """Check the platform and send alerts until stopped.

    Looks at services, runs, checks, freshness and lag; alerts go to ALERT_URLS. `up` keeps it running as a service.
    """
    from music_platform.monitoring.watch import run

    run(current_settings())


def _nothing_started(settings: Settings, wanted: set[str] | None) -> str:
    """Why `up` has started nothing."""
    local = services.select_services(settings, wanted)
    known = services.services_of(settings)
    elsewhere = [name for name in known if wanted and name in wanted and name not in local]
    if local:
        return f"Everything of {settings.home} is already running."
    where = ", ".join(f"{name} at {services.address_of(name, settings)}" for name in elsewhere)
    return f"There is nothing to start here: {where} is not on this machine. Topics and tables are in place."


def _report(service: str, what: str) -> None:
    console.print(f"[bold]{plain(service):<10}[/] {plain(what)}")


def _print_broken_code(stack: LocalStack) -> None:
    from music_platform.cli.look import print_finding
    from music_platform.stack.doctor import definitions
    from music_platform.stack.findings import Verdict

    for finding in definitions(stack.settings):
        if finding.verdict is Verdict.BAD:
            print_finding(finding)


def _stay(stack: LocalStack) -> None:
    """Show the state until Ctrl-C, SIGTERM or the end of the terminal, then stop everything."""
    try:
        # Inside: who reads this line may press Ctrl-C at once.
        addresses = {
            services.WEBSERVER: ("Dagster's UI", stack.settings.dagster_url),
            services.DASHBOARD: ("The dashboard", stack.settings.dashboard_url),
        }
        status = stack.status()
        for name, (title, url) in addresses.items():
            if status[name].state == "running":
                address = login_address(url, stack.settings.music_secret)
                console.print(f"{title}: {address}", soft_wrap=True, highlight=False)
        console.print("Ctrl-C stops everything.")
        _show_until_stopped(stack)
        console.print("The stack was stopped from elsewhere.")
    except (KeyboardInterrupt, OSError):
        # A second Ctrl-C must not leave half of it running; a terminal that is gone cannot be written to.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with suppress(OSError):
            console.print("stopping")
        stopped = stack.down()
        with suppress(OSError):
            console.print(f"Stopped: {', '.join(stopped)}.")


def _show_until_stopped(stack: LocalStack) -> None:
    """Keep a table of the services on the terminal for as long as the stack runs."""
    if not console.is_terminal:
        while stack.is_running():
            time.sleep(REFRESH_SECONDS)
        return
    with Live(_table(stack.status()), console=console, auto_refresh=False) as live:
        while stack.is_running():
            live.update(_table(stack.status()), refresh=True)
            time.sleep(REFRESH_SECONDS)


def _table(status: dict[str, ServiceStatus]) -> Table:
    table = Table("service", "state", "pid", "memory", "address", box=None, pad_edge=False, header_style="bold")
    for name, service in status.items():
        state = f"[{COLOURS.get(service.state, 'red')}]{service.state}[/]"
        memory = f"{service.memory / 1e6:,.0f} MB" if service.memory else ""
        table.add_row(name, state, str(service.pid or ""), memory, plain(service.address or ""))
    return table
