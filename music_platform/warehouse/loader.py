"""Lake → RAW, exactly once.

All versions that wait are loaded in one transaction, as far as one COPY can name their files: a compare-and-swap moves
the watermark from the version before to the last of them, COPY loads the files, the rows are counted against the
Parquet footers, and the ledger gets its row. Rows carry the number of that last version as `batch_id`. So a load costs
the same few statements however many micro-batches it brings, a loader that dies leaves nothing behind, a second one
finds the watermark moved, and no file is in RAW twice. Files are staged before the transaction, and staged again in
full if the load is retried. No DDL here: it would commit the transaction.

While RAW is being rebuilt (`rebuild`), the same compare-and-swap keeps every loader out.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from music_platform import failpoints
from music_platform.contracts import events
from music_platform.errors import PlatformError
from music_platform.lake.delta_log import DeltaLogError, DeltaTable, Footer, Version
from music_platform.warehouse.connection import transaction
from music_platform.warehouse.copy import MAX_FILES, copy_statement, loaded_rows
from music_platform.warehouse.schema import LOAD_STATE, LOADS, RAW_EVENTS
from music_platform.warehouse.staging import PUT, StagingMethod

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


#: Maximum number of rows of several versions that one transaction loads: what a killed load has to repeat.
MAX_ROWS = 10_000_000


class LoadError(PlatformError):
    """A version was not loaded; RAW is unchanged."""


class WatermarkMovedError(LoadError):
    """Another loader was faster."""


@dataclass(frozen=True)
class Loaded:
    """A load: the last version that it covers, how many versions it covers, their files, rows and bytes, and the
    seconds spent on staging and on the transaction."""

    version: int
    versions: int
    files: int
    rows: int
    bytes: int
    stage_seconds: float
    copy_seconds: float


def loaded_version(session: "SnowflakeConnection") -> int:
    """Version of the lake table up to which RAW.EVENTS is loaded; -1 if none is."""
    return load_state(session).loaded


@dataclass(frozen=True)
class LoadState:
    """The watermark; the version of an unfinished rebuild if there is one; and when the version at the watermark was
    committed to the lake, or RAW rebuilt from it, in epoch milliseconds, None where the ledger does not say."""

    loaded: int
    rebuilding: int | None
    committed_ms: int | None


def load_state(session: "SnowflakeConnection") -> LoadState:
    """How far RAW.EVENTS is loaded."""
    cursor = session.cursor()
    cursor.execute(
        "SELECT state.last_version, state.rebuilding, MAX(DATE_PART(EPOCH_MILLISECOND, loads.committed_at)) "
        f"FROM {LOAD_STATE} AS state LEFT JOIN {LOADS} AS loads "
        "ON state.table_name = loads.table_name AND state.last_version = loads.version "
        f"WHERE state.table_name = '{RAW_EVENTS}' GROUP BY state.last_version, state.rebuilding"
    )
    row = cursor.fetchone()
    if row is None:
        raise LoadError(f"{LOAD_STATE} has no row for {RAW_EVENTS}. Run music-platform up once to create the tables.")
    loaded, rebuilding, committed_ms = row
    return LoadState(
        int(loaded),
        None if rebuilding is None else int(rebuilding),
        None if committed_ms is None else int(committed_ms),
    )


def load(session: "SnowflakeConnection", table: DeltaTable, method: StagingMethod = PUT) -> Iterator[Loaded]:
    """Load every version that RAW does not have yet, in order, a range at a time; yield each as it is committed.

    Where a range is refused, its versions are loaded one by one, so that only the one at fault and those after it stay
    out. If another loader runs at the same time, each version is loaded by one of the two. Raises LoadError, or what
    the warehouse raises.
    """
    from snowflake.connector.errors import DatabaseError

    watermark = _start(session, table)
    while True:
        try:
            for versions in ranges(table.versions_after(watermark)):
                try:
                    yield _load_range(session, table, versions, method)
                except (LoadError, DatabaseError) as error:
                    if len(versions) == 1 or isinstance(error, WatermarkMovedError):
                        raise
                    for version in versions:
                        yield _load_range(session, table, [version], method)
                watermark = versions[-1].number
            return
        except WatermarkMovedError:
            # Resume after what the other one has loaded.
            if (moved := _start(session, table)) == watermark:
                raise
            watermark = moved


def ranges(versions: Iterable[Version]) -> Iterator[list[Version]]:
    """The versions in groups that one transaction loads: at most MAX_FILES files, which one COPY can name, and MAX_ROWS
    rows. A version beyond that is a group of its own."""
    group: list[Version] = []
    try:
        for version in versions:
            files = sum(len(v.files) for v in group) + len(version.files)
            if group and (files > MAX_FILES or sum(v.rows for v in group) + version.rows > MAX_ROWS):
                yield group
                group = []
            group.append(version)
    except DeltaLogError:
        # What lies before the version that cannot be read can be loaded.
        if group:
            yield group
        raise
    if group:
        yield group


def _start(session: "SnowflakeConnection", table: DeltaTable) -> int:
    """The watermark to resume from. Raises LoadError if loading would be wrong."""
    state = load_state(session)
    if state.rebuilding is not None:
        raise LoadError(
            f"{RAW_EVENTS} is being rebuilt from version {state.rebuilding} of the lake, or a rebuild was killed. "
            "To finish it: music-platform rebuild"
        )
    loaded, latest = state.loaded, table.latest_version()
    found = f"ends at {latest}" if loaded > latest else None
    if found is None and state.committed_ms is not None and table.reaches_back_to(loaded - 1):
        # A lake that was put back has grown again: its version of this number has other rows.
        (version,) = table.versions_after(loaded - 1, loaded)
        if version.timestamp_ms > state.committed_ms:
            found = "has another version of this number"
    if found is not None:
        raise LoadError(
            f"{RAW_EVENTS} has version {loaded} of the lake, but {table.root} {found}: it is not the lake that RAW was "
            "loaded from (LAKE_URL), or it was replaced. To rebuild RAW from this lake: music-platform rebuild"
        )
    return loaded


def _load_range(
    session: "SnowflakeConnection", table: DeltaTable, versions: Sequence[Version], method: StagingMethod
) -> Loaded:
    """Load consecutive versions in one transaction, under the number of the last."""
    started = time.monotonic()
    first, last = versions[0].number, versions[-1].number
    what = f"version {last}" if first == last else f"versions {first} to {last}"
    files = [file for version in versions for file in version.files]
    footers = table.footers(files)
    rows = sum(footer.rows for footer in footers.values())
    stage = method.stage(session, table.folder, files, last)
    staged = time.monotonic()
    with transaction(session) as cursor:
        cursor.execute(
            f"UPDATE {LOAD_STATE} SET last_version = {last}, updated_at = SYSDATE() "
            f"WHERE table_name = '{RAW_EVENTS}' AND last_version = {first - 1} "
            "AND rebuilding IS NULL"
        )
        if cursor.rowcount != 1:
            raise WatermarkMovedError(
                f"{what} of {table.root}: not loaded, because another loader has moved the watermark. "
                "Nothing is lost: the next load resumes after it."
            )
        copied = copy_files(session, RAW_EVENTS, stage, footers, last) if rows else 0
        if copied != rows:
            raise LoadError(
                f"{what}: COPY loaded {copied} rows, but the {len(files)} files hold {rows}. "
                "The load was rolled back. COPY skips files that it has loaded before: check OPS.LOADS and the stage "
                f"(LIST @{stage}/). To replace RAW by what the lake holds: music-platform rebuild"
            )
        failpoints.reach(failpoints.AFTER_COPY)
        cursor.execute(
            f"INSERT INTO {LOADS} (table_name, version, first_version, files, row_count, committed_at, loaded_at) "
            f"SELECT '{RAW_EVENTS}', {last}, {first}, {len(files)}, {rows}, "
            f"TO_TIMESTAMP_NTZ({versions[-1].timestamp_ms}, 3), SYSDATE()"
        )
        failpoints.reach(failpoints.BEFORE_COMMIT)
    ended = time.monotonic()
    failpoints.reach(failpoints.AFTER_COMMIT)
    if files:
        method.clear(session, stage)
    size = sum(version.bytes for version in versions)
    return Loaded(last, len(versions), len(files), rows, size, staged - started, ended - staged)


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
