"""Upkeep as Dagster ops: of the lake, of dbt's ledgers and files, and of Dagster's own store."""

from collections import Counter
from datetime import timedelta

import dagster as dg
from dagster_dbt import DbtCliResource
from dagster_pyspark import LazyPySparkResource
from dagster_snowflake import SnowflakeResource

from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.maintenance import maintain
from music_platform.orchestration._dagster import get_current_datetime, get_current_timestamp
from music_platform.orchestration.dbt_project import prune_targets
from music_platform.orchestration.event_log import (
    delete_run,
    prune_check_evaluations,
    prune_runless_events,
    remove_forgotten_shards,
)
from music_platform.orchestration.keys import LAKE_EVENTS
from music_platform.orchestration.resources import dbt_variables, sentences, spark_session, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings


@dg.op(pool="maintenance", out=dg.Out(dg.Nothing))
def keep_lake(
    context: dg.OpExecutionContext,
    spark: LazyPySparkResource,
    snowflake: SnowflakeResource,
    settings: dg.ResourceParam[Settings],
) -> None:
    """Compact the lake, delete replaced files, clean its log and the stage. Safe during a micro-batch."""
    name_process(context.instance, context.run_id)
    with sentences(), spark_session(spark, settings) as session:
        maintain(
            IngestionContext(
                settings,
                lambda: session,
                lambda: warehouse_session(snowflake, settings, context.run, LAKE_EVENTS),
                context.log.info,
            )
        )


@dg.op(pool="maintenance", ins={"after": dg.In(dg.Nothing)})
def prune_ledgers(context: dg.OpExecutionContext, dbt: DbtCliResource, settings: dg.ResourceParam[Settings]) -> None:
    """Delete rows of OPS ledgers that every model has used."""
    with dbt_variables(settings):
        dbt.cli(["run-operation", "prune_ledgers"], context=context).wait()


@dg.op(pool="maintenance")
def prune_store(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Delete what is past its retention: finished runs with their events and logs, events without a run, evaluations of
    checks, dbt's files. Dagster itself never does. Asks neither Spark nor the warehouse."""
    name_process(context.instance, context.run_id)
    prune_targets()
    context.log.info(prune_instance(context.instance, settings))


DAY = 86_400.0


def prune_instance(instance: dg.DagsterInstance, settings: Settings) -> str:
    """Delete what is past its retention; returns in words how much."""
    now = get_current_timestamp()
    runs = delete_surplus_runs(instance, settings.run_retention_count)
    while deleted := delete_old_runs(instance, settings.run_retention_days):
        runs += deleted
    evaluations = prune_check_evaluations(instance, now - settings.run_retention_days * DAY)
    events = prune_runless_events(instance, now - settings.event_retention_days * DAY)
    shards = remove_forgotten_shards(instance)
    return (
        f"deleted {runs:,} runs and {evaluations:,} evaluations of checks past their retention "
        f"({settings.run_retention_days} days, {settings.run_retention_count:,} runs of a job), {events:,} events "
        f"without a run older than {settings.event_retention_days:g} days, and the files of "
        f"{shards:,} runs that were deleted before"
    )


#: Runs of each job that stay however old they are, and runs that are read at a time.
KEPT_RUNS, READ_RUNS = 20, 2000
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(instance: dg.DagsterInstance, days: float) -> int:
    """Delete finished runs older than `days`, but the last `KEPT_RUNS` of each job; returns how many. The oldest
    `READ_RUNS` at most."""
    before = get_current_datetime() - timedelta(days=days)
    old = instance.get_run_records(
        dg.RunsFilter(statuses=_FINISHED, created_before=before), limit=READ_RUNS, ascending=True
    )
    jobs = {record.dagster_run.job_name for record in old}
    kept = {run.run_id for job in jobs for run in instance.get_runs(dg.RunsFilter(job_name=job), limit=KEPT_RUNS)}
    doomed = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in kept]
    for run_id in doomed:
        delete_run(instance, run_id)
    return len(doomed)


def delete_surplus_runs(instance: dg.DagsterInstance, count: int) -> int:
    """Delete all but the newest `count` successful runs of each job; returns how many.

    A job that runs all day would otherwise leave most of what the store holds: a run that follows the stream has the
    events of every build in it.
    """
    succeeded = [dg.DagsterRunStatus.SUCCESS]
    runs = Counter(run.job_name for run in instance.get_runs(dg.RunsFilter(statuses=succeeded)))
    doomed = [
        run_id
        for job, number in runs.items()
        if number > count
        for run_id in instance.get_run_ids(dg.RunsFilter(job_name=job, statuses=succeeded))[count:]
    ]
    for run_id in doomed:
        delete_run(instance, run_id)
    return len(doomed)


@dg.job(
    name="maintenance",
    executor_def=dg.in_process_executor,
    description="Compaction, vacuum and clean-up of lake, stage, intake and ledgers. Started by its schedule.",
)
def maintenance_job() -> None:
    """The lake first, the ledgers after it."""
    prune_ledgers(keep_lake())


@dg.job(
    name="pruning",
    executor_def=dg.in_process_executor,
    description="Deletes old runs, events and files of Dagster and dbt. Started by its schedule, also while nothing is "
    "loaded.",
)
def pruning_job() -> None:
    """Dagster's own store."""
    prune_store()
