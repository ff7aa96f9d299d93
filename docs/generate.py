"""The parts of the reference that are generated from the code: settings, command line, contract and metrics.

A hook of mkdocs. A page marks the place with a line of its own, `<!-- generated: settings -->`; the text is made when
the site is built and is never committed. Everything else on a page is written by hand, in the page.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import typer
import yaml
from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from rich.text import Text

from music_platform.cli import app
from music_platform.contracts import events
from music_platform.environment import project_root
from music_platform.settings import Settings

PROGRAM = "music-platform"
MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
#: A comment that begins a group of settings.
GROUP = re.compile(r"\s*# -+ (.+?) -+$")
#: Code, and characters that mean something to Markdown outside of code.
SPECIAL = re.compile(r"`[^`]+`|[*|_\[\]<>&]")
BOUNDS = {Ge: "at least {0.ge}", Gt: "more than {0.gt}", Le: "at most {0.le}"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marked places of a page; mkdocs calls it for each. Raises KeyError for a name that is not known."""
    return MARKER.sub(lambda marker: GENERATED[marker[1]](), markdown)


def settings() -> str:
    """A table of settings for each group, in the order of the class. Each variable is an anchor of its name."""
    groups: dict[str, list[list[str]]] = {}
    for name, group in _groups():
        field = Settings.model_fields[name]
        variable = f"`{name.upper()}`{{ #{name} }}"
        groups.setdefault(group, []).append([variable, _default(field), _meaning(field)])
    return "\n".join(
        f"## {group}\n\n{_table(('variable', 'default', 'meaning'), rows)}\n" for group, rows in groups.items()
    )


def metrics() -> str:
    """A table of the metrics, as the dbt project defines them."""
    file = project_root() / "dbt_project" / "models" / "metrics" / "metrics.yml"
    found = yaml.safe_load(file.read_text(encoding="utf-8"))["metrics"]
    rows = [[f"`{metric['name']}`", metric["type"], _text(metric["description"])] for metric in found]
    return _table(("metric", "kind", "meaning"), rows)


def _groups() -> Iterator[tuple[str, str]]:
    """Each setting with its group: a class that `Settings` is made of, or a comment in the class's source."""
    for part in reversed(Settings.__mro__):
        if part is BaseSettings or not issubclass(part, BaseSettings):
            continue
        group = (part.__doc__ or part.__name__).splitlines()[0].rstrip(".")
        for line in inspect.getsource(part).splitlines():
            name = line.partition(":")[0].strip()
            if heading := GROUP.match(line):
                group = heading[1]
            elif name in Settings.model_fields:
                yield name, group


def _default(field: FieldInfo) -> str:
    return "" if field.default in (None, "") else f"`{field.default}`"


def _meaning(field: FieldInfo) -> str:
    bounds = [BOUNDS[type(rule)].format(rule) for rule in field.metadata if type(rule) in BOUNDS]
    parts = [_text(field.description or "")]
    parts += [f"{', '.join(bounds).capitalize()}."] if bounds else []
    parts += ["**Secret.**"] if not field.repr else []
    return " ".join(parts)


@dataclass(frozen=True)
class Verb:
    """A command, and the panel of `--help` that lists it."""

    panel: str
    command: Any
    context: typer.Context


def command_line() -> str:
    """Every command by help panel: usage, help text, arguments and options."""
    panels: dict[str, list[Verb]] = {}
    for verb in verbs():
        panels.setdefault(verb.panel, []).append(verb)
    return "\n".join(f"## {panel}\n\n" + "\n".join(_verb(verb) for verb in found) for panel, found in panels.items())


def verbs() -> list[Verb]:
    """All commands that `--help` lists, those of subgroups among them."""
    group = typer.main.get_command(app)
    return list(_verbs(group, typer.Context(group, info_name=PROGRAM), "Commands"))


