"""Upkeep of the lake: compaction, vacuum, clean-up of its log and of the stage. Safe beside a running micro-batch.

Delta lets an append and a compaction commit side by side, and a compaction changes no data (dataChange = false), so the
loader passes its versions by. Nothing that a version not yet loaded needs is ever removed: neither its commit in the
log nor the files that it added, even where a compaction has replaced them since.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import SparkSession

from music_platform import failpoints
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.forgotten_files import forget_files
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.files import Folder
from music_platform.lake.paths import checkpoints_path, events_path
from music_platform.lake.snapshot import complete_checkpoints
from music_platform.warehouse.loader import load_state
from music_platform.warehouse.staging import clean_stage

#: Files that are made at once. Delta's default of 15 takes every core from the micro-batches beside it, which then wait
#: for minutes.
THREADS = 1

#: Tasks in which Delta lists the table's files to find those to delete. Spark's default of 10,000 is a minute of empty
#: tasks on two cores, for which micro-batches wait.
LISTINGS = 16

#: Files below this size are put together, up to it.
FILE_BYTES = 128 << 20

#: A log file's version. On a local disk Hadoop puts a hidden checksum beside each file, and a writer that is killed
#: leaves its temporary file, hidden too, and the checksum of that.
_VERSION = re.compile(r"^\.{0,2}(\d{20})\.")
_TEMPORARY = re.compile(r"^\..*\.tmp(\.crc)?$")
HOUR = 3600.0
#: Hours after which a temporary file of the log is no writer's any more.
TEMPORARY_HOURS = 24.0


@dataclass(frozen=True)
class Upkeep:
    """What was done: files put together, hours of replaced files that were kept, log files and stage folders
    removed, intake files forgotten."""

    compacted: int
    kept_hours: float
    log_files: int
    stage_folders: int
    intake_files: int


def retention_hours(wanted: float, oldest_unloaded: float | None, now: float) -> float:
    """Hours for which replaced files are kept: as wanted, and never less than back to the oldest version not loaded.

    A file is replaced after it was added. So what was replaced before that version was committed belongs to versions
    that are loaded. Times in epoch seconds; None: everything is loaded.
    """
    return wanted if oldest_unloaded is None else max(wanted, (now - oldest_unloaded) / HOUR + 1)


def superfluous(names: Iterable[str], checkpoints: Iterable[int], loaded: int, old: int) -> list[str]:
    """Log files that nobody needs: those below the newest checkpoint that is itself loaded and old enough.

    `old` is the newest version that is past its retention. From a checkpoint on the table can be read without what
    came before it.
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
        loaded = load_state(session)[0]
        folders = clean_stage(session, lambda: load_state(session))
    spark = context.spark()
    with failpoints.during(failpoints.INSIDE_COMPACTION, delay=0.3):
        compacted = compact(spark, table)
    hours = vacuum(spark, table, loaded, settings.lake_retention_hours)
    removed = clean_log(table, loaded, settings.log_retention_hours)
    forgotten = forget_files(settings, time.time())
    clean_notes(settings.lake_root)
    context.log(
        f"compacted {compacted} files; replaced files are kept for {hours:.0f} h; removed {removed} log files, "
        f"{len(folders)} folders of the stage and {forgotten} files of the intake"
    )
    return Upkeep(compacted, hours, removed, len(folders), forgotten)


def compact(spark: SparkSession, table: DeltaTable) -> int:
    """Put small files together; returns how many were."""
    for option, value in (("minFileSize", FILE_BYTES), ("maxFileSize", FILE_BYTES), ("maxThreads", THREADS)):
        spark.conf.set(f"spark.databricks.delta.optimize.{option}", str(value))
    row = spark.sql(f"OPTIMIZE delta.`{table.root}`").select("metrics.numFilesRemoved").first()
    return int(row[0]) if row else 0


def vacuum(spark: SparkSession, table: DeltaTable, loaded: int, wanted_hours: float) -> float:
    """Delete replaced files that are past their retention; returns the hours that were kept."""
    oldest = next((v.timestamp_ms / 1000 for v in table.versions_after(loaded) if v.files), None)
    hours = retention_hours(wanted_hours, oldest, time.time())
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", str(LISTINGS))
    spark.sql(f"VACUUM delta.`{table.root}` RETAIN {int(hours + 1)} HOURS").collect()
    return hours


def clean_log(table: DeltaTable, loaded: int, hours: float) -> int:
    """Remove log files that are loaded, past their retention and below a checkpoint; returns how many."""
    log = Folder.at(f"{table.root}/_delta_log")
    names = log.names()
    checkpoints = complete_checkpoints(names)
    horizon = time.time() - hours * HOUR
    old = max((v for v in checkpoints if _written_at(log, checkpoints[v][0]) < horizon), default=-1)
    doomed = [*superfluous(names, checkpoints, loaded, old), *_abandoned(log)]
    for name in doomed:
        log.remove(name)
    return len(doomed)


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
