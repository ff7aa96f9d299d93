"""The latest results of the asset checks, read from Dagster's store."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from music_platform.orchestration._dagster import AssetCheckExecutionRecordStatus
from music_platform.orchestration.data_checks import MART_CHECKS, RAW_CHECKS
from music_platform.orchestration.keys import CONSERVATION


def known_checks(manifest: Path) -> list[dg.AssetCheckKey]:
    """Every asset check: the platform's own, and dbt's tests from the project's manifest if there is one yet. Does not
    load the definitions, which take 270 MB."""
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
    """A check that failed in its latest run: the time of that evaluation (epoch seconds) and its description."""

    key: dg.AssetCheckKey
    at: float
    severe: bool
    blocking: bool
    description: str


def failed_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[FailedCheck]:
    """The checks whose latest finished evaluation failed, in order of their keys."""
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
