"""What commands share: the two streams they print to, the lines about the platform they act on, and their question."""

import sys
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.markup import escape

from music_platform.errors import PlatformError
from music_platform.settings import Settings, get_settings

console = Console()
errors = Console(stderr=True)


class UnansweredError(PlatformError):
    """A command has to ask, and there is nobody to answer."""


def plain(text: str) -> str:
    """Text in which rich finds no markup."""
    return escape(text)


def current_settings() -> Settings:
    """The settings of this command line; a `.env` that is not read is named first."""
    settings = get_settings()
    _notify(settings.sources.skipped if settings.sources else ())
    return settings


def acting_settings() -> Settings:
    """The same for a command that changes something: where anything is external, it first names the platform."""
    settings = get_settings()
    _notify(settings.notices())
    return settings


def require_home(settings: Settings) -> None:
    """Raise PlatformError where nothing was ever started: only `up` and `demo` make a home."""
    if settings.lake_is_local and not settings.home.is_dir():
        raise PlatformError(
            f"There is no platform at {settings.home}. Start it with `music-platform up`, or set MUSIC_HOME."
        )


def require_answer(yes: bool) -> None:
    """Raise UnansweredError where a question could not be answered; called before anything is done."""
    if not yes and not has_terminal():
        raise UnansweredError(
            "This command asks before it changes anything, and there is no terminal to ask at. Nothing was done. "
            "To run it without a question, add --yes."
        )


def has_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def ask(lines: Iterable[str], question: str, yes: bool) -> None:
    """Show what is about to happen, and end the command unless a person agrees or --yes was given."""
    for line in lines:
        console.print(plain(line), soft_wrap=True, highlight=False)
    if not yes and not typer.confirm(question):
        console.print("Nothing was changed.")
        raise typer.Exit(1)


def _notify(lines: Iterable[str]) -> None:
    for line in lines:
        errors.print(f"[cyan]{plain(line)}[/]", soft_wrap=True, highlight=False)
