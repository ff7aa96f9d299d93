"""The format of a home: what `up` finds there from an earlier version of the platform, and whether it goes on with it.

Tables only grow: `up` adds missing columns to RAW and OPS, the first micro-batch those of the lake. What cannot be
mended by adding raises the format by one, with a migration here, or with a command that a person has to run.
"""

import json

from music_platform.errors import LocalStackError
from music_platform.home import Home

#: The format that this code writes.
FORMAT = 1
#: The oldest one that it can go on with.
OLDEST = 1


def require_known(home: Home) -> None:
    """Raise LocalStackError unless this code can work with the home. A home without the file is of format 1."""
    try:
        found = int(json.loads(home.format.read_text())["format"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise LocalStackError(
            f"{home.format} does not say the home's format ({error}). Restore it from a backup, or, if the home was "
            f'last used by this version, write {{"format": {FORMAT}}} into it.'
        ) from None
    if found > FORMAT:
        raise LocalStackError(
            f"{home.root} was written by a newer music-platform (format {found}; this one knows {FORMAT}). Use that "
            "version, or another folder: MUSIC_HOME=/another/folder music-platform up"
        )
    if found < OLDEST:
        raise LocalStackError(
            f"{home.root} is of format {found}, this version goes on from {OLDEST}. Its lake can be kept: set LAKE_URL "
            f"to {home.root}/lake, take another home (MUSIC_HOME=/another/folder), start it (music-platform up), and "
            "make RAW from that lake: music-platform rebuild"
        )


def note(home: Home) -> None:
    """Write down the format."""
    text = json.dumps({"format": FORMAT}) + "\n"
    if not home.format.is_file() or home.format.read_text() != text:
        home.format.write_text(text)
