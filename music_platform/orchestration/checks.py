"""Asset checks that are not dbt tests: conservation from Kafka to RAW, and the data itself."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster_snowflake import SnowflakeResource

from music_platform.ingestion.conservation import REMEDY, audit
from music_platform.orchestration.data_checks import MART_CHECKS, RAW_CHECKS, DataCheck
from music_platform.orchestration.intake_check import intake_result
from music_platform.orchestration.keys import CONSERVATION, INTAKE, LAKE_EVENTS, NOT_RECONCILED, RAW_EVENTS, model_of
from music_platform.orchestration.quality import last_result
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.connection import execute_all
from music_platform.warehouse.notice import say_changed
from music_platform.warehouse.schema import note_verdict

#: Maximum number of imbalances that a failed check lists.
MAX_LISTED = 10


@dg.asset_check(
    asset=RAW_EVENTS,
    blocking=True,
    # During ingestion, records that are committed but not loaded yet would look lost.
    pool="ingest",
    description="For every partition of every topic: rows in RAW = committed offset − first offset, and no offset "
    "twice. For every ingested file: rows = lines. Counts what came since it last passed (OPS.RECONCILED).",
)
def conservation(
    context: dg.AssetCheckExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Compare RAW with the offsets that the stream committed."""
    name_process(context.instance, context.run.run_id)
    with sentences(), warehouse_session(snowflake, settings, context.run, RAW_EVENTS) as session:
        found = audit(session, settings)
        balanced = not found.complaints
        said = "every partition and file balances" if balanced else f"{found.complaints[0]}. {REMEDY}"
        if found.postponed is None:
            execute_all(session, note_verdict(model_of(RAW_EVENTS), CONSERVATION.name, balanced, said))
            say_changed(settings)
    if found.postponed is not None:
        return _postponed(last_result(context.instance, CONSERVATION), found.postponed)
    return dg.AssetCheckResult(
        passed=balanced,
        description=said,
        metadata={
            "partitions": len(found.partitions),
            "files": found.files.compared,
            "rows": found.rows,
            "imbalances": dg.MetadataValue.json(found.complaints[:MAX_LISTED]),
        },
    )


def _postponed(before: tuple[bool, str | None] | None, why: str) -> dg.AssetCheckResult:
    """No verdict now. Dagster knows no such result, so the last verdict is repeated: it neither fails nor clears."""
    passed, said = before or (True, None)
    return dg.AssetCheckResult(
        passed=passed,
        description=f"{NOT_RECONCILED}: {why}" + (f". Before: {said}" if said and not passed else ""),
        metadata={"postponed": True},
    )


def _data_checks(name: str, checks: Sequence[DataCheck]) -> dg.AssetChecksDefinition:
    """Checks that share a session. No model is built meanwhile, because the checks compare marts with each other."""

    @dg.multi_asset_check(name=name, specs=[check.spec() for check in checks], can_subset=True, pool="build")
    def run_checks(
        context: dg.AssetCheckExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        name_process(context.instance, context.run.run_id)
        selected = {key.name for key in context.selected_asset_check_keys}
        role = settings.snowflake_transform_role
        with sentences(), warehouse_session(snowflake, settings, context.run, dg.AssetKey(name), role) as session:
            for check in checks:
                if check.name in selected:
                    yield check.result(session, settings)
        say_changed(settings)

    return run_checks


@dg.asset_check(
    asset=LAKE_EVENTS,
    name=INTAKE.name,
    description="No file of the intake was refused, and none lies in a folder that is not read. Evaluated by the "
    "quality sensor, without a run, whenever the result changes.",
)
def intake(context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """List the folders of the intake."""
    name_process(context.instance, context.run.run_id)
    with sentences():
        return intake_result(settings)


asset_checks = [conservation, intake, _data_checks("raw_checks", RAW_CHECKS), _data_checks("mart_checks", MART_CHECKS)]


def check_keys() -> list[dg.AssetCheckKey]:
    """Keys of all these checks."""
    return sorted(key for definition in asset_checks for key in definition.check_keys)
