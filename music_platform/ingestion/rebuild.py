"""Rebuilds RAW from the lake, if the loader was down longer than the log is kept or if RAW cannot be trusted.

All files of a snapshot are loaded into a new table, which then replaces RAW.EVENTS. The intent is recorded in
OPS.LOAD_STATE first and keeps every loader out. After a kill, the next call of `rebuild` starts over from the latest
snapshot.

A lake file does not say which version added its rows, and after compaction nothing does. So a rebuilt RAW is a single
batch: batch_id is the snapshot's version, the ledger of loads has one row for it, and the ledger of builds is emptied,
so that the next build of silver reads all of RAW. This also fixes the marts if RAW was wrong.
"""

from typing import TYPE_CHECKING

from music_platform import failpoints
from music_platform.errors import PlatformError
from music_platform.ingestion.context import IngestionContext
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.lease import held_lease
from music_platform.lake.paths import events_path, lease_path
from music_platform.lake.snapshot import Snapshot, snapshot
from music_platform.warehouse.connection import transaction
from music_platform.warehouse.loader import copy_files
from music_platform.warehouse.schema import (
    BUILDS,
    CHECKED_BATCHES,
    LOAD_STATE,
    LOADS,
    RAW_EVENTS,
    RECONCILED,
    create_table,
    provision_warehouse,
    tables,
)
from music_platform.warehouse.staging import REBUILD, StagingMethod, staging_method

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

NEW_EVENTS = f"{RAW_EVENTS}_REBUILT"


class RebuildError(PlatformError):
    """RAW was not rebuilt; it is unchanged."""


def rebuild(context: IngestionContext) -> Snapshot:
    """Rebuild RAW.EVENTS from the lake's latest snapshot. Raises RebuildError or LeaseError."""
    settings = context.settings
    table = DeltaTable(events_path(settings.lake_root))
    # Create whatever was dropped, a table or the whole database, as empty.
    provision_warehouse(settings)
    with (
        held_lease(lease_path(settings.lake_root, "rebuild"), settings.lease_wait_seconds, context.log) as lease,
        context.warehouse() as session,
    ):
        # What a killed rebuild left is done again as a whole.
        lease.remove_dead_claims()
        state = snapshot(table)
        context.log(
            f"rebuilding {RAW_EVENTS} from version {state.version}: {state.rows:,} rows in {len(state.files)} files"
        )
        _state(session, f"rebuilding = {state.version}")
        failpoints.reach(failpoints.REBUILD_INTENT)
        stage = _fill(session, table, state, method := staging_method(settings))
        failpoints.reach(failpoints.REBUILD_COPIED)
        session.cursor().execute(f"ALTER TABLE {RAW_EVENTS} SWAP WITH {NEW_EVENTS}")
        failpoints.reach(failpoints.REBUILD_SWAPPED)
        _finish(session, state)
        session.cursor().execute(f"DROP TABLE IF EXISTS {NEW_EVENTS}")
        method.clear(session, stage)
    context.log(f"{RAW_EVENTS} is rebuilt from version {state.version} of the lake: {state.rows:,} rows")
    return state


def _state(session: "SnowflakeConnection", change: str) -> None:
    session.cursor().execute(
        f"UPDATE {LOAD_STATE} SET {change}, updated_at = SYSDATE() WHERE table_name = '{RAW_EVENTS}'"
    )


def _fill(session: "SnowflakeConnection", table: DeltaTable, state: Snapshot, method: StagingMethod) -> str:
    """Fill the new table; returns the files' folder in the stage.

    A table left by a killed rebuild is dropped, and with it COPY's record of loaded files.
    """
    description, columns = tables()[RAW_EVENTS]
    session.cursor().execute(f"DROP TABLE IF EXISTS {NEW_EVENTS}")
    session.cursor().execute(create_table(NEW_EVENTS, description, columns))
    stage = method.stage(session, table.folder, state.files, state.version, REBUILD)
    footers = table.footers(state.files)
    with transaction(session):
        copied = copy_files(session, NEW_EVENTS, stage, footers, state.version)
        if copied != state.rows:
            raise RebuildError(
                f"COPY loaded {copied:,} rows, but version {state.version} of {table.root} has {state.rows:,} in "
                "Delta's statistics. RAW is unchanged. Nothing is loaded until music-platform rebuild succeeds."
            )
    return stage


def _finish(session: "SnowflakeConnection", state: Snapshot) -> None:
    """Set the watermark and the ledgers and clear the intent, in one transaction."""
    with transaction(session):
        _state(session, f"last_version = {state.version}, rebuilding = NULL")
        session.cursor().execute(f"DELETE FROM {LOADS} WHERE table_name = '{RAW_EVENTS}'")
        session.cursor().execute(
            f"INSERT INTO {LOADS} (table_name, version, first_version, files, row_count, committed_at, loaded_at) "
            f"SELECT '{RAW_EVENTS}', {state.version}, 0, {len(state.files)}, {state.rows}, SYSDATE(), SYSDATE()"
        )
        session.cursor().execute(f"DELETE FROM {BUILDS}")
        # The rows have other batches now, and may have other content: every one is judged again.
        session.cursor().execute(f"DELETE FROM {CHECKED_BATCHES}")
        session.cursor().execute(f"UPDATE {RECONCILED} SET batch_id = NULL")
