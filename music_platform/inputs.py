"""What a build of the models is made from: the loaded version of the lake and the reference data.

A build notes its inputs on its run; the build sensor compares those of the last successful build with what there is
now. It asks Dagster's store only: a sensor that asked the warehouse would keep it awake.
"""

import dagster as dg

from music_platform.assets.keys import RAW_EVENTS, REFERENCE_KEYS

INPUTS_TAG = "music/built_from"


def loaded_version(instance: dg.DagsterInstance) -> int:
    """Version of the lake table that the last materialization of RAW says it has loaded; -1 before the first."""
    event = instance.get_latest_materialization_event(RAW_EVENTS)
    found = event.asset_materialization.metadata.get("lake_version") if event and event.asset_materialization else None
    return int(str(found.value)) if found is not None else -1


def current_inputs(instance: dg.DagsterInstance) -> str:
    """The loaded version and the data versions of the reference tables, in one line."""
    parts = [f"raw {loaded_version(instance)}"]
    for name, key in REFERENCE_KEYS.items():
        event = instance.get_latest_materialization_event(key)
        tags = event.asset_materialization.tags if event and event.asset_materialization else None
        parts.append(f"{name} {(tags or {}).get('dagster/data_version', 'none')}")
    return ", ".join(parts)


def note_inputs(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run that builds every model what it is made from."""
    instance.add_run_tags(run_id, {INPUTS_TAG: current_inputs(instance)})


def built_inputs(instance: dg.DagsterInstance) -> str | None:
    """Inputs of the last successful build of every model; None before the first."""
    runs = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]), limit=LOOK_BACK)
    found = (record.dagster_run.tags.get(INPUTS_TAG) for record in runs)
    return next((inputs for inputs in found if inputs), None)


#: Successful runs among which the last build is looked for; further back it counts as none, which costs one build.
LOOK_BACK = 200
