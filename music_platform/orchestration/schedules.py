"""Schedules: what is done by the clock. But for pruning, none starts a run when nothing was loaded
since its last one."""

import dagster as dg

from music_platform.learning import is_installed
from music_platform.orchestration._dagster import UnresolvedAssetJobDefinition
from music_platform.orchestration.automation import decide_upkeep
from music_platform.orchestration.inputs import current_inputs
from music_platform.orchestration.jobs import learning_job, nightly_job, reconciliation_job
from music_platform.orchestration.runs import INPUT_TAG, is_in_flight, last_run_input
from music_platform.orchestration.upkeep import maintenance_job, pruning_job
from music_platform.settings import Settings


def _schedule(job: dg.JobDefinition | UnresolvedAssetJobDefinition, cron: str, what: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule=cron,
        name=f"{job.name}_schedule",
        description=f"{what} Skipped if nothing was loaded since the last run, or while one is in progress.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        execution_timezone="UTC",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return upkeep_tick(context.instance, job.name)

    return evaluate


def upkeep_tick(instance: dg.DagsterInstance, job: str) -> dg.RunRequest | dg.SkipReason:
    """Whether the job is to run now that it is due."""
    now = str(current_inputs(instance))
    decision = decide_upkeep(now, last_run_input(instance, job), in_flight=is_in_flight(instance, job))
    return dg.RunRequest(tags={INPUT_TAG: now}) if decision.start else dg.SkipReason(decision.reason)


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The platform's schedules for these settings."""
    return [
        _schedule(nightly_job, settings.nightly_schedule, "Tests whole tables and writes the quality report."),
        *(
            [_schedule(learning_job, settings.learning_schedule, "Learns from the streams of complete weeks.")]
            if is_installed()
            else []
        ),
        _schedule(reconciliation_job, settings.reconciliation_schedule, "Counts every partition from Kafka to RAW."),
        _schedule(maintenance_job, settings.maintenance_schedule, "Compacts the lake, cleans its log and the ledgers."),
        # An idle platform notes that it is idle: that is to be deleted too.
        dg.ScheduleDefinition(
            name="pruning_schedule",
            job=pruning_job,
            cron_schedule=settings.pruning_schedule,
            description="Deletes old runs, events and files of Dagster and dbt.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            execution_timezone="UTC",
        ),
    ]
