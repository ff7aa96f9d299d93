"""Draws a tile: its figures, tables and charts, how far they can be trusted, and how they are counted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from music_dashboard.charts import HEIGHT, finished
from music_dashboard.formats import day, moment, seconds
from music_dashboard.pictures import picture
from music_dashboard.reader import Request
from music_dashboard.rules import rule
from music_dashboard.source import NotSetUpError, Source, UnavailableError
from music_dashboard.state import LEARNED, Standing, State
from music_dashboard.tables import artist_name
from music_dashboard.tile import Drawing, Figure, Note, Numbers, Table, Tile

#: Rows that a table shows before it scrolls.
MOST_ROWS = 12
_ROW, _HEAD = 35, 38
#: Widths of columns in pixels, and the columns that have a mark or a rank in them.
TEXT_WIDTH, NUMBER_WIDTH, MARK_WIDTH = 140, 72, 55
MARKS = ("#", "±")
#: Names that may be long, in tables with many columns.
NAMES = ("Song",)
#: Failing checks that a tile names.
MOST_FAILED = 3
#: A table in a query: its schema and name are those of its asset in Dagster.
_TABLE = re.compile(r"\b(GOLD|SILVER|OPS)\.([A-Z_]+)")
#: Files of tiles, of all pages of this process, oldest first.
_KEPT_FILES: dict[object, Mapping[str, tuple[str, str, bytes]]] = {}
MOST_FILES = 200
#: Views that no asset stands for.
_NO_ASSETS = {"ops/freshness", "ops/checks", "ops/learned"}


def described(standing: Standing) -> str:
    """How far numbers are complete, and their checks, in one line."""
    checks = f"{standing.passed:,} of {standing.passed + len(standing.failed):,} checks passed"
    if standing.learned_before is not None:
        return f"learned from what happened before {day(standing.learned_before)} · {checks}"
    if standing.complete_until is None:
        return f"not loaded yet · {checks}"
    return f"complete until {moment(standing.complete_until)} · {seconds(standing.behind_seconds)} behind · {checks}"


def show_tile(
    tile: Tile,
    request: Request,
    result: pd.DataFrame | Exception | None,
    source: Source,
    state: State,
    narrowed: Mapping[str, str],
) -> None:
    standing = state.standing(request.models)
    st.subheader(tile.title, anchor=False)
    for verdict in standing.failed[:MOST_FAILED]:
        st.warning(f"The check `{verdict.check}` of {verdict.model} fails: {verdict.said}", icon=":material/warning:")
    if len(standing.failed) > MOST_FAILED:
        st.warning(f"{len(standing.failed) - MOST_FAILED} more checks fail. The page Quality lists them.")
    drawings: list[Drawing] = []
    if result is None:
        st.info(not_built(state.missing(request.models), state))
    elif isinstance(result, Exception):
        explain(result)
    elif result.empty:
        st.info(tile.empty)
    else:
        drawings = tile.draw(result)
        for drawing in drawings:
            _draw(drawing, tile.name, source)
    if ignored := tile.ignored(narrowed):
        st.caption(f"Not narrowed by {', '.join(ignored).lower()}: this is counted for all.")
    st.caption(described(standing))
    _show_details(tile, request, result, drawings, described(standing), source, state)


def not_built(missing: Sequence[str], state: State) -> str:
    """Which models a tile lacks, and what their checks say, which is why there is nothing yet."""
    said = dict.fromkeys(f"{verdict.model}: {verdict.said}." for verdict in state.verdicts if verdict.model in missing)
    return " ".join((f"Not built yet: {', '.join(missing)}.", *said))


def _draw(drawing: Drawing, name: str, source: Source) -> None:
    match drawing:
        case Numbers(items):
            with st.container(key=f"numbers_{name}"):
                for column, item in zip(st.columns(len(items)), items, strict=True):
                    column.metric(item.label, item.value, item.change)
                    if item.against:
                        column.caption(item.against)
        case Figure(chart, says, height):
            st.altair_chart(finished(chart, name, says, height or HEIGHT))
        case Table():
            _draw_table(drawing, source)
        case Note(text):
            st.markdown(text)


def _draw_table(table: Table, source: Source) -> None:
    frame, kinds = table.frame, st.column_config
    columns: dict[str, Any] = {}
    for name in frame.columns:
        if name in table.shares:
            columns[name] = kinds.NumberColumn(format="percent", width=NUMBER_WIDTH)
        elif name in table.links and source.links:
            columns[name] = kinds.LinkColumn(display_text="#(.*)$", width=TEXT_WIDTH)
        elif pd.api.types.is_float_dtype(frame[name]):
            columns[name] = kinds.NumberColumn(format="%.2f", width=NUMBER_WIDTH)
        elif pd.api.types.is_integer_dtype(frame[name]):
            columns[name] = kinds.NumberColumn(format="localized", width=MARK_WIDTH if name in MARKS else NUMBER_WIDTH)
        elif name in MARKS:
            columns[name] = kinds.TextColumn(width=MARK_WIDTH)
        elif name in NAMES and table.links:
            columns[name] = kinds.TextColumn(width=TEXT_WIDTH)
        elif pd.api.types.is_datetime64_any_dtype(frame[name]):
            columns[name] = kinds.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")
    if not source.links:
        frame = frame.assign(**{name: frame[name].map(artist_name) for name in table.links})
    height = _HEAD + _ROW * min(len(frame), MOST_ROWS)
    st.dataframe(frame, column_config=columns, hide_index=True, height=height)


def _show_details(
    tile: Tile,
    request: Request,
    result: pd.DataFrame | Exception | None,
    drawings: Sequence[Drawing],
    caption: str,
    source: Source,
    state: State,
) -> None:
    with st.popover("How is this counted", icon=":material/info:"):
        if isinstance(result, pd.DataFrame):
            files = _files(tile, (request, state.key(request.models), caption), result, drawings, caption)
            for column, (kind, (mime, icon, content)) in zip(st.columns(len(files)), files.items(), strict=True):
                column.download_button(
                    kind,
                    content,
                    f"{tile.name}.{kind.lower()}",
                    mime,
                    key=f"{kind}_{tile.name}",
                    on_click="ignore",
                    icon=icon,
                )
            if any(isinstance(drawing, Figure) for drawing in drawings):
                st.caption("This PNG has the figures. That of the chart is among the buttons at its top right.")
            st.dataframe(result, hide_index=True, height=_HEAD + _ROW * min(len(result), 6))
        st.markdown(rule(tile.rule))
        st.code(request.statement, language="sql")
        if request.values:
            st.caption(f"with {', '.join(str(value) for value in request.values)}")
        if (dagster := source.dagster_url()) and (assets := assets_of(request.statement)):
            st.markdown(f"In Dagster: {' · '.join(f'[{asset}]({dagster}/assets/{asset})' for asset in assets)}")


def _files(
    tile: Tile, key: object, result: pd.DataFrame, drawings: Sequence[Drawing], caption: str
) -> Mapping[str, tuple[str, str, bytes]]:
    """What a tile can be saved as: name → MIME type, icon and content. Kept, as a picture takes milliseconds.

    Streamlit could make them when somebody clicks, but forgets such a file before the browser has it if a page is drawn
    again meanwhile, as ours are every two seconds.
    """
    if key not in _KEPT_FILES:
        while len(_KEPT_FILES) >= MOST_FILES:
            _KEPT_FILES.pop(next(iter(_KEPT_FILES)), None)
        _KEPT_FILES[key] = {
            "CSV": ("text/csv", ":material/download:", result.to_csv(index=False).encode()),
            "PNG": ("image/png", ":material/image:", picture(tile.title, caption, drawings)),
        }
    return _KEPT_FILES[key]


def assets_of(statement: str) -> list[str]:
    """The paths of the assets in Dagster that a query reads."""
    tables = ((schema.lower(), table.lower()) for schema, table in _TABLE.findall(statement))
    found = (f"ml/{table}" if table in LEARNED else f"{schema}/{table}" for schema, table in tables)
    return [asset for asset in dict.fromkeys(found) if asset not in _NO_ASSETS]


def explain(error: Exception) -> None:
    """What went wrong, in a sentence."""
    if isinstance(error, UnavailableError):
        st.error(str(error), icon=":material/cloud_off:")
    elif isinstance(error, NotSetUpError):
        st.info("This has not been built yet.")
    else:
        print(f"dashboard: {type(error).__name__}: {error}", flush=True)
        st.error("The warehouse refused this question. The log of the dashboard has the reason.")
