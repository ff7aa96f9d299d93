"""Writes the Delta table through delta-rs: its creation, appends, compaction and vacuum.

Every writer of the lake goes through here, so that all commits are put-if-absent by one library, on a local disk and in
every object store. Spark's own Delta writer would overwrite a commit of another writer on S3, where it only locks
within its process.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from deltalake import CommitProperties, Field, PostCommitHookProperties, Schema, Transaction, WriterProperties
from deltalake import DeltaTable as Table
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction

from music_platform.contracts import events as contract
from music_platform.contracts.events import ColumnType
from music_platform.lake.files import GCS_SERVER, S3_SERVER

#: Columns whose smallest and largest value in each file stand in the log: for the age of a backlog, and for readers who
#: filter by time or offset.
STATISTICS_COLUMNS = ("kafka_offset", contract.AGE_COLUMN, "event_time")

#: Append-only, without deletion vectors or column mapping: the loader passes the files to COPY as they are.
TABLE_PROPERTIES = {
    "delta.appendOnly": "true",
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
    "delta.checkpointInterval": "50",
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS_COLUMNS),
    # Delta would clean its log by age alone, loaded or not. `music-platform maintain` does it instead.
    "delta.enableExpiredLogCleanup": "false",
}

#: Delta's name of each type. A VARIANT is text in the lake.
_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.BIGINT: "long",
    ColumnType.DOUBLE: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
}

#: A checkpoint of the log where one is due; nothing of the log is cleaned.
_AFTER_COMMIT = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)

#: Times that a commit is tried again because another writer, such as a compaction, was first.
RETRIES = 20


@dataclass(frozen=True)
class DataFile:
    """A data file that is not in the table yet: its name in the table's folder, bytes, and Delta's statistics."""

    name: str
    bytes: int
    modified_ms: int
    statistics: str


def storage_options() -> dict[str, str]:
    """What delta-rs does not read from each cloud's usual variables by itself: servers other than Amazon's and
    Google's. It writes to Google through the XML interface, so such a server needs it."""
    options = {}
    if (server := os.environ.get(S3_SERVER)) and server.startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    if server := os.environ.get(GCS_SERVER):
        # Without credentials. GOOGLE_SKIP_SIGNATURE says that too, but not to requests that write.
        account = {"gcs_base_url": server, "disable_oauth": True, "client_email": "", "private_key": ""}
        options |= {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account | {"private_key_id": ""}), "ALLOW_HTTP": "true"}
    return options


def _open(root: str) -> Table:
    return Table(root, storage_options=storage_options())


def create_table(root: str) -> None:
    """Create the lake's table of events if it does not exist, and add the columns that it lacks. Older rows have NULL
    in them."""
    wanted = [_field(column) for column in contract.lake_columns()]
    try:
        table = _open(root)
    except TableNotFoundError:
        Table.create(root, Schema(wanted), mode="ignore", configuration=TABLE_PROPERTIES,
                     storage_options=storage_options())  # fmt: skip
        return
    existing = {field.name for field in table.schema().fields}
    if missing := [field for field in wanted if field.name not in existing]:
        table.alter.add_columns(missing)


def _field(column: contract.Column) -> Field:
    return Field(column.column, PrimitiveType(_TYPES[column.sql_type]), metadata={"comment": column.description})


def append(root: str, files: Sequence[DataFile], app_id: str, number: int) -> bool:
    """Commit the files as one version, unless this number of the application, or a higher one, is in the table.

    Returns whether they were committed. Of two writers that commit the same number at the same time, one does: Delta's
    transaction identifiers conflict. Raises CommitFailedError.
    """
    table = _open(root)
    if _has(table, app_id, number):
        return False
    try:
        table.create_write_transaction(
            [AddAction(file.name, file.bytes, {}, file.modified_ms, True, file.statistics) for file in files],
            "append",
            table.schema(),
            commit_properties=CommitProperties(
                app_transactions=[Transaction(app_id, number, int(time.time() * 1000))], max_commit_retries=RETRIES
            ),
            post_commithook_properties=_AFTER_COMMIT,
        )
    except CommitFailedError:
        if _has(_open(root), app_id, number):
            return False
        raise
    return True


def _has(table: Table, app_id: str, number: int) -> bool:
    found = table.transaction_version(app_id)
    return found is not None and found >= number


def compact(root: str, file_bytes: int, tasks: int) -> int:
    """Rewrite small files into files of about this size; returns how many were replaced. Changes no data."""
    done = _open(root).optimize.compact(
        target_size=file_bytes,
        max_concurrent_tasks=tasks,
        writer_properties=WriterProperties(compression="ZSTD"),
        post_commithook_properties=_AFTER_COMMIT,
    )
    return int(done["numFilesRemoved"])


def vacuum(root: str, hours: int) -> Sequence[str]:
    """Delete files that no version of the last `hours` has; returns their names."""
    return _open(root).vacuum(
        hours,
        dry_run=False,
        enforce_retention_duration=False,
        full=True,
        post_commithook_properties=_AFTER_COMMIT,
    )
