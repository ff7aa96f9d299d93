"""The commands that look at the platform itself: `doctor` and `settings`."""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from music_platform.cli.terminal import console, current_settings, plain
from music_platform.errors import PlatformError
from music_platform.settings import GROUPS, Settings, is_secret
from music_platform.stack.findings import Finding, Verdict

DEFAULT = "default"
MASKED = "••••••"
INDENT = "    "


def doctor(as_json: Annotated[bool, typer.Option("--json", help="A list of findings.")] = False) -> None:
    """Check what the platform needs, and say what to fix.

    Exit code: 1 if something is wrong, else 0.
    """
    from music_platform.stack.doctor import examine
    from music_platform.stack.local_stack import LocalStack

    found: list[Finding] = []
    for finding in examine(LocalStack(current_settings(), console=console)):
        found.append(finding)
        if not as_json:
            print_finding(finding)
    if as_json:
        print(json.dumps([_as_json(finding) for finding in found], indent=2, ensure_ascii=False))
    if any(finding.verdict is Verdict.BAD for finding in found):
        raise typer.Exit(1)


def print_finding(finding: Finding) -> None:
    """A finding, and below it what to do."""
    marks = {Verdict.GOOD: "[green]ok   [/]", Verdict.NOTE: "[yellow]note [/]", Verdict.BAD: "[red]wrong[/]"}
    advice = f"\n                 → {plain(finding.advice)}" if finding.advice else ""
    line = f"{marks[finding.verdict]} [bold]{finding.what:<10}[/] {plain(finding.found)}{advice}"
    console.print(line, soft_wrap=True)


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "what": finding.what, "verdict": finding.verdict.value, "found": finding.found, "advice": finding.advice
    }  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A setting as a person sees it: secrets are masked, and what is unset is empty."""

    name: str
    group: str
    value: str
    default: str
    source: str
    meaning: str

    def matches(self, word: str) -> bool:
        """Whether its name contains the word, or a word of its group or meaning begins with it."""
        begins = rf"\b{re.escape(word)}"
        return word.upper() in self.name or bool(re.search(begins, f"{self.group} {self.meaning}", re.IGNORECASE))


def show_settings(
    word: Annotated[str, typer.Argument(help="Only settings with this word in their name, group or meaning.")] = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Only settings that the environment, .env or ports.env sets.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of settings.")] = False,
) -> None:
    """Show settings: value, source and meaning.

    To change one, set its variable, or write NAME=value into `.env` in the project. Secrets are masked.
    """
    settings = current_settings()
    chosen = [each for each in shown(settings) if each.matches(word)]
    if not chosen:
        raise PlatformError(f"No setting has {word!r} in its name, group or meaning.")
    chosen = [each for each in chosen if each.source != DEFAULT or not changed]
    if as_json:
        print(json.dumps([vars(each) for each in chosen], indent=2, ensure_ascii=False))
        return
    _print_places(settings)
    group = ""
    for each in chosen:
        if each.group != group:
            group = each.group
            console.print(Text(f"\n{group}", style="bold underline"))
        _print_setting(each)
    if not chosen:
        console.print("\nEverything is at its default.")


def shown(settings: Settings) -> Iterator[Shown]:
    """Every setting, by group."""
    values = settings.sources.values if settings.sources else {}
    for group in GROUPS:
        for name, field in group.model_fields.items():
            value = _text(getattr(settings, name))
            yield Shown(
                name=name.upper(),
                group=(group.__doc__ or "").removesuffix("."),
                value=MASKED if value and is_secret(field) else value,
                default=_text(field.default),
                source=values[name].origin if name in values else DEFAULT,
                meaning=field.description or "",
            )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _print_places(settings: Settings) -> None:
    """Which platform these settings are of."""
    found = settings.sources
    places: dict[str, object] = {"home": settings.home}
    if found is not None:
        places = {"project": found.project, **places, "settings": found.env_file or "no .env is read"}
    for name, where in places.items():
        console.print(Text(f"{name:<9}{where}"), soft_wrap=True)


def _print_setting(setting: Shown) -> None:
    """A block: NAME=value as a line of `.env`, its source where it is set, and what it means."""
    style = "bold green" if setting.source != DEFAULT else ""
    console.print(Text.assemble((setting.name, "bold"), "=", (setting.value, style)), soft_wrap=True)
    if setting.source != DEFAULT:
        default = f", default {setting.default}" if setting.default else ""
        console.print(Text(f"{INDENT}from {setting.source}{default}", style="cyan"), soft_wrap=True)
    for line in textwrap.wrap(setting.meaning, console.width - 1, initial_indent=INDENT, subsequent_indent=INDENT):
        console.print(Text(line), highlight=False)
