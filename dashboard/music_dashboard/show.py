"""Shows a page: looks at the state of the marts, asks for what the page needs, draws it, and follows changes."""

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from music_dashboard.choices import address_of, ask_control, ask_filters
from music_dashboard.filters import Filters
from music_dashboard.frames import records
from music_dashboard.page import Control, Page, View
from music_dashboard.reader import Reader, Request, statement
from music_dashboard.state import State
from music_dashboard.tile_view import described, explain, show_tile

#: Marts that say which dates there are and what can be filtered by.
BOUNDS = ("daily_summary", "hourly_metrics")
OPTIONS = ("song_performance_daily", "demographics_daily", "device_metrics_daily")

EMPTY = """
**Nothing has been built yet.** The pages fill once events have gone through the platform:

1. Start it, if it does not run: `music-platform up`
2. Send events: `music-platform simulate --rate 200 --users 50000`, or your own (*docs/guide/sources.md*)
3. Within half a minute the first marts are built, and this page follows by itself. `music-platform lag` shows the way.
"""


@st.cache_resource(show_spinner=False)
def shared_reader() -> Reader:
    """The reader of this process."""
    return Reader()


def show(page: Page) -> None:
    """Draw the page for what its address says."""
    reader = shared_reader()
    signal = reader.source.signal()
    look = reader.look()
    st.session_state["drawn_at"] = time.monotonic()
    st.title(page.title)
    if look.complaint:
        when = "What you see is what was known before." if look.state else ""
        st.error(f"{look.complaint} {when}", icon=":material/cloud_off:")
    if look.state is not None and look.state.models:
        _show_known(page, reader, look.state)
    elif not look.complaint:
        st.info(EMPTY)
    _watch(reader, signal)


def _watch(reader: Reader, signal: object) -> None:
    """Draw the page again when something may have changed. Costs no statement while nothing has."""

    @st.fragment(run_every=reader.source.look_seconds)
    def watch() -> None:
        # The first run is part of drawing the page.
        is_due = time.monotonic() - st.session_state["drawn_at"] > reader.source.look_seconds / 2
        if is_due and reader.changed_since(signal):
            st.rerun()

    watch()


def _show_known(page: Page, reader: Reader, state: State) -> None:
    if page.needs and len(state.missing(page.needs)) == len(page.needs):
        st.info(page.without)
        return
    queried = [control for control in page.controls if control.query and not state.missing(control.models)]
    asked = [
        Request(statement("bounds"), (), BOUNDS),
        Request(statement("options"), (), OPTIONS),
        *map(_options_of, queried),
    ]
    found = dict(zip(asked, _fetch(reader, asked, state), strict=True))
    bounds = found[asked[0]]
    if isinstance(bounds, Exception):
        explain(bounds)
        return
    (first,) = records(bounds)
    if first["last_date"] is None or first["latest_hour"] is None:
        st.info(EMPTY)
        return
    days = first["first_date"].date(), first["last_date"].date()
    address = address_of(page)
    filters = Filters.of(address).only(page.dimensions).within(*days)
    ask_filters(page, filters, days, found[asked[1]])
    chosen = {
        control.name: ask_control(control, address, found[_options_of(control)] if control in queried else None)
        for control in page.controls
    }
    view = View(filters, chosen, *days, first["latest_hour"])
    _show_standing(page, state, view)
    _show_tiles(page, reader, state, view)


def _options_of(control: Control) -> Request:
    return Request(statement(control.query), (), control.models)


def _fetch(reader: Reader, requests: Sequence[Request], state: State) -> list[pd.DataFrame | Exception]:
    """The results; while they are asked for, a spinner says so."""
    if all(reader.kept(request, state) for request in requests):
        return reader.fetch(requests, state)
    with st.spinner("Asking the warehouse …", show_time=True):
        return reader.fetch(requests, state)


def _show_standing(page: Page, state: State, view: View) -> None:
    tiles = page.all_tiles()
    models = () if any(not tile.models for tile in tiles) else {model for tile in tiles for model in tile.models}
    standing = state.standing(models)
    st.markdown(f"{page.about} {page.says(view)}")
    st.caption(described(standing))


def _show_tiles(page: Page, reader: Reader, state: State, view: View) -> None:
    narrowed, values = view.filters.narrowed(), page.all_values(view)
    tiles = page.all_tiles()
    requests = {tile.name: tile.request(values, narrowed) for tile in tiles}
    built = [tile for tile in tiles if not tile.lacks(state.missing(requests[tile.name].models), requests[tile.name])]
    found = dict(zip((tile.name for tile in built),
                     _fetch(reader, [requests[tile.name] for tile in built], state), strict=True))  # fmt: skip
    for row in page.tiles:
        for column, tile in zip(st.columns(len(row)), row, strict=True):
            with column, st.container(border=True, key=f"tile_{tile.name}"):
                show_tile(tile, requests[tile.name], found.get(tile.name), reader.source, state, narrowed)