def _verbs(group: Any, context: typer.Context, panel: str) -> Iterator[Verb]:
    for name in group.list_commands(context):
        # A command that is imported on call has its panel at the entry that stands for it until then.
        entry, (_, command, _) = group.get_command(context, name), group.resolve_command(context, [name])
        if entry.hidden or command.hidden:
            continue
        found = [p for p in (entry.rich_help_panel, command.rich_help_panel) if isinstance(p, str)]
        verb = Verb(found[0] if found else panel, command, typer.Context(command, context, name))
        if hasattr(command, "list_commands"):
            yield from _verbs(command, verb.context, verb.panel)
        else:
            yield verb


def _verb(verb: Verb) -> str:
    usage = verb.command.get_usage(verb.context).partition(": ")[2]
    rows: dict[str, list[list[str]]] = {}
    for parameter in verb.command.params:
        if record := parameter.get_help_record(verb.context):
            panel = getattr(parameter, "rich_help_panel", None)
            rows.setdefault(panel if isinstance(panel, str) else "", []).append([f"`{record[0]}`", _text(record[1])])
    name = verb.context.command_path.removeprefix(PROGRAM).strip()
    lines = [f"### {name}", "", f"    {' '.join(usage.split())}", "", *_paragraphs(verb.command.help or "")]
    for panel, found in rows.items():
        lines += ["", *([f"**{panel}**", ""] if panel else []), _table(("option", "meaning"), found)]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """A help text as Markdown; what is indented, or keeps its line ends by a \\b, is shown as typed."""
    for block in Text.from_markup(text.partition("\f")[0]).plain.split("\n\n"):
        typed = block.startswith(("\b", " "))
        lines = [line for line in dedent(block.lstrip("\b\n")).splitlines() if line.strip()]
        yield from (f"    {line}" for line in lines) if typed else [_text(" ".join(map(str.strip, lines)))]
        yield ""


def contract() -> str:
    """The contract's topics, fields and the columns that the platform adds."""
    topics = _table(("event kind", "topic"), ([f"`{kind}`", f"`{topic}`"] for kind, topic in events.TOPICS.items()))
    added = {
        "Where the record came from": events.ORIGIN_COLUMNS,
        "What the platform found": events.OUTCOME_COLUMNS,
        "What the reference data said": events.ENRICHMENT_COLUMNS,
        "What the loader adds in RAW": events.LOAD_COLUMNS,
    }
    columns = (
        f"### {title}\n\n"
        + _table(("column", "type", "meaning"), ([f"`{c.column}`", c.sql_type, _about(c)] for c in found))
        for title, found in added.items()
    )
    return "\n\n".join(
        [
            "## Topics",
            topics,
            "## Fields",
            _table(("field", "type", "column", "required in", "since", "meaning"), map(_field, events.FIELDS)),
            "## Columns the platform adds",
            *columns,
        ]
    )


def _field(field: events.Field) -> list[str]:
    required = "all" if field.required_in == set(events.TOPICS) else ", ".join(sorted(field.required_in))
    limits = (("at least", field.minimum), ("at most", field.maximum))
    bounds = ", ".join(f"{word} {value:,.0f}" for word, value in limits if value is not None)
    meaning = f"{_about(field)} {bounds.capitalize()}." if bounds else _about(field)
    return [f"`{field.path}`", field.json_type, f"`{field.column}`", required, str(field.since), meaning]


def _about(column: events.Field | events.Column) -> str:
    open_to_all = column.privacy is events.Privacy.OPEN
    return _text(column.description) + ("" if open_to_all else f" **{column.privacy.capitalize()}.**")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    """Plain text as Markdown of one line: what stands in backticks stays code, other marks are taken as they are."""
    return SPECIAL.sub(lambda found: found[0] if found[0][0] == "`" else f"&#{ord(found[0])};", " ".join(text.split()))


GENERATED: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": command_line,
    "contract": contract,
    "metrics": metrics,
}
