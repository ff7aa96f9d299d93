"""What a person chooses: filters and the page's own choices, as widgets in the side bar, kept in the address."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from music_dashboard.filters import LABELS, SHORT, Filters
from music_dashboard.page import Control, Page

#: The choice of a filter that does not narrow anything.
ALL = "All"


def address_of(page: Page) -> dict[str, str]:
    """The query of the address. Streamlit drops it when the page changes: the filters are put back."""
    known = st.session_state.setdefault("address", {})
    if st.session_state.get("page") != page.name and not st.query_params.to_dict():
        names = {SHORT.get(name, name) for name in Filters().__dict__}
        st.query_params.update({name: value for name, value in known.items() if name in names})
    st.session_state["page"] = page.name
    st.session_state["address"] = {**known, **st.query_params.to_dict()}
    return st.query_params.to_dict()


def _set(name: str, value: str | None) -> None:
    """Put a choice into the address, or take it out."""
    known = st.session_state.setdefault("address", {})
    if value is None:
        known.pop(name, None)
        st.query_params.pop(name, None)
    else:
        known[name] = value
        st.query_params[name] = value


def ask_filters(page: Page, filters: Filters, days: tuple[date, date], options: pd.DataFrame | Exception) -> None:
    """The widgets of the side bar. The address decides what they show; a change goes into the address."""
    known = {} if isinstance(options, Exception) else {
        name: list(group["value"].dropna()) for name, group in options.groupby("dimension")
    }  # fmt: skip
    with st.sidebar:
        if page.dated:
            st.session_state["dates"] = (filters.start, filters.end)
            st.date_input(
                "Dates", key="dates", min_value=days[0], max_value=days[1], format="YYYY-MM-DD", on_change=_set_dates,
                args=(days,),
            )  # fmt: skip
        for name in page.dimensions:
            key, short, value = f"filter_{name}", SHORT.get(name, name), getattr(filters, name)
            choices = list(dict.fromkeys([ALL, *known.get(name, []), *([value] if value else [])]))
            st.session_state[key] = value or ALL
            st.selectbox(LABELS[name], choices, key=key, on_change=_set_from, args=(key, short))


def _set_from(key: str, name: str) -> None:
    value = st.session_state[key]
    _set(name, None if value == ALL else value)


def _set_dates(days: tuple[date, date]) -> None:
    given = st.session_state["dates"]
    if len(given) != 2:
        return
    usual = Filters().within(*days)
    # The usual dates move with the data, so they are not in the address.
    is_usual = given == (usual.start, usual.end)
    _set("from", None if is_usual else given[0].isoformat())
    _set("to", None if is_usual or given[1] == days[1] else given[1].isoformat())


def ask_control(control: Control, address: Mapping[str, str], rows: pd.DataFrame | Exception | None) -> str | None:
    """The choice of a control: from the address, else the first one. None where there is nothing to choose from."""
    choices = dict(control.choices or {})
    if control.query and isinstance(rows, pd.DataFrame):
        labels = rows["label"] if "label" in rows.columns else rows["value"]
        choices = dict(zip(rows["value"], labels, strict=True))
    wanted = address.get(control.name)
    if wanted and wanted not in choices and control.is_open:
        choices[wanted] = wanted
    if not choices:
        return None
    value = wanted if wanted in choices else next(iter(choices))
    key = f"control_{control.name}"
    st.session_state[key] = value
    arguments: dict[str, Any] = {
        "key": key,
        "format_func": choices.__getitem__,
        "on_change": _set_from,
        "args": (key, control.name),
    }
    with st.sidebar:
        if len(choices) <= 3 and control.choices:
            st.radio(control.label, list(choices), horizontal=True, **arguments)
        else:
            st.selectbox(control.label, list(choices), **arguments)
    return value
