"""Asset checks that belong to no dbt model: conservation on the way from Kafka to RAW."""

import dagster as dg
from dagster_snowflake import SnowflakeResource

from music_platform.assets.keys import RAW_EVENTS
from music_platform.conservation import audit
from music_platform.resources import sentences, warehouse_session
from music_platform.settings import Settings

#: Partitions that a failed check names.
SHOWN = 10


@dg.asset_check(
    asset=RAW_EVENTS,
    description="Every partition of every topic: rows in RAW = committed offsets − first offset, and no offset twice. "
    "Every file that was taken in: rows = lines.",
)
def conservation(
    context: dg.AssetCheckExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Compare RAW with the offsets that the stream has committed."""
    with sentences(), warehouse_session(snowflake, settings, context.run) as session:
        found = audit(session, settings)
    said = [f"{p.topic}/{p.number}: {what}" for p, what in found.wrong]
    said += [f"{file}: {what}" for file, what in found.wrong_files]
    return dg.AssetCheckResult(
        passed=not said,
        metadata={
            "partitions": len(found.rows),
            "files": len(found.file_rows),
            "rows": sum(rows.count for rows in (*found.rows.values(), *found.file_rows.values())),
            "imbalances": dg.MetadataValue.json(said[:SHOWN]),
        },
    )


asset_checks = [conservation]
