"""Whether Snowflake's grammar, as sqlfluff has it, takes the statements that were sent to a local warehouse.

The local warehouse parses with sqlglot, which is lenient: it takes reserved words as names and keeps what it does not
know as text.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from snowflake_local.server import LONGEST_SHOWN

#: Bytes of a statement, of which Snowflake takes a million and its compiler works for minutes on.
LONGEST = 256 * 1024

if TYPE_CHECKING:
    from sqlfluff.core import Linter

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
#: Between dollars everything is text, quotes too.
_TEXT = re.compile(r"'(?:[^'\\]|\\.|'')*'|\$\$.*?\$\$", re.DOTALL)
_NUMBER = re.compile(r"\b\d[\w.]*\b")
#: Databases of single tests, and folders of a stage.
_OWN = re.compile(r"\bT[0-9A-F]{8}\b|(?<=/)(?:v|rebuild)\d+", re.IGNORECASE)
#: sqlfluff reserves it everywhere. In Snowflake it cannot name a table, and may name a column.
_COLUMN = re.compile(r"\bconnection\b", re.IGNORECASE)


def shape(statement: str) -> str:
    """The statement without its comments and values: what many statements have in common that differ in these only.

    Repeated rows, dates and names of files are one, and a bound value (?) is a value.
    """
    bare = _OWN.sub("t", _NUMBER.sub("1", _TEXT.sub("'x'", _COMMENT.sub(" ", statement)).replace("?", "1")))
    bare = _COLUMN.sub("connection_kind", bare)
    return re.sub(r"('x'|1)(\s*,\s*('x'|1))+", r"\1", " ".join(bare.split()))


@cache
def _linter() -> "Linter":
    # Imported here because it takes seconds.
    from sqlfluff.core import FluffConfig, Linter

    return Linter(
        config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw", "large_file_skip_byte_limit": 0})
    )


def refused(shapes: Iterable[str]) -> list[str]:
    """The statements, by shape, that the grammar refuses, each with where and why."""
    return [
        f"{violations[0].desc()} in: {statement}"
        for statement in shapes
        if (violations := _linter().parse_string(statement).violations)
    ]


def not_begun(shapes: Iterable[str], folder: Path) -> Iterator[str]:
    """Those of the shapes that no other worker of the session has begun with, each when it is asked for: the grammar
    takes a tenth of a second for one. The workers share the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for statement in sorted(shapes):
        with suppress(FileExistsError):
            (folder / hashlib.sha256(statement.encode()).hexdigest()).touch(exist_ok=False)
            yield statement


class Sent:
    """The statements that were sent to a warehouse, by shape."""

    def __init__(self) -> None:
        self.shapes: dict[str, None] = {}
        self.too_long: list[str] = []

    def add(self, statements: Iterable[dict[str, str | int]]) -> None:
        """Add what the warehouse shows. What it shows only the beginning of cannot be parsed."""
        for said in statements:
            text, length = str(said["text"]), int(said["characters"])
            if length > LONGEST:
                self.too_long.append(f"{length:,} characters: {text[:200]}")
            elif length <= LONGEST_SHOWN:
                self.shapes.setdefault(shape(text))
