"""The nightly quality report: one page to read in the morning."""

from typing import Any

import dagster as dg
from dagster_snowflake import SnowflakeResource

from music_platform.orchestration.assets.markdown import markdown_page, markdown_table
from music_platform.orchestration.assets.marts import build_dbt_assets
from music_platform.orchestration.checks import check_keys
from music_platform.orchestration.keys import GOLD, OPS, OWNERS, RAW_EVENTS
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.schema import GAPS

REPORT = dg.AssetKey([OPS, "quality_report"])

#: A heading, its statement, and the columns of its table.
SECTIONS = (
    ("Rows in RAW", ("topic", "rows", "quarantined", "newest record"),
     "SELECT COALESCE(kafka_topic, source), COUNT(*), COUNT(quarantine_reason), MAX(kafka_timestamp) FROM RAW.EVENTS "
     "GROUP BY 1 ORDER BY 1"),
    ("Quarantined, by reason", ("reason", "rows"),
     "SELECT quarantine_reason, COUNT(*) FROM RAW.EVENTS WHERE quarantine_reason IS NOT NULL GROUP BY 1 "
     "ORDER BY 2 DESC LIMIT 10"),
    ("Accepted losses", ("topic", "partition", "first offset", "last offset"),
     f"SELECT kafka_topic, kafka_partition, first_offset, last_offset FROM {GAPS} ORDER BY 1, 2, 3 LIMIT 10"),
)  # fmt: skip


@dg.asset(
    key=REPORT,
    deps=[RAW_EVENTS, dg.AssetKey([GOLD, "daily_summary"])],
    group_name=OPS,
    kinds={"snowflake", "markdown"},
    owners=OWNERS,
    description="One page with the ingested rows, what was quarantined and why, accepted losses and every failed "
    "check. Written every night and whenever someone materializes it.",
)
def quality_report(
    context: dg.AssetExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """Query the warehouse for the counts and Dagster's store for the checks."""
    name_process(context.instance, context.run_id)
    sections = []
    role = settings.snowflake_transform_role
    with sentences(), warehouse_session(snowflake, settings, context.run, context.asset_key, role) as session:
        for heading, columns, statement in SECTIONS:
            rows: Any = session.cursor().execute(statement).fetchall()  # type: ignore[union-attr]
            sections.append((heading, markdown_table(columns, rows) if rows else "none"))
    keys = [*check_keys(), *(spec.key for spec in build_dbt_assets().check_specs)]
    failed = failed_checks(context.instance, keys)
    lines = [(check.key.asset_key.to_user_string(), check.key.name, check.description) for check in failed]
    sections.append(("Failed checks", markdown_table(("asset", "check", "result"), lines) if lines else "none"))
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(markdown_page(sections)),
            "failed_checks": len(failed),
            "checks": len(keys),
        }
    )
