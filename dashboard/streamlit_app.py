"""The dashboard's entry for Streamlit, here and inside Snowflake: the list of the pages, and the one that is open."""

from pathlib import Path

import streamlit as st

from music_dashboard.navigation import all_pages

PACKAGE = Path(__file__).parent / "music_dashboard"

# A picture of our own: that of a Material symbol or an emoji would come from another server.
st.set_page_config(page_title="music-platform", page_icon=str(PACKAGE / "icon.png"), layout="wide")
st.html(f"<style>{(PACKAGE / 'style.css').read_text()}</style>")
st.navigation(
    [
        st.Page(
            PACKAGE / "pages" / f"{page.name}.py",
            title=page.title,
            icon=page.icon,
            url_path=page.name,
            default=page.order == 1,
        )
        for page in all_pages()
    ]
).run()
