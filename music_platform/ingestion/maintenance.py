"""Maintenance of the lake: compaction, vacuum, cleanup of its log and of the stage. Safe during a micro-batch.

Delta lets an append and a compaction commit side by side, and a compaction changes no data (dataChange = false), so the
loader skips its versions. Nothing that an unloaded version needs is ever removed: neither its commit in the log nor the
files that it added, even if a compaction has replaced them since.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from music_platform import failpoints
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.forgotten_files import forget_files
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.delta_writer import compact, vacuum
from music_platform.lake.files import Folder
from music_platform.lake.paths import checkpoints_path, events_path
from music_platform.lake.snapshot import complete_checkpoints
from music_platform.warehouse.loader import load_state
from music_platform.warehouse.staging import clean_stage

#: Files written at the same time: micro-batches need the cores.
THREADS = 1

#: Smaller files are compacted into files of this size.
FILE_BYTES = 128 << 20

#: A log file's version. A writer that is killed leaves its temporary file (`name#1`). In logs of earlier releases, on a
#: local disk, Hadoop has put a hidden checksum beside each file, and temporary files are hidden, with a checksum too.
_VERSION = re.compile(r"^\.{0,2}(\d{20})\.")
_TEMPORARY = re.compile(r"^(\..*\.tmp(\.crc)?|.*#\d+)$")
HOUR = 3600.0
#: Hours after which a temporary file of the log is no writer's any more.
TEMPORARY_HOURS = 24.0


@dataclass(frozen=True)
class Upkeep:
    """What was done: files compacted, hours for which replaced files are kept, log files and stage folders removed,
    intake files forgotten."""

    compacted: int
    kept_hours: float
    log_files: int
    stage_folders: int
    intake_files: int


def retention_hours(wanted: float, oldest_unloaded: float | None, now: float) -> float:
    """Hours for which replaced files are kept: as wanted, but at least back to the oldest unloaded version.

    A file is replaced after it was added, so files replaced before that version was committed belong to loaded
    versions. Times in epoch seconds; `oldest_unloaded` None: everything is loaded.
    """
    return wanted if oldest_unloaded is None else max(wanted, (now - oldest_unloaded) / HOUR + 1)


def superfluous(names: Iterable[str], checkpoints: Iterable[int], loaded: int, old: int) -> list[str]:
    """Log files that nobody needs: those before the latest checkpoint that is loaded and old enough.

    `old` is the latest version past its retention. The table can be read from a checkpoint without the log before it.
    """
    base = max((version for version in checkpoints if version <= min(loaded, old)), default=0)
    return [name for name in names if (match := _VERSION.match(name)) and int(match[1]) < base]


def maintain(context: IngestionContext) -> Upkeep:
    """Clean the stage, compact, vacuum, clean the log and the notes beside the checkpoint, in this order."""
    settings = context.settings
    table = DeltaTable(events_path(settings.lake_root))
    if table.latest_version() < 0:
        context.log("there is no lake yet")
        return Upkeep(0, 0, 0, 0, 0)
    with context.warehouse() as session:

        def watermark() -> tuple[int, int | None]:
            state = load_state(session)
            return state.loaded, state.rebuilding

        loaded, _ = watermark()
        folders = clean_stage(session, watermark)
    with failpoints.during(failpoints.INSIDE_COMPACTION, delay=0.3):
        compacted = compact(table.root, FILE_BYTES, THREADS)
    hours = vacuumed_hours(table, loaded, settings.lake_retention_hours)
    removed = clean_log(table, loaded, settings.log_retention_hours)
    forgotten = forget_files(settings, time.time())
    clean_notes(settings.lake_root)
    context.log(
        f"compacted {compacted} files; replaced files are kept for {hours:.0f} h; removed {removed} log files, "
        f"{len(folders)} stage folders and {forgotten} intake files"
    )
    return Upkeep(compacted, hours, removed, len(folders), forgotten)


def vacuumed_hours(table: DeltaTable, loaded: int, wanted_hours: float) -> float:
    """Delete replaced files that are past their retention; returns the hours for which they are kept."""
    oldest = next((v.timestamp_ms / 1000 for v in table.versions_after(loaded) if v.files), None)
    hours = retention_hours(wanted_hours, oldest, time.time())
    vacuumed = vacuum(table.root, int(hours + 1))
    if table.folder.is_local:
        for name in vacuumed:
            # Hadoop's checksum, beside each file of earlier releases.
            table.folder.remove(f".{name}.crc")
    return hours


def clean_log(table: DeltaTable, loaded: int, hours: float) -> int:
    """Remove log files that are loaded, past their retention and older than a checkpoint; returns how many."""
    log = Folder.at(f"{table.root}/_delta_log")
    names = log.names()
    checkpoints = complete_checkpoints(names)
    horizon = time.time() - hours * HOUR
    old = max((v for v in checkpoints if _written_at(log, checkpoints[v][0]) < horizon), default=-1)
    unneeded = [*superfluous(names, checkpoints, loaded, old), *_abandoned(log)]
    for name in unneeded:
        log.remove(name)
    return len(unneeded)


def _abandoned(log: Folder) -> list[str]:
    """Temporary files that belong to no version, as those of `_last_checkpoint`, of writers that were killed."""
    before = (time.time() - TEMPORARY_HOURS * HOUR) * 1000
    return [
        file.name
        for file in log.files()
        if _TEMPORARY.match(file.name) and not _VERSION.match(file.name) and file.modified_ms < before
    ]


def clean_notes(root: str) -> None:
    """Remove what killed writers left half written beside the checkpoint."""
    notes = checkpoints_path(root)
    for name in Folder.at(notes).folders():
        Folder.at(f"{notes}/{name}").remove_parts()


def _written_at(log: Folder, name: str) -> float:
    written = log.system.get_file_info(log.file(name)).mtime
    return float(written.timestamp()) if written else time.time()
