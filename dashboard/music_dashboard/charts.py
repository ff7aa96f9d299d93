"""How numbers are drawn: Altair charts that work in light and dark, and say every value when pointed at."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from music_dashboard.grid import TILES
from music_dashboard.palette import CATEGORIES, SEQUENTIAL

HEIGHT = 220
MILLION = 1_000_000
#: Lines differ by their dashes too, so that nothing is in the colour alone.
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [12, 3], [1, 3]]
#: Drawn as elements that have a text for screen readers; without Vega's buttons, one of which leads to a web site.
_EMBED = {"renderer": "svg", "actions": False}
#: A scale that shows times as they are, not as the browser's clock would.
UTC = alt.Scale(type="utc")


def finished(chart: Any, name: str, says: str, height: int = HEIGHT) -> Any:
    """The chart with its size, its picture's name, and what screen readers say of it."""
    embed = {**_EMBED, "downloadFileName": name}
    return chart.properties(height=height, description=says, usermeta={"embedOptions": embed})


def long(frame: pd.DataFrame, index: str, series: Mapping[str, str]) -> pd.DataFrame:
    """One row for each value: the index, the series' title and the value. `series`: column → title.

    Without its zone a browser would take a time for one of its own.
    """
    wide = frame[[index, *series]].rename(columns=dict(series))
    wide = wide.assign(**{index: wide[index].dt.tz_localize("UTC")})
    return wide.melt(id_vars=[index], var_name="series", value_name="value").dropna(subset=["value"])


def lines(
    frame: pd.DataFrame,
    index: str,
    series: Mapping[str, str],
    *,
    number: str = ",.0f",
    time: str = "%b %d",
    at: str = "%Y-%m-%d",
    colours: Sequence[str] = CATEGORIES,
    points: bool = False,
    log: bool = False,
) -> Any:
    """Lines over time. `number`: d3's format of the values; `time` and `at`: of the axis and of the tooltip. `log`: a
    logarithmic scale, for values that differ by much more than their usual size."""
    names = list(series.values())
    x = alt.X(f"{index}:T", title=None, scale=UTC, axis=alt.Axis(format=time, labelOverlap=True, tickCount=6))
    drawn = long(frame, index, series).assign(at=lambda rows: rows[index].dt.strftime(at))
    y = alt.Y(
        "value:Q",
        title=None,
        axis=alt.Axis(format=_short(number, drawn["value"]), tickCount=5),
        scale=alt.Scale(type="log" if log else "linear"),
    )
    colour = alt.Color(
        "series:N",
        title=None,
        sort=names,
        scale=alt.Scale(domain=names, range=list(colours[: len(names)])),
        legend=alt.Legend(orient="top", labelLimit=400) if len(names) > 1 else None,
    )
    dash = alt.StrokeDash(
        "series:N",
        title=None,
        sort=names,
        scale=alt.Scale(domain=names, range=DASHES[: len(names)]),
        legend=alt.Legend(orient="top", labelLimit=400) if len(names) > 1 else None,
    )
    tooltip = [
        alt.Tooltip("at:N", title="UTC"),
        alt.Tooltip("series:N", title=" "),
        alt.Tooltip("value:Q", title="value", format=number),
    ]
    return (
        alt.Chart(drawn)
        .mark_line(point=alt.OverlayMarkDef(size=28) if points else False, strokeWidth=2)
        .encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tooltip)
    )


