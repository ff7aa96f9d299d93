"""Jobs, launched by sensors and schedules or by a person."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from music_platform.contracts.events import EARLIEST_TS
from music_platform.learning import is_installed
from music_platform.orchestration._dagster import UnresolvedAssetJobDefinition
from music_platform.orchestration.assets.marts import BuildConfig, build_dbt_assets, key_tests, tier_keys
from music_platform.orchestration.assets.raw import DrainConfig
from music_platform.orchestration.assets.report import REPORT
from music_platform.orchestration.checks import check_keys
from music_platform.orchestration.data_checks import NIGHTLY
from music_platform.orchestration.freshness import LIVE, POLICY
from music_platform.orchestration.keys import (
    BUILDS_LEDGER,
    CONSERVATION,
    GOLD,
    KAFKA,
    LAKE_EVENTS,
    LOADS_LEDGER,
    ML,
    OPS,
    RAW_EVENTS,
    REFERENCE_KEYS,
    SILVER,
    STAGING,
)
from music_platform.orchestration.upkeep import maintenance_job, pruning_job

#: Loads and builds write the ledgers; no build has to count their rows.
_LEDGERS = dg.AssetSelection.assets(LOADS_LEDGER, BUILDS_LEDGER)

ingest_job = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(LAKE_EVENTS, RAW_EVENTS).without_checks(),
    description="Ingests the backlog: topics and files into the lake, the lake into RAW. Started by the lag sensor.",
)
reference_job = dg.define_asset_job(
    "reference",
    selection=dg.AssetSelection.assets(*REFERENCE_KEYS.values()),
    description="Loads songs, artists and users from their CSVs. Started by the reference sensor.",
)


def _tier_job(tier: str, description: str) -> UnresolvedAssetJobDefinition:
    """The tier's models with their key tests."""
    keys = tier_keys(tier)
    selection = dg.AssetSelection.assets(*keys).without_checks() | dg.AssetSelection.checks(*key_tests(keys))
    return dg.define_asset_job(tier, selection=selection, description=description)


live_job = _tier_job(LIVE, "Builds silver and the live marts for the dates that changed. Started by the live sensor.")
policy_job = _tier_job(
    POLICY, "Builds the marts driven by their freshness policy, from silver. Started by the freshness sensor."
)
build_job = dg.define_asset_job(
    "build",
    selection=dg.AssetSelection.groups(STAGING, SILVER, GOLD, OPS) - _LEDGERS,
    description="Builds and tests every model, including views, for the dates that changed. Started by the live sensor "
    "for the first build.",
)
everything_job = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="Materializes the whole graph: ingestion, reference data and every model with its tests.",
)


@dg.monthly_partitioned_config(start_date=datetime.fromtimestamp(EARLIEST_TS / 1000, UTC), end_offset=1)
def _dates_of_month(start: datetime, end: datetime) -> Mapping[str, Any]:
    """The launchpad's months: each is a range of dates for the build."""
    dates = BuildConfig(rebuild_from=f"{start:%Y-%m-%d}", rebuild_to=f"{end - timedelta(days=1):%Y-%m-%d}")
    return {"ops": {"models": {"config": dates.model_dump(exclude_defaults=True)}}}


#: The assets have no partitions: the command line refuses `*` as soon as one has, and dates are found by each build.
rebuild_month_job = dg.define_asset_job(
    "rebuild_month",
    selection=dg.AssetSelection.assets(*build_dbt_assets().keys).without_checks()
    | dg.AssetSelection.checks(*build_dbt_assets().check_keys),
    config=_dates_of_month,
    description="Rebuilds every model for the dates of a month from RAW. To start it, choose months on its page under "
    "**Jobs**, one run for each.",
)
rebuild_job = dg.define_asset_job(
    "rebuild",
    selection=everything_job.selection - dg.AssetSelection.groups(KAFKA) - dg.AssetSelection.assets(LAKE_EVENTS),
    config=dg.RunConfig(ops={"drain": DrainConfig(rebuild_raw=True), "models": BuildConfig(full_refresh=True)}),
    description="Rebuilds RAW from the lake, the reference data from its CSVs and every model from RAW, if the "
    "warehouse was dropped or cannot be trusted.",
)
quality_job = dg.define_asset_job(
    "quality",
    selection=dg.AssetSelection.checks(*(key for key in check_keys() if key not in (CONSERVATION, *NIGHTLY))),
    description="Runs the data checks: quarantine, required columns, drift, ids, totals, anomalies. Started by the "
    "quality sensor.",
)
reconciliation_job = dg.define_asset_job(
    "reconciliation",
    selection=dg.AssetSelection.checks(CONSERVATION),
    description="Counts every partition of every topic from Kafka to RAW. Started by its schedule.",
)
nightly_job = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.checks(*(spec.key for spec in build_dbt_assets().check_specs), *NIGHTLY)
    | dg.AssetSelection.assets(REPORT).without_checks(),
    config=dg.RunConfig(ops={"models": BuildConfig(whole_tables=True)}),
    description="Runs every test over whole tables and writes the quality report. Started by its schedule.",
)
learning_job = dg.define_asset_job(
    "learning",
    selection=dg.AssetSelection.groups(ML),
    description="Learns from the streams of complete weeks, publishes what passes its gate. Started by its schedule.",
)
jobs: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
    ingest_job,
    reference_job,
    live_job,
    policy_job,
    build_job,
    everything_job,
    rebuild_job,
    rebuild_month_job,
    quality_job,
    reconciliation_job,
    nightly_job,
    maintenance_job,
    pruning_job,
    # Without the extra `learning` there is nothing that the job could select.
    *([learning_job] if is_installed() else []),
]

#: Jobs that write the lake or RAW.
INGESTING = {ingest_job.name, everything_job.name, rebuild_job.name}
