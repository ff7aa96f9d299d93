"""Rows for people: titles in place of the columns' names, and links to an artist's page."""

from urllib.parse import quote, unquote

import pandas as pd

#: The page of one artist, relative to any page. What follows # is the text that is shown (see show.py).
ARTIST = "artist?artist={}#{}"


def artist_link(artist_id: object, name: object) -> str | None:
    """The address of an artist's page, which shows the name."""
    return None if pd.isna(artist_id) else ARTIST.format(quote(str(artist_id), safe=""), quote(str(name)))


def titled(frame: pd.DataFrame, **titles: str) -> pd.DataFrame:
    """These columns under these titles. A column `artist` is made of artist_id and artist_name, as a link."""
    found = frame
    if "artist" in titles:
        links = [artist_link(*pair) for pair in zip(frame["artist_id"], frame["artist_name"], strict=True)]
        found = frame.assign(artist=links)
    return found[list(titles)].rename(columns=titles)


def artist_name(link: str | None) -> str | None:
    """The name in a link of `artist_link`."""
    return unquote(link.partition("#")[2]) if link else None
