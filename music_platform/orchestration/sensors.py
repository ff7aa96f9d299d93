"""Sensors: thin shells that read, ask `automation` and launch. They run by default.

Each tick reports what it saw and why it starts a run or not, as its skip reason or as the run's tag `music/reason`.
Sensors read the brokers, the lake's log and Dagster's store, never Spark or the warehouse.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import dagster as dg

from music_platform.clock import seconds_since
from music_platform.ingestion.backlog import (
    Backlog,
    kafka_age,
    lake_age,
    read_files_backlog,
    read_kafka_backlog,
    read_lake_backlog,
    read_marts_backlog,
)
from music_platform.ingestion.disk_space import start_obstacle
from music_platform.orchestration._dagster import InstanceRef, get_current_timestamp
from music_platform.orchestration._dagster import UnresolvedAssetJobDefinition as AssetJob
from music_platform.orchestration.assets.lineage import COLUMN_LINEAGE
from music_platform.orchestration.assets.marts import build_dbt_assets, tier_keys
from music_platform.orchestration.assets.reference import FILE_STATE, file_state
from music_platform.orchestration.automation import (
    Decision,
    Observed,
    Runs,
    decide_ingest,
    decide_live,
    decide_policy,
    decide_reconciliation,
    decide_upkeep,
    topics_to_observe,
    verified_complete,
)
from music_platform.orchestration.freshness import LIVE, POLICY, TIERS, ages, verify_after, warn_after
from music_platform.orchestration.inputs import built_inputs, current_inputs, recorded_version
from music_platform.orchestration.intake_check import intake_news
from music_platform.orchestration.jobs import (
    INGESTING,
    build_job,
    ingest_job,
    live_job,
    policy_job,
    quality_job,
    reconciliation_job,
    reference_job,
)
from music_platform.orchestration.keys import (
    CONSERVATION,
    GOLD,
    LAKE_EVENTS,
    NOT_RECONCILED,
    RAW_EVENTS,
    REFERENCE_KEYS,
)
from music_platform.orchestration.quality import BLOCKING, failed_checks, last_result
from music_platform.orchestration.runs import (
    BUILDING,
    INPUT_TAG,
    fail_lost_starts,
    failures_in_a_row,
    is_in_flight,
    last_run_input,
    last_run_requested_at,
    runs_in_flight,
    targets,
)
from music_platform.orchestration.topic_state import VERSION_TAG, topic_materialization
from music_platform.settings import Settings
from music_platform.topics import BrokerUnreachableError, TopicOffsets, topic_names

#: On a run that a sensor started: the reason.
REASON_TAG = "music/reason"

#: A sensor's tick: from Dagster's store, the settings and the cursor to the runs that it requests.
Tick = Callable[[dg.DagsterInstance, Settings, str | None], dg.SensorResult]

#: The lake and RAW, beside the tiers of marts.
INGESTION = "ingestion"

#: Share of LAG_LIMIT_SECONDS for which a backlog below LAG_THRESHOLD_RECORDS waits: a quiet night raises no alert.
PATIENCE = 0.5

#: The reference sensor ticks this many times less often: its data rarely changes, and a tick costs 0.1 s of CPU.
REFERENCE_TICKS = 3


def _runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    own: Collection[str],
    busy: Collection[str],
    keys: Collection[dg.AssetKey],
) -> Runs:
    """What is known about runs: failures of the jobs `own`, and whether a run of the jobs `busy`, or one that
    materializes `keys`, is in flight."""
    failures = failures_in_a_row(instance, *own)
    in_flight = any(targets(run, busy, keys) for run in runs_in_flight(instance))
    idle = seconds_since(failures.ended, get_current_timestamp())
    return Runs(in_flight, failures.count, idle, settings.retry_pauses)


def _held_back(instance: dg.DagsterInstance) -> list[str]:
    """Blocking checks that fail."""
    return [check.key.name for check in failed_checks(instance, BLOCKING)]


def _result(decision: Decision, job: str, tags: Mapping[str, str] | None = None, **reported: object) -> dg.SensorResult:
    request = dg.RunRequest(job_name=job, tags={REASON_TAG: decision.reason, **(tags or {})})
    return dg.SensorResult(
        run_requests=[request] if decision.start else [],
        skip_reason=None if decision.start else decision.reason,
        **reported,  # type: ignore[arg-type]
    )


def lag_tick(instance: dg.DagsterInstance, settings: Settings, cursor: str | None) -> dg.SensorResult:
    """The cursor holds the end offsets of each topic that were last reported, and when, as JSON."""
    fail_lost_starts(instance)
    away = None
    try:
        offsets, kafka = read_kafka_backlog(settings)
    except BrokerUnreachableError as error:
        # Files and versions of the lake wait for no broker.
        away, offsets, kafka = str(error), TopicOffsets({}, {}), Backlog(0, {})
    loaded = recorded_version(instance)
    lake = read_lake_backlog(settings, loaded)
    files = read_files_backlog(settings)
    decision = decide_ingest(
        # A file counts as one record, because its lines are not counted before it is ingested.
        (kafka.records + files.records, max(kafka_age(settings, offsets) if kafka.records else 0.0, files.seconds)),
        (lake.records, lake_age(settings, loaded) if lake.records else 0.0),
        settings.lag_threshold_records,
        _runs(instance, settings, [ingest_job.name], INGESTING, [LAKE_EVENTS, RAW_EVENTS]),
        start_obstacle(settings),
        kafka.unknown or lake.unknown,
        settings.lag_limit_seconds * PATIENCE,
        away,
    )
    if away:
        return _result(decision, ingest_job.name, cursor=cursor)
    observed, now = _observed(cursor), get_current_timestamp()
    chosen = topics_to_observe(offsets.end, observed, now)
    states = [
        topic_materialization(kind, offsets.first[topic], offsets.end[topic], kafka.behind[topic], now)
        for kind, topic in topic_names(settings).items()
        if topic in chosen
    ]
    observed |= {topic: Observed(offsets.end[topic], now) for topic in chosen}
    noted = {topic: asdict(seen) for topic, seen in sorted(observed.items()) if topic in offsets.end}
    return _result(decision, ingest_job.name, asset_events=states, cursor=json.dumps(noted))


def _observed(cursor: str | None) -> dict[str, Observed]:
    """What a cursor says was reported; nothing where it is from before topics were noted one by one."""
    found = json.loads(cursor or "{}")
    return {
        topic: Observed({int(number): end for number, end in seen["ends"].items()}, seen["at"])
        for topic, seen in found.items()
        if "ends" in seen
    }


def live_tick(instance: dg.DagsterInstance, settings: Settings, _cursor: str | None) -> dg.SensorResult:
    """Decides from Dagster's store and the lake's log."""
    now, built = current_inputs(instance), built_inputs(instance, LIVE)
    behind = read_marts_backlog(settings, built.raw if built else -1, now.raw)
    decision = decide_live(
        str(now),
        str(built) if built else None,
        f" ({_said(behind)})" if behind.records else "",
        _held_back(instance),
        _runs(instance, settings, [live_job.name, build_job.name], BUILDING, build_dbt_assets().keys),
    )
    return _result(decision, (live_job if built else build_job).name)


def freshness_tick(instance: dg.DagsterInstance, settings: Settings, _cursor: str | None) -> dg.SensorResult:
    """An idle mart is fresh. Dagster judges by the last materialization, so completeness is reported as one."""
    moment = get_current_timestamp()
    live, policy = (built_inputs(instance, tier) for tier in TIERS)
    marts = {tier: {key.to_user_string(): key for key in tier_keys(tier, GOLD)} for tier in TIERS}
    aged = {tier: ages(instance, marts[tier].values(), moment) for tier in TIERS}
    behind = read_marts_backlog(settings, policy.raw if policy else -1, live.raw if live else -1)
    decision = decide_policy(
        aged[POLICY],
        warn_after(settings, POLICY),
        None if live in (None, policy) else f"{_said(behind)} in the live models but not in the policy marts",
        _held_back(instance),
        # A live build does not count: it ends as soon as another build is queued.
        _runs(instance, settings, [policy_job.name], BUILDING - {live_job.name}, tier_keys(POLICY)),
    )
    # The lake and RAW are as fresh as the live marts have to be.
    assets = {**marts, INGESTION: {key.to_user_string(): key for key in (LAKE_EVENTS, RAW_EVENTS)}}
    aged[INGESTION] = ages(instance, assets[INGESTION].values(), moment)
    half = {stage: verify_after(settings, LIVE if stage == INGESTION else stage) for stage in assets}
    silent = any(verified_complete(aged[stage], half[stage], True) for stage in assets)
    complete = _complete(settings, instance) if silent else set()
    verified = [
        assets[stage][name]
        for stage in assets
        for name in verified_complete(aged[stage], half[stage], stage in complete)
    ]
    return _result(
        decision, policy_job.name, asset_events=[_verified(instance, key, moment) for key in verified], cursor=None
    )


def _complete(settings: Settings, instance: dg.DagsterInstance) -> set[str]:
    """What lacks no data: ingestion, if every record is in RAW, and each tier whose models are built from all of it."""
    try:
        offsets, kafka = read_kafka_backlog(settings)
    except BrokerUnreachableError:
        return set()
    if offsets.troubles:
        return set()
    now = current_inputs(instance)
    lake = read_lake_backlog(settings, now.raw)
    if kafka.unknown or lake.unknown or kafka.records or lake.records or read_files_backlog(settings).records:
        return set()
    return {INGESTION} | {tier for tier in TIERS if built_inputs(instance, tier) == now}


def _verified(instance: dg.DagsterInstance, key: dg.AssetKey, moment: float) -> dg.AssetMaterialization:
    """A materialization without a run. It keeps the figures of the one before, which still hold, and its data version,
    so that nothing downstream looks out of date; but not the lineage of the columns: that is most of its bytes, and
    this is reported all day."""
    event = instance.get_latest_materialization_event(key)
    before = event.asset_materialization if event else None
    figures = {name: value for name, value in (before.metadata if before else {}).items() if name != COLUMN_LINEAGE}
    version = ((before.tags if before else None) or {}).get(VERSION_TAG)
    at = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return dg.AssetMaterialization(
        key,
        description=f"Verified complete as of {at} UTC: there is no backlog, so nothing was built.",
        metadata={**figures, "verified_complete_as_of": dg.MetadataValue.timestamp(moment)},
        tags={VERSION_TAG: version} if version else None,
    )


def _said(stage: Backlog) -> str:
    return f"{stage.count} records (oldest {stage.seconds:.0f} s)"


def reference_tick(instance: dg.DagsterInstance, settings: Settings, _cursor: str | None) -> dg.SensorResult:
    """Compares each file with the one that was last loaded, so a load that failed is tried again."""
    paths = {name: settings.reference_root / f"{name}.csv" for name in REFERENCE_KEYS}
    found = {name: path for name, path in paths.items() if path.exists()}
    changed = [name for name, path in found.items() if _loaded_state(instance, name) != file_state(path)]
    if not changed:
        return dg.SensorResult(skip_reason=f"nothing to do: no new file in {settings.reference_root}")
    # A file that was just written may not be complete yet.
    if any(seconds_since(found[name].stat().st_mtime, get_current_timestamp()) < REST_SECONDS for name in changed):
        return dg.SensorResult(skip_reason=f"{', '.join(changed)}: still being written")
    runs = _runs(instance, settings, [reference_job.name], {reference_job.name}, REFERENCE_KEYS.values())
    if obstacle := runs.obstacle():
        return dg.SensorResult(skip_reason=f"{', '.join(changed)}: not loaded yet; {obstacle}")
    selection = [REFERENCE_KEYS[name] for name in changed]
    return dg.SensorResult(run_requests=[dg.RunRequest(job_name=reference_job.name, asset_selection=selection)])


def _loaded_state(instance: dg.DagsterInstance, name: str) -> str | None:
    """The state of the file that the table was last loaded from; None if it never was."""
    event = instance.get_latest_materialization_event(REFERENCE_KEYS[name])
    metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
    return str(metadata[FILE_STATE].value) if FILE_STATE in metadata else None


def quality_tick(instance: dg.DagsterInstance, settings: Settings, _cursor: str | None) -> dg.SensorResult:
    """Checks do not run without new data, as they would wake the warehouse, or before the models are first built.

    The check of the intake needs neither warehouse nor run: its result is reported here when it changes.
    """
    news = intake_news(instance, settings)
    now = str(current_inputs(instance))
    decision = Decision(False, "nothing to do: no model is built yet")
    if built_inputs(instance, LIVE) is not None:
        decision = decide_upkeep(
            now,
            last_run_input(instance, quality_job.name),
            seconds_since(last_run_requested_at(instance, quality_job.name), get_current_timestamp()),
            settings.quality_interval_seconds,
            in_flight=is_in_flight(instance, quality_job.name),
        )
    result = _result(decision, quality_job.name, {INPUT_TAG: now}, asset_events=news)
    # The first build waits for it too.
    again = _reconcile_again(instance, settings)
    if again.start:
        request = dg.RunRequest(job_name=reconciliation_job.name, tags={REASON_TAG: again.reason})
        return result._replace(run_requests=[*(result.run_requests or []), request], skip_reason=None)
    return result


def _reconcile_again(instance: dg.DagsterInstance, settings: Settings) -> Decision:
    passed, said = last_result(instance, CONSERVATION) or (True, None)
    said = said or "conservation failed"
    since = seconds_since(last_run_requested_at(instance, reconciliation_job.name), get_current_timestamp())
    return decide_reconciliation(
        None if passed and not said.startswith(NOT_RECONCILED) else said,
        since,
        settings.quality_interval_seconds,
        in_flight=is_in_flight(instance, reconciliation_job.name),
    )


#: Seconds for which a file must be unchanged before it is loaded.
REST_SECONDS = 2.0


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The platform's sensors for these settings."""

    def sensor(name: str, tick: Tick, seconds: int, description: str, *jobs: AssetJob) -> dg.SensorDefinition:
        @dg.sensor(
            name=name,
            jobs=jobs,
            minimum_interval_seconds=seconds,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=description,
        )
        def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
            return tick(_kept_instance(context), settings, context.cursor)

        return evaluate

    often, seldom = settings.sensor_interval_seconds, settings.freshness_interval_seconds
    return [
        sensor(
            "lag_sensor",
            lag_tick,
            often,
            "Starts ingestion when there is a backlog from Kafka or files to RAW, and reports the topics' offsets.",
            ingest_job,
        ),
        sensor(
            "reference_sensor",
            reference_tick,
            REFERENCE_TICKS * often,
            "Loads songs.csv, artists.csv or users.csv when the file changes.",
            reference_job,
        ),
        sensor(
            "live_sensor",
            live_tick,
            often,
            "Builds silver and the live marts when RAW or the reference data changed since the last build. "
            "The first build covers all models.",
            live_job,
            build_job,
        ),
        sensor(
            "freshness_sensor",
            freshness_tick,
            seldom,
            "Rebuilds the policy marts when one nears the end of its freshness window and there is new data. "
            "Reports what lacks no data as complete, without a run.",
            policy_job,
        ),
        sensor(
            "quality_sensor",
            quality_tick,
            seldom,
            "Runs the data checks when something was loaded since their last run, at most once per "
            "QUALITY_INTERVAL_SECONDS, and reconciliation again while it fails. Reports files of the intake that no "
            "batch will read.",
            quality_job,
            reconciliation_job,
        ),
    ]


def _kept_instance(context: dg.SensorEvaluationContext) -> dg.DagsterInstance:
    """Dagster's store, opened once per process: opening it reads its migrations, most of the cost of an idle tick."""
    ref = context.instance_ref
    if ref is None:
        return context.instance
    if not _kept or _kept[0][0] != ref:
        _kept[:] = [(ref, dg.DagsterInstance.from_ref(ref))]
    return _kept[0][1]


_kept: list[tuple[InstanceRef, dg.DagsterInstance]] = []
