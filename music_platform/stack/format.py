"""The format of a home, by which `up` decides whether it can use a home of another version of the platform.

Tables only grow: `up` adds missing columns to RAW and OPS, the first micro-batch to the lake. A change that cannot be
made by adding raises the format by one, with a migration here or a command that a person has to run.
"""

import json

from music_platform.errors import LocalStackError
from music_platform.home import Home

#: The format that this code writes.
FORMAT = 1
#: The oldest format that it can use.
OLDEST = 1


def require_known(home: Home) -> None:
    """Raise LocalStackError unless this code can use the home. A home without the file has format 1."""
    try:
        found = int(json.loads(home.format.read_text())["format"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise LocalStackError(
            f"Cannot read the home's format from {home.format} ({error}). Restore it from a backup or, if the home was "
            f'last used by this version, write {{"format": {FORMAT}}} into it.'
        ) from None
    if found > FORMAT:
        raise LocalStackError(
            f"{home.root} was written by a newer music-platform (format {found}; this version supports {FORMAT}). Use "
            "that version, or another home: MUSIC_HOME=/another/folder music-platform up"
        )
    if found < OLDEST:
        raise LocalStackError(
            f"{home.root} has format {found}, but this version needs at least {OLDEST}. Its lake can be kept: set "
            f"LAKE_URL to {home.root}/lake, choose another home (MUSIC_HOME=/another/folder), start it (music-platform "
            "up), and rebuild RAW from that lake: music-platform rebuild"
        )


def note(home: Home) -> None:
    """Record the format."""
    text = json.dumps({"format": FORMAT}) + "\n"
    if not home.format.is_file() or home.format.read_text() != text:
        home.format.write_text(text)
