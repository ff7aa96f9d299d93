"""Dagster's event log, cut to what is still wanted: Dagster itself deletes ticks and nothing else.

There is no API for three things that it keeps for ever, so they are deleted from its tables, in SQLite and PostgreSQL:
events that belong to no run, evaluations of asset checks, and, with SQLite, the file of each run that was deleted.
The space in SQLite's files is used again, not given back.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from music_platform.orchestration._dagster import (
    RUNLESS_RUN_ID,
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)

#: Rows that one transaction deletes: SQLite's writers wait for it.
DELETED_ROWS = 500
#: Seconds for which the file of a run that Dagster does not know is left alone.
SHARD_SECONDS = 86_400.0
#: Endings of a SQLite database's files.
_SQLITE_FILES = ("", "-wal", "-shm")

Connect = Callable[[], AbstractContextManager[Any]]


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run with its events, its logs and its file."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(storage := instance.event_log_storage, SqliteEventLogStorage):
        _remove_shard(storage, run_id)


def remove_forgotten_shards(instance: dg.DagsterInstance) -> int:
    """Remove the files of runs that were deleted without them; returns how many."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return 0
    forgotten = set(storage.get_all_run_ids()) - set(instance.get_run_ids())
    old = [run_id for run_id in forgotten if _age(Path(storage.path_for_shard(run_id))) > SHARD_SECONDS]
    for run_id in old:
        _remove_shard(storage, run_id)
    return len(old)


def prune_runless_events(instance: dg.DagsterInstance, before: float) -> int:
    """Delete events without a run from before `before` (epoch seconds), but the last of each kind of each asset."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    event = SqlEventLogStorageTable.c
    runless = event.run_id == RUNLESS_RUN_ID
    latest = sa.select(sa.func.max(event.id)).where(runless).group_by(event.asset_key, event.dagster_event_type)
    old = sa.select(event.id).where(runless, event.timestamp < _utc(before), event.id.not_in(latest))

    def delete(connection: Any, ids: list[int]) -> None:
        connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(ids)))
        connection.execute(SqlEventLogStorageTable.delete().where(event.id.in_(ids)))

    deleted = _delete(storage.index_connection, old, delete)
    if isinstance(storage, SqliteEventLogStorage):
        # Each of them is in a file of its own too, under other ids.
        _delete(
            lambda: storage.run_connection(RUNLESS_RUN_ID),
            old,
            lambda connection, ids: connection.execute(SqlEventLogStorageTable.delete().where(event.id.in_(ids))),
        )
    return deleted


def prune_check_evaluations(instance: dg.DagsterInstance, before: float) -> int:
    """Delete evaluations of asset checks from before `before` (epoch seconds), but the last of each check and
    outcome."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    row = AssetCheckExecutionsTable.c
    latest = sa.select(sa.func.max(row.id)).group_by(row.asset_key, row.check_name, row.execution_status)
    old = sa.select(row.id).where(row.evaluation_event_timestamp < _utc(before), row.id.not_in(latest))
    return _delete(
        storage.index_connection,
        old,
        lambda connection, ids: connection.execute(AssetCheckExecutionsTable.delete().where(row.id.in_(ids))),
    )


def _delete(connect: Connect, old: "sa.Select[Any]", delete: Callable[[Any, list[int]], object]) -> int:
    """Delete the rows that `old` selects, some in each transaction; returns how many."""
    deleted = 0
    while True:
        with connect() as connection:
            ids = [int(row[0]) for row in connection.execute(old.limit(DELETED_ROWS))]
            if not ids:
                return deleted
            delete(connection, ids)
        deleted += len(ids)


def _utc(moment: float) -> datetime:
    """The moment as Dagster's columns have it: UTC without a zone."""
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_shard(storage: SqliteEventLogStorage, run_id: str) -> None:
    for ending in _SQLITE_FILES:
        Path(storage.path_for_shard(run_id) + ending).unlink(missing_ok=True)
