"""Plots for metadata: small SVG pictures within Markdown, which Dagster's UI shows without a file or a library."""

import base64
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 420, 300, 48
COLORS = ("#2563eb", "#d97706", "#059669", "#7c3aed")

Point = tuple[float, float]


def line_plot(title: str, x: str, y: str, lines: Mapping[str, Sequence[Point]]) -> str:
    """Lines with marks over axes from 0 to the greatest value, as a picture in Markdown."""
    most_x = max((point[0] for line in lines.values() for point in line), default=0.0) or 1.0
    most_y = max((point[1] for line in lines.values() for point in line), default=0.0) or 1.0

    def placed(point: Point) -> str:
        return (
            f"{MARGIN + point[0] / most_x * (WIDTH - 2 * MARGIN):.1f},"
            f"{HEIGHT - MARGIN - point[1] / most_y * (HEIGHT - 2 * MARGIN):.1f}"
        )

    def text(left: float, top: float, words: str, extra: str = "") -> str:
        return f'<text x="{left}" y="{top}" {extra}>{escape(words)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<polyline points="{placed((0, most_y))} {placed((0, 0))} {placed((most_x, 0))}" fill="none" stroke="#666"/>',
        text(WIDTH / 2, 18, title, 'text-anchor="middle" font-weight="bold"'),
        text(WIDTH / 2, HEIGHT - 12, x, 'text-anchor="middle"'),
        text(14, HEIGHT / 2, y, f'text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})"'),
        text(WIDTH - MARGIN, HEIGHT - MARGIN + 16, f"{most_x:.3g}", 'text-anchor="end"'),
        text(MARGIN - 4, MARGIN + 4, f"{most_y:.3g}", 'text-anchor="end"'),
    ]
    for number, (name, line) in enumerate(lines.items()):
        color = COLORS[number % len(COLORS)]
        parts.append(
            f'<polyline points="{" ".join(map(placed, line))}" fill="none" stroke="{color}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{place[0]}" cy="{place[1]}" r="3" fill="{color}"/>'
            for place in (placed(point).split(",") for point in line)
        ]
        parts.append(text(MARGIN + 8, MARGIN + 4 + 16 * number, name, f'fill="{color}"'))
    picture = base64.b64encode("".join([*parts, "</svg>"]).encode()).decode()
    return f"![{title}](data:image/svg+xml;base64,{picture})"
