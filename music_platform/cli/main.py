"""The command line's entry point: its commands by help panel, and how errors are shown.

A command is a line in COMMANDS. Its module is imported when it is called, so that `--help` and `status` stay quick.
"""

import importlib
import inspect
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from music_platform.cli.terminal import errors, plain
from music_platform.errors import PlatformError

RUN, LOOK, REPAIR, SET_UP = "Run", "Look", "Repair", "Set up"


@dataclass(frozen=True)
class Entry:
    """A command: where its function (or its group) is, as module:name, and the sentence that lists it."""

    name: str
    target: str
    help: str
    panel: str = RUN
    hidden: bool = False

    def listed(self) -> TyperCommand:
        """The command as `--help` and completion list it, without its module."""
        return TyperCommand(self.name, help=self.help, rich_help_panel=self.panel, hidden=self.hidden)

    def load(self) -> Any:
        """The command itself."""
        module, _, name = self.target.partition(":")
        target = getattr(importlib.import_module(module), name)
        if not isinstance(target, typer.Typer):
            function, target = target, typer.Typer(add_completion=False)
            target.command(self.name)(function)
        command = typer.main.get_command(target)
        command.name = self.name
        return tidy(command)


COMMANDS = (
    Entry("up", "music_platform.cli.stack:up", "Start the platform on this machine."),
    Entry("down", "music_platform.cli.stack:down", "Stop everything that `up` started in this home."),
    Entry("restart", "music_platform.cli.stack:restart", "Restart services with the settings of now."),
    Entry("status", "music_platform.cli.stack:status", "Show each service's state, process, memory and address."),
    Entry("logs", "music_platform.cli.logs:logs", "Print the end of the services' logs; -f follows them."),
    Entry("open", "music_platform.cli.stack:open_ui", "Open Dagster's UI in a browser, and print its address."),
    Entry("dashboard", "music_platform.cli.stack:dashboard", "Open the dashboard in a browser, and print its address."),
    Entry("demo", "music_platform.cli.demo:demo", "Run the whole pipeline once and print its results."),
    Entry("simulate", "music_simulator.cli:simulate", "Simulate a music-streaming service and send its events."),
    Entry("lag", "music_platform.cli.lag:lag", "Show how far each stage is behind, in records and seconds.", LOOK),
    Entry("sql", "music_platform.cli.sql:sql", "Run a statement in the warehouse and print its rows.", LOOK),
    Entry("diff", "music_platform.cli.diff:diff", "Compare the marts with those of another version.", LOOK),
    Entry("doctor", "music_platform.cli.look:doctor", "Check what the platform needs, and say what to fix.", LOOK),
    Entry("settings", "music_platform.cli.look:show_settings", "Show settings: value, source and meaning.", LOOK),
    Entry("topic", "music_platform.cli.repair:topic", "Take over a topic created again, or retire one.", REPAIR),
    Entry("accept-loss", "music_platform.cli.repair:accept_loss_command",
          "Record what is lost and resume after it.", REPAIR),
    Entry("accept-rows", "music_platform.cli.repair:accept_rows_command",
          "Let builds take in rows that a check refused.", REPAIR),
    Entry("recover", "music_platform.cli.repair:recover_command",
          "Replace a lost checkpoint; resume where the lake ends.", REPAIR),
    Entry("rebuild", "music_platform.cli.repair:rebuild_command", "Rebuild RAW.EVENTS from the lake.", REPAIR),
    Entry("redrive", "music_platform.cli.repair:redrive_command",
          "Send quarantined records again, after a fix.", REPAIR),
    Entry("maintain", "music_platform.cli.repair:maintain_command",
          "Compact the lake, and clean up its log and the stage.", REPAIR),
    Entry("env", "music_platform.cli.setup:env", 'Print variables for a shell: eval "$(music-platform env)".', SET_UP),
    Entry("snowflake-setup", "music_platform.cli.setup:snowflake_setup",
          "Print the SQL that prepares a Snowflake account.", SET_UP),
    Entry("serve", "music_platform.cli.container:serve", "Run one service in the foreground.", SET_UP),
    Entry("health", "music_platform.cli.container:health", "Say whether one service answers.", SET_UP),
    Entry("provision", "music_platform.cli.container:provision", "Create missing topics and tables.", SET_UP),
    # A service of the stack.
    Entry("watch", "music_platform.cli.stack:watch", "Check the platform and send alerts until stopped.", hidden=True),
)  # fmt: skip


class Commands(TyperGroup):
    """The group of all commands: loads the one that is called, and shows an error as one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {entry.name: entry.listed() for entry in COMMANDS}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        tidy(self)
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run, imported."""
        name, listed, rest = super().resolve_command(ctx, args)
        loaded = next((entry.load() for entry in COMMANDS if entry.name == name), listed)
        return name, loaded, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what a person can fix is a line and an exit code, not a traceback."""
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            message, code = str(error), error.exit_code
        except typer.TyperException as error:
            where: Any = getattr(error, "ctx", None) or ctx
            message = f"{error.format_message().removesuffix('.')}. See: {where.command_path} --help"
            code = error.exit_code
        errors.print(f"[bold red]error[/] {plain(message)}", soft_wrap=True, highlight=False)
        raise typer.Exit(code)


def tidy(command: Any) -> Any:
    """The command with a help that fits any terminal: paragraphs flow, and the type of an option is short.

    typer shows <bool> beside a flag, and <int range> beside the range itself.
    """
    command.help = flowing(command.help or "")
    for param in (*command.params, command.get_help_option(typer.Context(command))):
        if isinstance(param, TyperOption) and param.metavar is None:
            if param.is_flag:
                param.metavar = ""
            elif param.min is not None:
                param.metavar = f"<{param.bare_type()}>"
    for below in getattr(command, "commands", {}).values():
        tidy(below)
    return command


def flowing(text: str) -> str:
    """Text whose paragraphs are one line each. Those that begin with \\b keep their lines, indented."""
    return "\n\n".join(map(_flowing, inspect.cleandoc(text).split("\n\n")))


def _flowing(paragraph: str) -> str:
    if not paragraph.startswith("\b"):
        return " ".join(paragraph.split())
    return textwrap.indent(paragraph.removeprefix("\b").strip("\n"), "  ")


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    from music_platform.environment import project_root

    print(f"music-platform {version('music-platform')} ({project_root()})")
    raise typer.Exit


app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A music-streaming data platform: Kafka, Spark, Delta, Snowflake and dbt as one Dagster asset graph.

    [bold]up[/] starts it on this machine, [bold]simulate[/] sends events, [bold]status[/] and [bold]doctor[/] report
    how it is, and [bold]down[/] stops it. Settings are environment variables or lines of `.env`: [bold]settings[/]
    lists them. Every command works on the platform of the project that you are in.
    """
