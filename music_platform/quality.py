"""What the latest evaluations of the asset checks say, read from Dagster's store."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus


@dataclass(frozen=True)
class Failed:
    """A check that failed when it last ran: since when that evaluation stands (epoch seconds), and what it said."""

    key: dg.AssetCheckKey
    at: float
    severe: bool
    blocking: bool
    description: str


def failed_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[Failed]:
    """Those of the checks whose latest finished evaluation failed, by key."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failed = []
    for key, record in sorted(found.items()):
        evaluation = record.evaluation
        if record.status is AssetCheckExecutionRecordStatus.FAILED and evaluation is not None:
            failed.append(
                Failed(
                    key,
                    record.create_timestamp,
                    evaluation.severity is dg.AssetCheckSeverity.ERROR,
                    evaluation.blocking or False,
                    evaluation.description or "failed",
                )
            )
    return failed
