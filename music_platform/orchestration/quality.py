"""The latest results of the asset checks, read from Dagster's store."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from music_platform.learning import is_installed
from music_platform.orchestration._dagster import AssetCheckExecutionRecord, AssetCheckExecutionRecordStatus
from music_platform.orchestration.data_checks import MART_CHECKS, RAW_CHECKS
from music_platform.orchestration.keys import CONSERVATION, INTAKE, LEARNED_CHECKS


def known_checks(manifest: Path) -> list[dg.AssetCheckKey]:
    """Every asset check: the platform's own, and dbt's tests from the project's manifest if there is one yet. Does not
    load the definitions, which take 270 MB."""
    nodes = json.loads(manifest.read_bytes())["nodes"] if manifest.exists() else {}
    tests = [node for node in nodes.values() if node["resource_type"] == "test" and node.get("attached_node")]
    tested = [(nodes[test["attached_node"]], test["name"]) for test in tests if test["attached_node"] in nodes]
    return sorted(
        [
            CONSERVATION,
            INTAKE,
            *(LEARNED_CHECKS if is_installed() else ()),
            *(dg.AssetCheckKey(check.asset, check.name) for check in (*RAW_CHECKS, *MART_CHECKS)),
            *(
                dg.AssetCheckKey(dg.AssetKey([model["config"]["schema"], model["name"]]), name)
                for model, name in tested
            ),
        ]
    )


#: Checks that hold back every build while they fail, because results built from such data would be wrong.
BLOCKING = [CONSERVATION, *(check.key for check in RAW_CHECKS if check.blocking)]

_PLANNED = AssetCheckExecutionRecordStatus.PLANNED
#: Statuses of an execution that ended with a verdict. A planned one has none yet, or never gets one: its run crashed.
_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


@dataclass(frozen=True)
class FailedCheck:
    """A check whose latest verdict is that it failed: the time of that verdict (epoch seconds) and its description."""

    key: dg.AssetCheckKey
    at: float
    severe: bool
    blocking: bool
    description: str


@dataclass(frozen=True)
class UnevaluatedCheck:
    """A check whose latest run ended without a verdict: that run, its job, and when it ended (epoch seconds)."""

    key: dg.AssetCheckKey
    at: float
    blocking: bool
    job: str
    run_id: str


def failed_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[FailedCheck]:
    """The checks whose latest verdict is that they failed, in order of their keys.

    A check that is planned, running or crashed has no new verdict, so the one before stands.
    """
    failed = []
    for key, latest in sorted(_latest(instance, keys).items()):
        record = _last_evaluated(instance, key) if latest.status is _PLANNED else latest
        evaluation = record.evaluation if record else None
        if record and record.status is AssetCheckExecutionRecordStatus.FAILED and evaluation is not None:
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


def last_result(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> tuple[bool, str | None] | None:
    """Whether the check passed when it was last evaluated, and its description; None if it never was."""
    record = _last_evaluated(instance, key)
    return (record.evaluation.passed, record.evaluation.description) if record and record.evaluation else None


def unevaluated_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[UnevaluatedCheck]:
    """The checks whose latest run failed or was canceled before it evaluated them, in order of their keys."""
    planned = {key: record.run_id for key, record in _latest(instance, keys).items() if record.status is _PLANNED}
    if not planned:
        return []
    ended = dg.RunsFilter(
        run_ids=sorted(set(planned.values())), statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    )
    runs = {record.dagster_run.run_id: record for record in instance.get_run_records(ended)}
    return [
        UnevaluatedCheck(
            key,
            runs[run_id].end_time or runs[run_id].create_timestamp.timestamp(),
            key in BLOCKING,
            runs[run_id].dagster_run.job_name,
            run_id,
        )
        for key, run_id in sorted(planned.items())
        if run_id in runs
    ]


def _latest(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """The latest execution of each check, with or without a verdict."""
    return instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)


def _last_evaluated(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckExecutionRecord | None:
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_EVALUATED)
    return history[0] if history else None
