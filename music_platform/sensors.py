"""Sensors: thin shells that read, ask `automation` and launch. They run from the start."""

import json
import time

import dagster as dg

from music_platform.assets.keys import LAKE_EVENTS, RAW_EVENTS, REFERENCE_KEYS
from music_platform.assets.topics import topic_observation
from music_platform.automation import decide_build, decide_ingest
from music_platform.backlog import read_kafka_stage, read_lake_stage
from music_platform.inputs import built_inputs, current_inputs, loaded_version
from music_platform.jobs import build_job, ingest_job, reference_job
from music_platform.runs import failures_in_a_row, runs_in_flight, targets
from music_platform.settings import Settings, get_settings
from music_platform.topics import BrokerUnreachableError, topic_names


@dg.sensor(
    job=ingest_job,
    minimum_interval_seconds=get_settings().sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the backlog from Kafka to RAW, starts ingestion when there is any, and reports the topics.",
)
def lag_sensor(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
    """The cursor holds the end offsets that were last reported, as JSON."""
    try:
        offsets, kafka = read_kafka_stage(settings)
    except BrokerUnreachableError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    lake = read_lake_stage(settings, loaded_version(context.instance))
    in_flight = any(
        targets(run, ingest_job.name, (LAKE_EVENTS, RAW_EVENTS)) for run in runs_in_flight(context.instance)
    )
    failures, ended = failures_in_a_row(context.instance, ingest_job.name)
    decision = decide_ingest(
        kafka.records, lake.records, settings.lag_threshold_records, in_flight, failures, time.time() - ended
    )
    ends = json.dumps(offsets.end, sort_keys=True)
    observations = [
        topic_observation(kind, offsets.first[topic], offsets.end[topic], kafka.behind[topic])
        for kind, topic in topic_names(settings).items()
        if ends != context.cursor
    ]
    return dg.SensorResult(
        run_requests=[dg.RunRequest()] if decision.start else [],
        skip_reason=None if decision.start else decision.reason,
        asset_events=observations,
        cursor=ends,
    )


@dg.sensor(
    job=build_job,
    minimum_interval_seconds=get_settings().sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Builds the models when RAW or the reference data is not what the last build was made from.",
)
def build_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Decides from Dagster's store alone."""
    instance = context.instance
    in_flight = any(targets(run, build_job.name, ()) for run in runs_in_flight(instance))
    failures, ended = failures_in_a_row(instance, build_job.name)
    decision = decide_build(current_inputs(instance), built_inputs(instance), in_flight, failures, time.time() - ended)
    return dg.SensorResult(
        run_requests=[dg.RunRequest()] if decision.start else [],
        skip_reason=None if decision.start else decision.reason,
    )


@dg.sensor(
    job=reference_job,
    minimum_interval_seconds=get_settings().sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads songs.csv, artists.csv and users.csv when one of them has changed.",
)
def reference_sensor(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
    """The cursor holds size and time of each file, as JSON. A file that is refused waits until it is changed."""
    found = {}
    for name in REFERENCE_KEYS:
        path = settings.reference_root / f"{name}.csv"
        if path.exists():
            found[name] = [path.stat().st_size, path.stat().st_mtime]
    before = json.loads(context.cursor or "{}")
    changed = [name for name, seen in found.items() if before.get(name) != seen]
    if not changed:
        return dg.SensorResult(skip_reason=f"no new file in {settings.reference_root}", cursor=context.cursor)
    # Another half second of writing would change the file again: wait until it rests.
    if any(time.time() - found[name][1] < REST_SECONDS for name in changed):
        return dg.SensorResult(skip_reason=f"{', '.join(changed)}: still being written", cursor=context.cursor)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(asset_selection=[REFERENCE_KEYS[name] for name in changed])],
        cursor=json.dumps(found),
    )


#: Seconds for which a file must not have changed before it is loaded.
REST_SECONDS = 2.0

sensors = [lag_sensor, reference_sensor, build_sensor]
