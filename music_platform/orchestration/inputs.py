"""Inputs of a build of the models: what is loaded of the lake, the reference data and the dbt project.

A build that completes a tier of models records its inputs on its run. The sensors compare those of the last build with
the current ones. They only read Dagster's store: a sensor that queried the warehouse would keep it awake.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import dagster as dg

from music_platform.orchestration.dbt_project import project_digest
from music_platform.orchestration.freshness import LIVE
from music_platform.orchestration.keys import RAW_EVENTS, REFERENCE_KEYS

#: Metadata of a materialization of RAW: when the warehouse was last loaded or rebuilt, or found to be an older one.
LOADED_AT = "loaded_at"
#: Metadata of a materialization: rows of the whole table.
ROW_COUNT = "dagster/row_count"


@dataclass(frozen=True)
class Inputs:
    """Version of the lake table that RAW holds (-1 for none) and when it was loaded (epoch seconds, 0 if unknown), the
    data version of each reference table, and the checksum of the dbt project ("" in builds from before it was noted).

    The version alone does not say what the models lack: a warehouse that was put back, or RAW that was rebuilt, is
    loaded up to the same version once more.
    """

    raw: int = -1
    reference: dict[str, str] = field(default_factory=dict)
    project: str = ""
    loaded_at: float = 0.0

    def __str__(self) -> str:
        loaded = f" of {datetime.fromtimestamp(self.loaded_at, UTC):%Y-%m-%d %H:%M:%S.%f}" if self.loaded_at else ""
        named = {"raw": f"{self.raw}{loaded}", **self.reference, "project": self.project or "unknown"}
        return ", ".join(f"{name} {version}" for name, version in named.items())


def inputs_tag(tier: str) -> str:
    """The run tag that holds the inputs of a tier's models."""
    return f"music/{tier}_built_from"


def tier_tag(tier: str) -> str:
    """The run tag that marks a run that built the whole tier."""
    return f"music/builds_{tier}"


def recorded_version(instance: dg.DagsterInstance) -> int:
    """Version of the lake table in the last materialization of RAW; -1 before the first."""
    return _version(_latest(instance, [RAW_EVENTS]))


def current_inputs(instance: dg.DagsterInstance) -> Inputs:
    """Inputs that a build of the live models would use now."""
    latest = _latest(instance, [RAW_EVENTS, *REFERENCE_KEYS.values()])
    tags = {name: latest[key].tags if key in latest else None for name, key in REFERENCE_KEYS.items()}
    return Inputs(
        _version(latest),
        {name: (found or {}).get("dagster/data_version", "none") for name, found in tags.items()},
        project_digest(),
        _loaded_at(latest.get(RAW_EVENTS)) or 0.0,
    )


def _latest(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> dict[dg.AssetKey, dg.AssetMaterialization]:
    """The last materialization of each asset that has one."""
    events = (record.asset_entry.last_materialization for record in instance.get_asset_records(keys))
    found = (event.asset_materialization for event in events if event)
    return {materialization.asset_key: materialization for materialization in found if materialization}


def _version(latest: Mapping[dg.AssetKey, dg.AssetMaterialization]) -> int:
    found = latest[RAW_EVENTS].metadata.get("lake_version") if RAW_EVENTS in latest else None
    return int(str(found.value)) if found is not None else -1


def last_load(instance: dg.DagsterInstance) -> float | None:
    """When the warehouse was last loaded, in epoch seconds; None if unknown. A run that found nothing to load
    materializes RAW too, and repeats the time of the load before."""
    event = instance.get_latest_materialization_event(RAW_EVENTS)
    return _loaded_at(event.asset_materialization if event else None)


def _loaded_at(materialization: dg.AssetMaterialization | None) -> float | None:
    found = materialization.metadata.get(LOADED_AT) if materialization else None
    return float(str(found.value)) if found is not None else None


def report_rebuilt(instance: dg.DagsterInstance, version: int, rows: int, now: float) -> None:
    """Report that RAW was rebuilt outside Dagster, from this version of the lake, so that the models follow."""
    figures = {"lake_version": version, "rows": rows, ROW_COUNT: rows, "rebuilt": True}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            RAW_EVENTS,
            description="Rebuilt from the lake on the command line.",
            metadata={**figures, LOADED_AT: dg.MetadataValue.timestamp(now)},
            tags={"dagster/data_version": str(version)},
        )
    )


def is_put_back(noted: Inputs | None, built_version: int) -> bool:
    """Whether the warehouse is an older one than Dagster's store: its ledger of builds ends before what the last build
    of the live models was noted to cover. A build is noted after the ledger has its row."""
    return noted is not None and built_version < noted.raw


def inputs_of(instance: dg.DagsterInstance, tiers: Collection[str]) -> Inputs | None:
    """Inputs that a build of these tiers would use now. The policy tier alone uses those of the live tier."""
    return current_inputs(instance) if LIVE in tiers else built_inputs(instance, LIVE)


def note_inputs(instance: dg.DagsterInstance, run_id: str, tiers: Collection[str], inputs: Inputs | None) -> None:
    """Record on a run that it built these tiers completely, and from which inputs: those before it started."""
    if inputs is not None:
        for tier in tiers:
            instance.add_run_tags(run_id, {tier_tag(tier): "true", inputs_tag(tier): json.dumps(asdict(inputs))})


def built_inputs(instance: dg.DagsterInstance, tier: str) -> Inputs | None:
    """Inputs of the last finished build of the tier's models; None before the first."""
    for run in instance.get_runs(dg.RunsFilter(tags={tier_tag(tier): "true"}), limit=1):
        return Inputs(**json.loads(run.tags[inputs_tag(tier)]))
    return None
