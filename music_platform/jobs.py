"""Jobs: what sensors launch, and what a person starts as a whole."""

import dagster as dg

from music_platform.assets.keys import KAFKA, LAKE_EVENTS, RAW_EVENTS, REFERENCE_KEYS

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
jobs = [ingest_job, reference_job, build_job, everything_job]
