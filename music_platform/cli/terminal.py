"""What commands share: the two streams they print to, the lines about the platform they act on, and their question."""

import re
import sys
from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from music_platform.errors import PlatformError
from music_platform.settings import Settings, get_settings

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

console = Console()
errors = Console(stderr=True)


class UnansweredError(PlatformError):
    """A command has to ask, and there is nobody to answer."""


def plain(text: str) -> str:
    """Text in which rich finds no markup and the terminal no control characters."""
    return escape(visible(text))


def visible(text: str) -> str:
    """The text with its control characters, and those that change the direction of writing, written as escapes: what a
    producer sent must not move the cursor, change colours or hide anything. Line feeds and tabs stay."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def data_table(names: Iterable[str], rows: Iterable[Iterable[object]], **style: Any) -> Table:
    """A table of data, each value as it is: no markup, and NULL is empty."""
    table = Table(*map(plain, names), box=None, pad_edge=False, **style)
    for row in rows:
        table.add_row(*(Text("" if value is None else visible(str(value))) for value in row))
    return table


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
