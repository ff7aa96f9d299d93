"""What the latest evaluations of the asset checks say, read from Dagster's store."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from music_platform.orchestration._dagster import AssetCheckExecutionRecordStatus
from music_platform.orchestration.data_checks import MART_CHECKS, RAW_CHECKS
from music_platform.orchestration.keys import CONSERVATION


def known_checks(manifest: Path) -> list[dg.AssetCheckKey]:
    """Every asset check, without loading the definitions, which weigh 270 MB: the platform's own, and dbt's tests by
    the project's manifest, none while that is not made yet."""
    nodes = json.loads(manifest.read_bytes())["nodes"] if manifest.exists() else {}
    tests = [node for node in nodes.values() if node["resource_type"] == "test" and node.get("attached_node")]
    tested = [(nodes[test["attached_node"]], test["name"]) for test in tests if test["attached_node"] in nodes]
    return sorted(
        [
            CONSERVATION,
            *(dg.AssetCheckKey(check.asset, check.name) for check in (*RAW_CHECKS, *MART_CHECKS)),
            *(
                dg.AssetCheckKey(dg.AssetKey([model["config"]["schema"], model["name"]]), name)
                for model, name in tested
            ),
        ]
    )


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed when it last ran: since when that evaluation stands (epoch seconds), and what it said."""

    key: dg.AssetCheckKey
    at: float
    severe: bool
    blocking: bool
    description: str


def failed_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[FailedCheck]:
    """Those of the checks whose latest finished evaluation failed, by key."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failed = []
    for key, record in sorted(found.items()):
        evaluation = record.evaluation
        if record.status is AssetCheckExecutionRecordStatus.FAILED and evaluation is not None:
            failed.append(
                FailedCheck(
                    key,
                    record.create_timestamp,
                    evaluation.severity is dg.AssetCheckSeverity.ERROR,
                    evaluation.blocking or False,
                    evaluation.description or "failed",
                )
            )
    return failed
