"""Jobs: what sensors launch, and what a person starts as a whole."""

import dagster as dg

from music_platform.assets.ingestion import DrainConfig
from music_platform.assets.keys import KAFKA, LAKE_EVENTS, RAW_EVENTS, REFERENCE_KEYS
from music_platform.assets.marts import BuildConfig

#: The topics are external: nothing here makes them.
_EXTERNAL = dg.AssetSelection.groups(KAFKA)

ingest_job = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(LAKE_EVENTS, RAW_EVENTS).without_checks(),
    description="Works off the backlog: topics into the lake, lake into RAW. Started by the lag sensor.",
)
reference_job = dg.define_asset_job(
    "reference",
    selection=dg.AssetSelection.assets(*REFERENCE_KEYS.values()),
    description="Loads songs, artists and users from their CSVs. Started by the reference sensor.",
)
build_job = dg.define_asset_job(
    "build",
    selection=dg.AssetSelection.groups("staging", "silver", "gold", "ops"),
    description="Builds and tests every model, for the dates that have changed. Started by the build sensor.",
)
everything_job = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all() - _EXTERNAL,
    description="The whole graph: ingestion, reference data and every model with its tests.",
)
rebuild_job = dg.define_asset_job(
    "rebuild",
    selection=everything_job.selection - dg.AssetSelection.assets(LAKE_EVENTS),
    config=dg.RunConfig(ops={"drain": DrainConfig(rebuild_raw=True), "models": BuildConfig(full_refresh=True)}),
    description="RAW anew from the lake, reference data from its CSVs, and every model from RAW: for a warehouse that "
    "was dropped or is not to be trusted.",
)
jobs = [ingest_job, reference_job, build_job, everything_job, rebuild_job]
