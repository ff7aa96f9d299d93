"""Markdown for the metadata that Dagster's UI shows."""

from collections.abc import Iterable
from typing import Any


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table. None becomes an empty cell."""
    names = list(columns)
    head = [" | ".join(names), " | ".join("---" for _ in names)]
    return "\n".join(head + [" | ".join("" if cell is None else f"{cell}" for cell in row) for row in rows])


def markdown_page(sections: Iterable[tuple[str, str]]) -> str:
    """Headings, each with its body."""
    return "\n\n".join(f"### {heading}\n\n{body}" for heading, body in sections)
