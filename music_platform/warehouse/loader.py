"""Lake → RAW, exactly once.

Each version of the lake table is loaded in one transaction: a compare-and-swap moves the watermark from the previous
version, COPY loads the files, the rows are counted against the Parquet footers, and the ledger gets its row. So a
loader that dies leaves nothing behind, a second one finds the watermark moved, and no file is in RAW twice. Files are
staged before the transaction, and staged again in full if the load is retried. No DDL here: it would commit the
transaction.

While RAW is being rebuilt (`rebuild`), the same compare-and-swap keeps every loader out.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from music_platform import failpoints
from music_platform.contracts import events
from music_platform.errors import PlatformError
from music_platform.lake.delta_log import DeltaTable, Footer, Version
from music_platform.warehouse.copy import MAX_FILES, copy_statement, loaded_rows
from music_platform.warehouse.schema import LOAD_STATE, LOADS, RAW_EVENTS
from music_platform.warehouse.staging import PUT, StagingMethod

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


class LoadError(PlatformError):
    """A version was not loaded; RAW is unchanged."""


class WatermarkMovedError(LoadError):
    """Another loader was faster."""


@dataclass(frozen=True)
class Loaded:
    """A loaded version: its files and rows, and the seconds spent on staging and on the transaction."""

    version: int
    files: int
    rows: int
    stage_seconds: float
    copy_seconds: float


def loaded_version(session: "SnowflakeConnection") -> int:
    """Version of the lake table up to which RAW.EVENTS is loaded; -1 if none is."""
    return load_state(session)[0]


def load_state(session: "SnowflakeConnection") -> tuple[int, int | None]:
    """The watermark, and the version of an unfinished rebuild if there is one."""
    statement = f"SELECT last_version, rebuilding FROM {LOAD_STATE} WHERE table_name = '{RAW_EVENTS}'"
    cursor = session.cursor()
    cursor.execute(statement)
    row = cursor.fetchone()
    if row is None:
        raise LoadError(f"{LOAD_STATE} has no row for {RAW_EVENTS}. Run music-platform up once to create the tables.")
    return int(row[0]), None if row[1] is None else int(row[1])


def load(session: "SnowflakeConnection", table: DeltaTable, method: StagingMethod = PUT) -> Iterator[Loaded]:
    """Load every version that RAW does not have yet, in order; yield each as it is committed.

    If another loader runs at the same time, each version is loaded by one of the two. Raises LoadError.
    """
    watermark = _start(session, table)
    while True:
        try:
            for version in table.versions_after(watermark):
                yield _load_version(session, table, version, method)
                watermark = version.number
            return
        except WatermarkMovedError:
            # Resume after what the other one has loaded.
            if (moved := _start(session, table)) == watermark:
                raise
            watermark = moved


def _start(session: "SnowflakeConnection", table: DeltaTable) -> int:
    """The watermark to resume from. Raises LoadError if loading would be wrong."""
    loaded, rebuilding = load_state(session)
    if rebuilding is not None:
        raise LoadError(
            f"{RAW_EVENTS} is being rebuilt from version {rebuilding} of the lake, or a rebuild was killed. "
            "To finish it: music-platform rebuild"
        )
    if loaded > (latest := table.latest_version()):
        raise LoadError(
            f"{RAW_EVENTS} has version {loaded} of the lake, but {table.root} ends at {latest}: it is not the lake "
            "that RAW was loaded from (LAKE_URL), or it was replaced. To rebuild RAW from this lake: music-platform "
            "rebuild"
        )
    return loaded


def _load_version(session: "SnowflakeConnection", table: DeltaTable, version: Version, method: StagingMethod) -> Loaded:
    started = time.monotonic()
    footers = {file: table.footer(file) for file in version.files}
    rows = sum(footer.rows for footer in footers.values())
    stage = method.stage(session, table.folder, version.files, version.number)
    staged = time.monotonic()
    cursor = session.cursor()
    cursor.execute("BEGIN")
    try:
        cursor.execute(
            f"UPDATE {LOAD_STATE} SET last_version = {version.number}, updated_at = SYSDATE() "
            f"WHERE table_name = '{RAW_EVENTS}' AND last_version = {version.number - 1} "
            "AND rebuilding IS NULL"
        )
        if cursor.rowcount != 1:
            raise WatermarkMovedError(
                f"version {version.number} of {table.root} was not loaded: another loader has moved the watermark. "
                "Nothing is lost: the next load resumes after it."
            )
        copied = copy_files(session, RAW_EVENTS, stage, footers, version.number) if rows else 0
        if copied != rows:
            raise LoadError(
                f"version {version.number}: COPY loaded {copied} rows, but its {len(version.files)} files hold {rows}. "
                "The load was rolled back. COPY skips files that it has loaded before: check OPS.LOADS and the stage "
                f"(LIST @{stage}/). To replace RAW by what the lake holds: music-platform rebuild"
            )
        failpoints.reach(failpoints.AFTER_COPY)
        cursor.execute(
            f"INSERT INTO {LOADS} (table_name, version, files, row_count, committed_at, loaded_at) "
            f"SELECT '{RAW_EVENTS}', {version.number}, {len(version.files)}, {rows}, "
            f"TO_TIMESTAMP_NTZ({version.timestamp_ms}, 3), SYSDATE()"
        )
        failpoints.reach(failpoints.BEFORE_COMMIT)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    ended = time.monotonic()
    failpoints.reach(failpoints.AFTER_COMMIT)
    if version.files:
        method.clear(session, stage)
    return Loaded(version.number, len(version.files), rows, staged - started, ended - staged)


def copy_files(
    session: "SnowflakeConnection", target: str, stage: str, footers: Mapping[str, Footer], batch_id: int
) -> int:
    """COPY staged files into a table with RAW's columns; returns the number of rows. Call it in a transaction.

    Files with the same columns are loaded together. A column that a file lacks stays NULL.
    """
    constants = {"batch_id": str(batch_id), "loaded_at": "SYSDATE()"}
    names_by_columns: dict[frozenset[str], list[str]] = {}
    for file, footer in footers.items():
        names_by_columns.setdefault(footer.columns, []).append(Path(file).name)
    copied = 0
    for found, names in names_by_columns.items():
        columns = [c for c in events.raw_columns() if c.column in found or c.column in constants]
        for start in range(0, len(names), MAX_FILES):
            cursor = session.cursor()
            cursor.execute(copy_statement(target, columns, stage, names[start : start + MAX_FILES], constants))
            copied += loaded_rows(cursor.fetchall())
    return copied