def stacked(frame: pd.DataFrame, index: str, series: Mapping[str, str], *, number: str = ",.0f") -> Any:
    """Bars, one above the other, for each date, time or number of the index; what is negative goes below the line."""
    names = list(series.values())
    drawn = frame[[index, *series]].rename(columns=dict(series)).assign(**{index: _labels(frame[index])})
    drawn = drawn.melt(id_vars=[index], var_name="series", value_name="value").dropna(subset=["value"])
    return (
        alt.Chart(drawn)
        .mark_bar()
        .encode(
            x=alt.X(f"{index}:O", title=None, sort=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy")),
            y=alt.Y(
                "value:Q", title=None, stack="zero", axis=alt.Axis(format=_short(number, drawn["value"]), tickCount=5)
            ),
            color=alt.Color(
                "series:N",
                title=None,
                sort=names,
                scale=alt.Scale(domain=names, range=list(CATEGORIES[: len(names)])),
                legend=alt.Legend(orient="top", columns=3, labelLimit=400),
            ),
            tooltip=[
                alt.Tooltip(f"{index}:O", title=" "),
                alt.Tooltip("series:N", title="of"),
                alt.Tooltip("value:Q", title="value", format=number),
            ],
        )
    )


def bars(frame: pd.DataFrame, name: str, value: str, *, number: str = ",.0f", colour: str | None = None) -> Any:
    """Horizontal bars in the order of the frame, each with its value at its end."""
    y = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=220))
    base = alt.Chart(frame).encode(
        y=y,
        x=alt.X(f"{value}:Q", title=None, axis=None, scale=alt.Scale(padding=0, domainMin=0)),
        tooltip=[alt.Tooltip(f"{name}:N", title=" "), alt.Tooltip(f"{value}:Q", title=value, format=number)],
    )
    drawn = base.mark_bar(color=CATEGORIES[0], cornerRadiusEnd=2)
    if colour is not None:
        groups = list(dict.fromkeys(frame[colour]))
        scale = alt.Scale(domain=groups, range=list(CATEGORIES[: len(groups)]))
        return base.mark_bar(cornerRadiusEnd=2).encode(
            color=alt.Color(f"{colour}:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            yOffset=alt.YOffset(f"{colour}:N", sort=groups),
        )
    return drawn + base.mark_text(align="left", dx=4, color="#8A8F98").encode(
        text=alt.Text(f"{value}:Q", format=number)
    )


def states(frame: pd.DataFrame, value: str) -> Any:
    """A tile for each state, the darker the fewer. `frame` has a column `state`; other places are not drawn."""
    known = {state: int(count) for state, count in zip(frame["state"], frame[value], strict=True)}
    drawn = pd.DataFrame(
        [{"state": state, "column": x, "row": y, value: known.get(state, 0)} for state, (x, y) in TILES.items()]
    )
    most = int(drawn[value].max())
    base = alt.Chart(drawn).encode(
        x=alt.X("column:O", axis=None, scale=alt.Scale(paddingInner=0.06)),
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0.06)),
        tooltip=[alt.Tooltip("state:N"), alt.Tooltip(f"{value}:Q", format=",.0f")],
    )
    scale = alt.Scale(scheme=SEQUENTIAL, domain=[0, max(most, 1)])
    legend = alt.Legend(orient="bottom", direction="horizontal", gradientLength=160, format="~s", title=value)
    tiles = base.mark_rect(cornerRadius=3).encode(color=alt.Color(f"{value}:Q", scale=scale, legend=legend))
    text = base.mark_text(fontSize=11).encode(
        text="state:N", color=alt.condition(f"datum['{value}'] > {most / 2}", alt.value("black"), alt.value("white"))
    )
    return tiles + text


def heat(frame: pd.DataFrame, across: str, down: str, value: str, *, number: str = ".0%") -> Any:
    """A heat map: a rectangle for each cell, with its value in it."""
    base = alt.Chart(frame).encode(
        x=alt.X(f"{across}:O", title=across, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y(f"{down}:O", title=None),
        tooltip=[
            alt.Tooltip(f"{down}:O"),
            alt.Tooltip(f"{across}:O"),
            alt.Tooltip(f"{value}:Q", format=".1%"),
            alt.Tooltip("returning_users:Q", format=","),
            alt.Tooltip("users:Q", format=","),
        ],
    )
    shades = alt.Color(f"{value}:Q", legend=None, scale=alt.Scale(scheme=SEQUENTIAL, domain=[0, 1]))
    text = alt.condition(f"datum['{value}'] > 0.5", alt.value("black"), alt.value("white"))
    return base.mark_rect().encode(color=shades) + base.mark_text(fontSize=11).encode(
        text=alt.Text(f"{value}:Q", format=number), color=text
    )


def _labels(index: pd.Series) -> pd.Series:
    """Dates as 06-30, or with their year where there are several; anything else as it is."""
    if not pd.api.types.is_datetime64_any_dtype(index):
        return index.astype(str)
    return index.dt.strftime("%m-%d" if index.dt.year.nunique() <= 1 else "%Y-%m-%d")


def _short(number: str, values: pd.Series) -> str:
    """The axis' format: that of the values, but millions are shortened."""
    return "~s" if number == ",.0f" and values.abs().max() >= MILLION else number


def differences(frame: pd.DataFrame, name: str, value: str) -> Any:
    """Horizontal bars to both sides of nothing, in the order of the frame."""
    return (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=180)),
            x=alt.X(f"{value}:Q", title=None, axis=alt.Axis(format=",.2f", tickCount=4)),
            color=alt.condition(f"datum['{value}'] < 0", alt.value(CATEGORIES[1]), alt.value(CATEGORIES[0])),
            tooltip=[alt.Tooltip(f"{name}:N", title=" "), alt.Tooltip(f"{value}:Q", format="+,.2f")],
        )
    )
