"""Markdown for the metadata that Dagster's UI shows."""

import re
from collections.abc import Iterable
from typing import Any

_MARKUP = re.compile(r"[\\`*\[\]<>|]")


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table of data, which is no markup. None becomes an empty cell."""
    names = list(columns)
    head = [" | ".join(names), " | ".join("---" for _ in names)]
    return "\n".join(head + [" | ".join("" if cell is None else _plain(f"{cell}") for cell in row) for row in rows])


def _plain(text: str) -> str:
    """Text in which Markdown finds no markup: a file's name may be a link, and a bar would end the cell."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_page(sections: Iterable[tuple[str, str]]) -> str:
    """Headings, each with its body."""
    return "\n\n".join(f"### {heading}\n\n{body}" for heading, body in sections)
