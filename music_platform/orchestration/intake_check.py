"""The check of the intake: files that were refused, or that lie in a folder that is not read.

Such a file starts no run, so the check is evaluated by a sensor, which reports it when the result has changed.
"""

from typing import Any

import dagster as dg

from music_platform.ingestion.unread_files import unread_files
from music_platform.orchestration.keys import INTAKE
from music_platform.orchestration.quality import last_result
from music_platform.settings import Settings


def intake_result(settings: Settings) -> dg.AssetCheckResult:
    """Whether every file of the intake was read, or is waiting to be."""
    found = unread_files(settings)
    metadata: dict[str, Any] = {"refused": found.refused}
    if found.reasons or found.folders:
        metadata["samples"] = dg.MetadataValue.json({**found.reasons, **found.folders})
    return dg.AssetCheckResult(
        passed=not found.refused and not found.folders,
        asset_key=INTAKE.asset_key,
        check_name=INTAKE.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=str(found),
        metadata=metadata,
    )


def intake_news(instance: dg.DagsterInstance, settings: Settings) -> list[dg.AssetCheckEvaluation]:
    """The evaluation of the check, without a run, if its result is another than the last one."""
    now = intake_result(settings)
    if last_result(instance, INTAKE) == (now.passed, now.description):
        return []
    return [
        dg.AssetCheckEvaluation(
            asset_key=INTAKE.asset_key,
            check_name=INTAKE.name,
            passed=now.passed,
            severity=now.severity,
            description=now.description,
            metadata=now.metadata,
        )
    ]
