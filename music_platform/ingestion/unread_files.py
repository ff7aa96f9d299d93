"""Files of the intake that no micro-batch will read: refused ones, and those in folders that are not read."""

import time
from dataclasses import dataclass

from music_platform.ingestion.intake import ARCHIVE, ENDINGS, REASON, REJECTED, folder_shapes, is_whole
from music_platform.lake.files import Folder
from music_platform.settings import Settings

#: Seconds after which nobody is still writing a file under another name than the one that it will have.
RESTING_SECONDS = 600.0
#: Maximum number of refused files whose reason is read.
MAX_READ = 5


@dataclass(frozen=True)
class UnreadFiles:
    """Refused files, and those deleted before they were read, with the reasons of a few by path; and folders with files
    that are not read, with why."""

    refused: int
    reasons: dict[str, str]
    folders: dict[str, str]

    def __str__(self) -> str:
        parts = []
        if self.refused:
            parts.append(f"{self.refused:,} refused file{'s' if self.refused > 1 else ''} in {REJECTED}")
        if self.folders:
            parts.append(f"files that are not read in {', '.join(sorted(self.folders))}")
        return "; ".join(parts) or "every file of the intake was read or is waiting to be"


def unread_files(settings: Settings) -> UnreadFiles:
    """The files of the intake that will not be read. Lists its folders."""
    root = Folder.at(settings.intake_root)
    folders: dict[str, str] = {}
    for name in root.folders():
        if name in (ARCHIVE, REJECTED) or name.startswith((".", "_")):
            continue
        if name not in folder_shapes():
            why = "no topic or shape has this name"
        elif root.is_link(name):
            why = "it is a symbolic link; use a real folder, or a mount"
        else:
            continue
        if any(is_whole(file.name) for file in Folder.at(f"{settings.intake_root}/{name}").files()):
            folders[name] = why
    resting_ms = (time.time() - RESTING_SECONDS) * 1000
    for name in folder_shapes():
        if name in folders or root.is_link(name):
            continue
        found = Folder.at(f"{settings.intake_root}/{name}")
        for inner in found.folders():
            if not inner.startswith((".", "_")):
                folders[f"{name}/{inner}"] = "sub-folders are not read"
        if others := sorted(
            file.name
            for file in found.files()
            if not is_whole(file.name) and not file.name.startswith((".", "_")) and file.modified_ms < resting_ms
        ):
            more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
            folders[name] = f"{others[0]}{more}: no name that ends in {' or '.join(ENDINGS)}"
    refused, reasons = 0, dict[str, str]()
    for name in Folder.at(f"{settings.intake_root}/{REJECTED}").folders():
        rejected = Folder.at(f"{settings.intake_root}/{REJECTED}/{name}")
        # A file that was deleted before it was read has left its reason alone.
        notes = sorted((file for file in rejected.files() if file.name.endswith(REASON)), key=lambda f: -f.modified_ms)
        refused += len(notes)
        for note in notes[: MAX_READ - len(reasons)]:
            path = f"{REJECTED}/{name}/{note.name.removesuffix(REASON)}"
            reasons[path] = rejected.read(note.name).decode().strip()
    return UnreadFiles(refused, reasons, folders)
