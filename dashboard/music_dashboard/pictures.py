"""A tile without a chart as a picture: its figures and the first rows of its table. Charts save themselves."""

import io
from collections.abc import Sequence

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from music_dashboard.formats import NOTHING
from music_dashboard.tile import Drawing, Numbers, Table

MOST_ROWS, MOST_CHARACTERS = 12, 40
_SCALE, _MARGIN, _LINE, _GAP = 2, 24, 22, 18
_INK, _PALE, _PAPER = "#1a1c22", "#60646c", "#ffffff"


def picture(title: str, caption: str, drawings: Sequence[Drawing]) -> bytes:
    """A PNG: the title, the figures, the table and the caption that says how far it is complete."""
    lines: list[tuple[list[str], bool]] = [([title], True)]
    widths: list[int] = []
    for drawing in drawings:
        if isinstance(drawing, Numbers):
            lines += [([f"{item.label}: {item.value}"], False) for item in drawing.items]
        elif isinstance(drawing, Table):
            rows = [[str(name) for name in drawing.frame.columns], *_cells(drawing.frame.head(MOST_ROWS))]
            widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
            lines += [([], False), *((row, number == 0) for number, row in enumerate(rows))]
    lines += [([], False), ([caption], False)]
    return _drawn(lines, widths)


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    return [[_text(value) for value in row] for row in frame.itertuples(index=False)]


def _text(value: object) -> str:
    if pd.isna(value):
        return NOTHING
    text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    # The text of a link is after its #.
    shown = text.rpartition("#")[2].replace("%20", " ") if text.startswith("artist?") else text
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[: MOST_CHARACTERS - 1]}…"


def _drawn(lines: Sequence[tuple[list[str], bool]], widths: Sequence[int]) -> bytes:
    font = ImageFont.load_default(size=14 * _SCALE)
    advance = font.getlength("0") * 1.05
    columns = [sum(width * advance + _GAP * _SCALE for width in widths[:n]) for n in range(len(widths) + 1)]
    single = max((font.getlength(cells[0]) for cells, _ in lines if len(cells) == 1), default=0)
    width = round(max(columns[-1], single) + 2 * _MARGIN * _SCALE)
    height = round((len(lines) * _LINE + 2 * _MARGIN) * _SCALE)
    image = Image.new("L", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    for number, (cells, is_head) in enumerate(lines):
        y = (_MARGIN + number * _LINE) * _SCALE
        for column, cell in enumerate(cells):
            x = _MARGIN * _SCALE + (columns[column] if len(cells) > 1 else 0)
            pen.text((x, y), cell, fill=_INK if is_head or len(cells) == 1 else _PALE, font=font)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
