"""The command line: `music-platform up`, `down`, `status`, `env`, `doctor`, `settings` and the platform's own verbs.

Commands import what they need when they are called, so that `--help` and `status` stay quick. A verb that lives in a
module of its own is a line in `DEFERRED`; that module is imported only when the verb is called.
"""

import importlib
import json
import signal
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from music_platform.errors import LocalStackError, PlatformError
from music_platform.settings import Settings, get_settings

if TYPE_CHECKING:
    from music_platform.stack.findings import Finding
    from music_platform.stack.local_stack import LocalStack

#: Verb → where its function is (module:function) and what it does, for the list of commands.
DEFERRED: dict[str, tuple[str, str]] = {
    "simulate": ("music_simulator.cli:simulate", "Produce listening events into Kafka or into files."),
    "lag": ("music_platform.cli.lag:lag", "Show the backlog of each stage."),
    "sql": ("music_platform.cli.sql:sql", "Run a statement on the warehouse."),
    "topic": ("music_platform.cli.repair:topic", "Take over a topic that was deleted and created again."),
    "accept-loss": ("music_platform.cli.repair:accept_loss", "Record offsets that are lost, and go on behind them."),
    "recover": ("music_platform.cli.repair:recover", "Go on behind the lake where the checkpoint is lost."),
    "rebuild": ("music_platform.cli.repair:rebuild", "Make RAW anew from the lake."),
    "redrive": ("music_platform.cli.repair:redrive", "Send quarantined records again, after a fix."),
    "maintain": ("music_platform.cli.repair:maintain", "Compact the lake; clean its log and the stage."),
    "watch": ("music_platform.cli.watch:watch", "Tell people what is wrong (a service of the stack)."),
    "snowflake-setup": (
        "music_platform.cli.account:snowflake_setup",
        "Print the SQL that prepares a Snowflake account: roles, grants, users, warehouse.",
    ),
    "demo": ("music_platform.cli.demo:demo", "The whole way once, from simulated events to the marts' answers."),
}

REFRESH_SECONDS = 2.0

console = Console()
errors = Console(stderr=True)


class Verbs(TyperGroup):
    """The group of all commands: imports deferred ones on their call, and turns known errors into a line and exit 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, as `--help` lists them."""
        return [*super().list_commands(ctx), *DEFERRED]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; for a deferred one a stand-in that only knows its help."""
        if cmd_name in DEFERRED:
            return TyperCommand(cmd_name, help=DEFERRED[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run; a deferred one is imported here."""
        if args and args[0] in DEFERRED:
            return args[0], _load(args[0]), args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what a person can mend is a message, not a traceback."""
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            message = str(error)
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc'])).upper()}={e['input']!r}: {e['msg']}" for e in error.errors())
            message = "A setting is wrong. " + "; ".join(problems)
        errors.print(f"[bold red]error[/] {_plain(message)}", soft_wrap=True)
        raise typer.Exit(1)


def _load(verb: str) -> Any:
    module, _, function = DEFERRED[verb][0].partition(":")
    single = typer.Typer(add_completion=False)
    single.command(verb)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="A music-streaming data platform: Kafka, Spark, Delta, Snowflake and dbt as one Dagster asset graph.\n\n"
    "[bold]music-platform up[/] starts everything on this machine, [bold]simulate[/] produces events, "
    "[bold]status[/] and [bold]doctor[/] say how it is, [bold]down[/] stops it. Settings are environment variables: "
    "[bold]music-platform settings[/] lists them.",
)


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when every service answers.")] = False,
    only: Annotated[
        str, typer.Option(help="Comma-separated services: kafka, spark, warehouse, code, webserver, daemon, watch.")
    ] = "",
) -> None:
    """Start the local stack and create topics, database and empty reference tables.

    Stays in the foreground and stops everything on Ctrl-C, unless --detach is given. Services that the settings place
    elsewhere (KAFKA_BOOTSTRAP_SERVERS, SPARK_REMOTE, SNOWFLAKE_ACCOUNT) are not started.
    """
    from music_platform.stack.doctor import definitions
    from music_platform.stack.findings import Verdict
    from music_platform.stack.local_stack import LocalStack
    from music_platform.stack.provision import provision_for

    wanted = {name.strip() for name in only.split(",") if name.strip()} or None
    with console.status("starting") as spinner:

        def report(service: str, what: str) -> None:
            console.print(f"[bold]{service:<10}[/] {_plain(what)}")
            spinner.update("starting")

        stack = LocalStack(get_settings(), report, console)
        # A closed terminal and a polite kill end `up` as Ctrl-C does; so does that where a shell's `&` has it ignored.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        started = stack.up(wanted, lambda settings: provision_for(settings, wanted))
    if wanted is None or "webserver" in wanted:
        for finding in definitions(stack.settings):
            if finding.verdict is Verdict.BAD:
                _print_finding(finding)
    if not started:
        console.print(f"Everything of {stack.settings.home} is already running.", soft_wrap=True)
    if detach or not started:
        console.print(_table(stack))
        return
    _stay(stack)


@app.command()
def down() -> None:
    """Stop everything that `up` started in this home; nothing is left behind."""
    with console.status("stopping"):
        stack = _stack()
        stopped = stack.down()
    if not stopped:
        console.print(f"Nothing of {stack.settings.home} is running.", soft_wrap=True)
    for name in stopped:
        console.print(f"[bold]{_plain(name)}[/] stopped")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object by service name.")] = False) -> None:
    """Show each service's state, process, address and memory."""
    stack = _stack()
    if as_json:
        print(json.dumps({name: asdict(service) for name, service in stack.status().items()}, indent=2))
    else:
        console.print(_table(stack))


