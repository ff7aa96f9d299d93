"""Files of the intake that no micro-batch will read: refused ones, and those in folders that are not read."""

from dataclasses import dataclass

from music_platform.ingestion.intake import ARCHIVE, REASON, REJECTED, folder_shapes, is_whole
from music_platform.lake.files import Folder
from music_platform.settings import Settings

#: Maximum number of refused files whose reason is read.
MAX_READ = 5


@dataclass(frozen=True)
class UnreadFiles:
    """Refused files, with the reasons of a few by path; and folders with files that are not read, with why."""

    refused: int
    reasons: dict[str, str]
    folders: dict[str, str]

    def __str__(self) -> str:
        parts = []
        if self.refused:
            parts.append(f"{self.refused:,} refused file{'s' if self.refused > 1 else ''} in {REJECTED}")
        if self.folders:
            parts.append(f"files in folders that are not read: {', '.join(sorted(self.folders))}")
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
    refused, reasons = 0, dict[str, str]()
    for name in Folder.at(f"{settings.intake_root}/{REJECTED}").folders():
        rejected = Folder.at(f"{settings.intake_root}/{REJECTED}/{name}")
        files = [file for file in rejected.files() if not file.name.endswith(REASON)]
        files.sort(key=lambda file: -file.modified_ms)
        refused += len(files)
        for file in files[: MAX_READ - len(reasons)]:
            note = f"{file.name}{REASON}"
            reason = rejected.read(note).decode().strip() if rejected.exists(note) else "no reason is noted"
            reasons[f"{REJECTED}/{name}/{file.name}"] = reason
    return UnreadFiles(refused, reasons, folders)
