"""What is drawn: the same values, in UTC, in colours that anybody can tell apart, without a door to elsewhere."""

import json
from typing import Any

import pandas as pd
import pytest

from music_dashboard import charts, palette
from music_dashboard.charts import finished, lines, stacked, states
from music_dashboard.grid import TILES
from music_simulator.places import places

FRAME = pd.DataFrame({"day": pd.to_datetime(["2026-06-29", "2026-06-30"]), "plays": [3, 5], "streams": [2, None]})


def spec(chart: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(finished(chart, "name", "What it says").to_json())
    return found


def data(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in spec(chart)["datasets"].values() for row in rows]


def test_lines_have_every_value_and_their_times_have_a_zone() -> None:
    rows = data(lines(FRAME, "day", {"plays": "Plays", "streams": "Streams"}))
    assert [(row["series"], row["value"]) for row in rows] == [("Plays", 3), ("Plays", 5), ("Streams", 2)]
    assert all(row["day"].endswith("+00:00") for row in rows)


def test_lines_differ_by_more_than_their_colour() -> None:
    encoding = spec(lines(FRAME, "day", {"plays": "Plays", "streams": "Streams"}))["encoding"]
    assert encoding["strokeDash"]["field"] == encoding["color"]["field"] == "series"
    assert len({tuple(dash) for dash in encoding["strokeDash"]["scale"]["range"]}) == 2


def test_bars_stand_for_dates_as_they_are_written() -> None:
    assert {row["day"] for row in data(stacked(FRAME, "day", {"plays": "Plays"}))} == {"06-29", "06-30"}
    years = FRAME.assign(day=pd.to_datetime(["2025-12-31", "2026-01-01"]))
    assert {row["day"] for row in data(stacked(years, "day", {"plays": "Plays"}))} == {"2025-12-31", "2026-01-01"}


def test_the_map_has_every_state_once_and_a_place_for_each() -> None:
    simulated = {place.state for place in places()}
    assert simulated <= TILES.keys()
    assert len(TILES) == 51
    assert len(set(TILES.values())) == len(TILES)
    drawn = data(states(pd.DataFrame({"state": ["CA", "Unknown"], "Plays": [7, 9]}), "Plays"))
    assert {row["state"]: row["Plays"] for row in drawn}["CA"] == 7
    assert sum(row["Plays"] for row in drawn) == 7


def test_a_chart_has_a_text_and_opens_no_editor() -> None:
    found = spec(lines(FRAME, "day", {"plays": "Plays"}))
    assert found["usermeta"]["embedOptions"] == {"renderer": "svg", "actions": False, "downloadFileName": "name"}
    assert found["description"] == "What it says"


@pytest.mark.parametrize("chart", [lines(FRAME, "day", {"plays": "Plays"}), stacked(FRAME, "day", {"plays": "Plays"})])
def test_no_chart_asks_for_anything_from_elsewhere(chart: Any) -> None:
    found = spec(chart)
    found.pop("$schema")
    assert "http" not in json.dumps(found)


def seen_by(colour: str, kind: str) -> tuple[float, float, float]:
    """A colour as people see it without one kind of cone (Viénot, Brettel and Mollon, 1999), in linear light."""
    r, g, b = (_linear(int(colour[n : n + 2], 16) / 255) for n in (1, 3, 5))
    if kind == "protan":
        return 0.11238 * r + 0.88762 * g, 0.11238 * r + 0.88762 * g, 0.00401 * r - 0.00401 * g + b
    if kind == "deutan":
        return 0.29275 * r + 0.70725 * g, 0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b
    return r, g, b


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("kind", ["usual", "protan", "deutan"])
def test_colours_can_be_told_apart_with_any_cones(kind: str) -> None:
    """The distance in a space where equal steps look alike: cube roots of linear light."""
    seen = [[max(part, 0) ** (1 / 3) for part in seen_by(colour, kind)] for colour in palette.CATEGORIES]
    for number, one in enumerate(seen):
        for other in seen[:number]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.12


@pytest.mark.parametrize("paper", [1.0, _linear(0x0E / 255)])
def test_the_first_colours_stand_out_on_white_and_on_black(paper: float) -> None:
    """WCAG 2.2, 1.4.11: a contrast of 3 for what is drawn."""
    for colour in palette.CATEGORIES[:2]:
        r, g, b = seen_by(colour, "usual")
        light = 0.2126 * r + 0.7152 * g + 0.0722 * b
        brighter, darker = max(light, paper), min(light, paper)
        assert (brighter + 0.05) / (darker + 0.05) >= 3, colour


def test_the_module_needs_no_streamlit() -> None:
    assert "streamlit" not in vars(charts)