@app.command()
def env() -> None:
    """Print the variables of this home for a shell: eval "$(music-platform env)".

    After that `dagster asset materialize` shows its runs in this home's UI, and `dagster` and `dbt` are on the PATH.
    """
    from music_platform.environment import export_lines
    from music_platform.stack.java import find_java

    settings = _stack().settings
    try:
        java_home = find_java(settings).home
    except LocalStackError:
        java_home = None
    print("\n".join(export_lines(settings, java_home)))


@app.command()
def doctor() -> None:
    """Examine what the platform stands on: what was found, what to do next. Exits 1 if something is wrong."""
    from music_platform.stack.doctor import examine
    from music_platform.stack.findings import Verdict

    wrong = False
    for finding in examine(_stack()):
        wrong |= finding.verdict is Verdict.BAD
        _print_finding(finding)
    if wrong:
        raise typer.Exit(1)


@app.command("settings")
def show_settings() -> None:
    """List every setting: its variable, value, default and meaning."""
    from rich.table import Table

    table = Table("variable", "value", "default", "meaning", box=None, pad_edge=False, header_style="bold")
    current = _stack().settings
    for name, field in Settings.model_fields.items():
        value = getattr(current, name)
        changed = value != field.default
        shown = "" if value is None else str(value) if field.repr else "••••••"
        default = "" if field.default is None else str(field.default)
        table.add_row(
            name.upper(),
            f"[bold]{_plain(shown)}[/]" if changed else _plain(shown),
            default,
            _plain(field.description or ""),
        )
    console.print(table)


def _print_finding(finding: "Finding") -> None:
    marks = {"ok": "[green]ok   [/]", "note": "[yellow]note [/]", "wrong": "[red]wrong[/]"}
    advice = f"\n                 → {_plain(finding.advice)}" if finding.advice else ""
    line = f"{marks[finding.verdict.value]} [bold]{finding.what:<10}[/] {_plain(finding.found)}{advice}"
    console.print(line, soft_wrap=True)


def _stack() -> "LocalStack":
    from music_platform.stack.local_stack import LocalStack

    return LocalStack(get_settings(), console=console)


def _stay(stack: "LocalStack") -> None:
    """Show the state until Ctrl-C, SIGTERM or the end of the terminal, then stop everything."""
    try:
        # Inside: who reads this line may press Ctrl-C at once.
        console.print(f"Dagster's UI: {stack.settings.dagster_url}   Ctrl-C stops everything.")
        _watch(stack)
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


def _watch(stack: "LocalStack") -> None:
    """Keep a table of the services on the terminal for as long as the stack runs."""
    from rich.live import Live

    if not console.is_terminal:
        while stack.is_running():
            time.sleep(REFRESH_SECONDS)
        return
    with Live(_table(stack), console=console, auto_refresh=False) as live:
        while stack.is_running():
            live.update(_table(stack), refresh=True)
            time.sleep(REFRESH_SECONDS)


def _table(stack: "LocalStack") -> Any:
    from rich.table import Table

    colours = {"running": "green", "external": "cyan", "starting": "yellow", "stopped": "dim"}
    table = Table("service", "state", "pid", "memory", "address", box=None, pad_edge=False, header_style="bold")
    for name, service in stack.status().items():
        state = f"[{colours.get(service.state, 'red')}]{service.state}[/]"
        memory = f"{service.memory / 1e6:,.0f} MB" if service.memory else ""
        table.add_row(name, state, str(service.pid or ""), memory, service.address or "")
    return table


def _plain(text: str) -> str:
    """Text in which rich finds no markup."""
    from rich.markup import escape

    return escape(text)
