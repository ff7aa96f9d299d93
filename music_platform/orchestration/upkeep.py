"""Maintenance as Dagster ops: of the lake, of dbt's ledgers and of Dagster's own runs."""

from datetime import timedelta

import dagster as dg
from dagster_dbt import DbtCliResource
from dagster_pyspark import LazyPySparkResource
from dagster_snowflake import SnowflakeResource

from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.maintenance import maintain
from music_platform.orchestration._dagster import get_current_datetime
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


#: Latest runs of each job that are kept at any age, and maximum runs deleted at a time.
KEPT_RUNS, DELETED_RUNS = 20, 2000
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.op(pool="maintenance", ins={"after": dg.In(dg.Nothing)})
def prune_runs(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Delete finished runs past their retention, with their events and logs. Dagster itself never does."""
    deleted = delete_old_runs(context.instance, settings.run_retention_days)
    context.log.info(f"deleted {deleted:,} runs older than {settings.run_retention_days} days")


def delete_old_runs(instance: dg.DagsterInstance, days: float) -> int:
    """Delete finished runs older than `days`, except the last `KEPT_RUNS` of each job; returns how many."""
    before = get_current_datetime() - timedelta(days=days)
    old = instance.get_run_records(
        dg.RunsFilter(statuses=_FINISHED, created_before=before), limit=DELETED_RUNS, ascending=True
    )
    jobs = {record.dagster_run.job_name for record in old}
    kept = {run.run_id for job in jobs for run in instance.get_runs(dg.RunsFilter(job_name=job), limit=KEPT_RUNS)}
    doomed = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in kept]
    for run_id in doomed:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(doomed)


@dg.job(
    name="maintenance",
    executor_def=dg.in_process_executor,
    description="Compacts and vacuums the lake, and cleans the stage, the ledgers and old runs. Started by its "
    "schedule.",
)
def maintenance_job() -> None:
    """Maintain the lake first, then the rest."""
    done = keep_lake()
    prune_ledgers(done)
    prune_runs(done)
