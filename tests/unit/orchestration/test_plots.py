"""Plots for metadata are pictures that a browser draws from the Markdown alone."""

import base64
from xml.etree import ElementTree

from music_platform.orchestration.assets.learned.plots import line_plot

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_is_one_picture_with_its_lines_and_names() -> None:
    markdown = line_plot("A & B", "said", "seen", {"model": [(0.0, 0.1), (0.5, 0.4)], "<perfect>": [(0.0, 0.0)]})
    assert markdown.startswith("![A & B](data:image/svg+xml;base64,")
    assert markdown.endswith(")")
    picture = ElementTree.fromstring(base64.b64decode(markdown.partition("base64,")[2][:-1]))
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"A & B", "said", "seen", "model", "<perfect>", "0.5", "0.4"} <= set(texts)
    lines = [line.attrib["points"] for line in picture.iter(f"{SVG}polyline")]
    assert lines[1] == "48.0,201.0 372.0,48.0"
    assert len(list(picture.iter(f"{SVG}circle"))) == 3


def test_a_plot_of_nothing_is_empty_axes() -> None:
    picture = ElementTree.fromstring(base64.b64decode(line_plot("None", "x", "y", {}).partition("base64,")[2][:-1]))
    assert len(list(picture.iter(f"{SVG}polyline"))) == 1
