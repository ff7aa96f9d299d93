"""What producers send is shown as it is, whatever it looks like to the terminal."""

from io import StringIO

import pytest
from rich.console import Console

from music_platform.cli.terminal import data_table, plain, visible

TITLES = ["Song [feat. Somebody]", "[/x]", "[bold]loud[/bold]", "[link=file:///etc]", "\\[a]", "100 %", "日本 🎵 é"]


def printed(rows: list[list[object]]) -> str:
    console = Console(file=StringIO(), width=200, force_terminal=True, color_system=None)
    console.print(data_table(["title [x]", "plays"], rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


@pytest.mark.parametrize("title", TITLES)
def test_a_title_is_no_markup(title: str) -> None:
    """`[feat. …]` lost its text, and `[/x]` was a traceback."""
    shown = printed([[title, 3]])
    assert title in shown
    assert "title [x]" in shown


def test_null_is_empty_and_other_values_are_text() -> None:
    assert [line.split() for line in printed([[None, 1.5], [True, "null"]]).splitlines()[1:]] == [
        ["1.5"],
        ["True", "null"],
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("one\rtwo\x08", "one\\rtwo\\x08"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("lines\nand\ttabs", "lines\nand\ttabs"),
        ("👩\u200d💻 é", "👩\u200d💻 é"),
    ],
)
def test_control_characters_are_written_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert "\x1b" not in plain(text)
    assert "\x1b" not in printed([[text, 1]]).replace("\x1b[1m", "").replace("\x1b[0m", "")
