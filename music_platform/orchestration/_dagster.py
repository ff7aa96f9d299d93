"""Dagster's private names that the platform needs, in one place, for the version in which they were checked.

Dagster moves and renames them without notice. Any other version is refused here, so that it does not fail in a sensor
at night. To upgrade: check each name in the new version, run the tests, then change `READ_IN`.
"""

from importlib.metadata import version

READ_IN = "1.13.27"

if (installed := version("dagster")) != READ_IN:
    raise ImportError(
        f"Dagster {installed} is installed, but the platform uses private names of Dagster {READ_IN}. "
        f"Install the pinned version (make venv), or check {__name__} against {installed}."
    )

from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # noqa: E402
from dagster._core.errors import DagsterUserCodeUnreachableError  # noqa: E402
from dagster._core.instance import RUNLESS_RUN_ID  # noqa: E402
from dagster._core.instance.ref import InstanceRef  # noqa: E402
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus  # noqa: E402
from dagster._core.scheduler.instigation import InstigatorType, TickStatus  # noqa: E402
from dagster._core.storage.asset_check_execution_record import (  # noqa: E402
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.event_log.schema import (  # noqa: E402
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage  # noqa: E402
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage  # noqa: E402
from dagster._core.storage.tags import GRPC_INFO_TAG  # noqa: E402
from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: E402
from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: E402
from dagster._grpc.client import DagsterGrpcClient  # noqa: E402
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult  # noqa: E402
from dagster._serdes import deserialize_value  # noqa: E402
from dagster._time import get_current_datetime, get_current_timestamp  # noqa: E402
from dagster_shared.error import SerializableErrorInfo  # noqa: E402

__all__ = [
    "GRPC_INFO_TAG",
    "RUNLESS_RUN_ID",
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "AssetEventTagsTable",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CheckRunHealthResult",
    "DagsterGrpcClient",
    "DagsterUserCodeUnreachableError",
    "InstanceRef",
    "InstigatorType",
    "SerializableErrorInfo",
    "SqlEventLogStorage",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "TickStatus",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "deserialize_value",
    "get_current_datetime",
    "get_current_timestamp",
]
