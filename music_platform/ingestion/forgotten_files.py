"""Intake files that are past INTAKE_RETENTION_DAYS: their content, and the notes of their batches, are removed.

Which batches those were is written down first, in one small file: whoever compares RAW with what was taken in leaves
their rows aside, and one that is killed in between is finished by the next call.
"""

import json
from dataclasses import asdict, dataclass
from itertools import takewhile

from music_platform.ingestion.intake import ARCHIVE, NAMES, REASON, REJECTED, batch_notes, folder_shapes, read_batch
from music_platform.lake.files import Folder
from music_platform.lake.paths import intake_path
from music_platform.settings import Settings

#: Not ending in .json, as the notes of batches do.
FILE = "forgotten"
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Forgotten:
    """Number of the last batch that is forgotten, and when it was ended, in epoch milliseconds: every row of a later
    one was made after that."""

    number: int = -1
    ended_ms: int = 0


NOTHING_FORGOTTEN = Forgotten()


def read_forgotten(settings: Settings) -> Forgotten:
    """What is forgotten; nothing on a fresh lake."""
    try:
        return Forgotten(**json.loads(Folder.at(intake_path(settings.lake_root)).read(FILE)))
    except FileNotFoundError:
        return NOTHING_FORGOTTEN


def forget_files(settings: Settings, now: float) -> int:
    """Forget batches that ended too long ago, and delete their files and those that were refused; returns how many
    files. The last batch stays: the next one is numbered after it."""
    before_ms = int(now * 1000 - settings.intake_retention_days * DAY_MS)
    notes = Folder.at(intake_path(settings.lake_root))
    old = list(takewhile(lambda note: note.modified_ms < before_ms, batch_notes(notes)[:-1]))
    removed = _remove_refused(settings, before_ms)
    if not old:
        return removed
    forgotten = Forgotten(int(old[-1].name.removesuffix(".json")), max(note.modified_ms for note in old))
    notes.write(FILE, json.dumps(asdict(forgotten)).encode())
    for note in old:
        for file in read_batch(notes, note.name).files:
            Folder.at(f"{settings.intake_root}/{ARCHIVE}/{file.folder}").remove(file.name)
            Folder.at(f"{intake_path(settings.lake_root)}/{NAMES}/{file.folder}").remove(file.name)
            removed += 1
        notes.remove(note.name)
    return removed


def _remove_refused(settings: Settings, before_ms: int) -> int:
    """Delete refused files, by the time of the reason beside each: the file itself is as old as its producer says."""
    removed = 0
    for name in folder_shapes():
        folder = Folder.at(f"{settings.intake_root}/{REJECTED}/{name}")
        for file in folder.files():
            if file.name.endswith(REASON) and file.modified_ms < before_ms:
                folder.remove(file.name.removesuffix(REASON))
                folder.remove(file.name)
                removed += 1
    return removed
