"""Kafka → lake → RAW: one op that ingests micro-batch after micro-batch and loads each as soon as it is committed."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
import pydantic
from dagster_pyspark import LazyPySparkResource
from dagster_snowflake import SnowflakeResource

from music_platform.contracts import events
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.ingestion.rebuild import rebuild
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.lake.snapshot import Snapshot
from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.assets.markdown import markdown_table
from music_platform.orchestration.inputs import LOADED_AT, last_load
from music_platform.orchestration.keys import LAKE, LAKE_EVENTS, OWNERS, RAW, RAW_EVENTS, topic_key
from music_platform.orchestration.resources import sentences, spark_session, warehouse_session
from music_platform.orchestration.runs import PROGRESS_TAG, name_process
from music_platform.settings import Settings, get_settings
from music_platform.topics import topic_names
from music_platform.warehouse.loader import Loaded, loaded_version
from music_spark.job import MicroBatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Columns of the sample rows: where a row came from and what became of it, but nothing personal.
SAMPLE_COLUMNS = ("kafka_topic", "kafka_partition", "kafka_offset", "event_kind", "event_time", "quarantine_reason")
SAMPLE_ROWS = 5

lake_spec = dg.AssetSpec(
    LAKE_EVENTS,
    deps=[topic_key(name) for name in topic_names(get_settings())],
    group_name=LAKE,
    kinds={"spark", "deltalake"},
    owners=OWNERS,
    description="Every record of the topics, valid or quarantined, exactly once. A Delta table to which micro-batches "
    "append.",
    metadata={"dagster/column_schema": table_schema(events.lake_columns())},
)
raw_spec = dg.AssetSpec(
    RAW_EVENTS,
    deps=[LAKE_EVENTS],
    group_name=RAW,
    kinds={"snowflake"},
    owners=OWNERS,
    description="Every row of the lake, exactly once. Each version of the lake table is loaded in one transaction.",
    metadata={"dagster/column_schema": table_schema(events.raw_columns()), "dagster/table_name": "MUSIC.RAW.EVENTS"},
)


@dataclass
class Drained:
    """What an asset got in this run so far. Each step is a materialization of its own, logged as it comes: what is
    committed is known, whatever happens to the run afterwards."""

    key: dg.AssetKey
    totals: dict[str, float] = field(default_factory=dict)
    last_step: dict[str, Any] = field(default_factory=dict)

    def add(self, context: dg.AssetExecutionContext, step: dict[str, Any], version: int, **figures: float) -> None:
        """Report a step."""
        tags = {"dagster/data_version": str(version)}
        context.log_event(dg.AssetMaterialization(self.key, metadata=step, tags=tags))
        self.last_step = step
        for name, value in figures.items():
            self.totals[name] = self.totals.get(name, 0) + value

    def result(self, version: int, **metadata: Any) -> dg.MaterializeResult[Any]:
        """The run's result: its totals."""
        totals = {f"run_{name}": value for name, value in self.totals.items()}
        return dg.MaterializeResult(
            self.key,
            metadata={"lake_version": version, **totals, **metadata},
            data_version=dg.DataVersion(str(version)),
        )


class DrainConfig(dg.Config):
    """Options of ingestion in the launchpad."""

    rebuild_raw: bool = pydantic.Field(
        default=False,
        description="First rebuild RAW.EVENTS from the lake, if RAW was dropped or cannot be trusted.",
    )


@dg.multi_asset(name="drain", specs=[lake_spec, raw_spec], can_subset=True, pool="ingest")
def lake_and_raw(
    context: dg.AssetExecutionContext,
    config: DrainConfig,
    spark: LazyPySparkResource,
    snowflake: SnowflakeResource,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult[Any]]:
    """Write micro-batches to the lake and load lake versions into RAW until there is no backlog."""
    name_process(context.instance, context.run_id)
    with sentences(), ExitStack() as opened:
        # Opened only if there is something to read: an idle run needs no Spark.
        session = cache(lambda: opened.enter_context(spark_session(spark, settings)))
        yield from _drain(context, config, session, snowflake, settings)


def _drain(
    context: dg.AssetExecutionContext,
    config: DrainConfig,
    spark: Callable[[], "SparkSession"],
    snowflake: SnowflakeResource,
    settings: Settings,
) -> Iterator[dg.MaterializeResult[Any]]:
    to_lake, to_raw = LAKE_EVENTS in context.selected_asset_keys, RAW_EVENTS in context.selected_asset_keys
    table = DeltaTable(events_path(settings.lake_root))
    lake, raw = Drained(LAKE_EVENTS), Drained(RAW_EVENTS)
    ingestion = IngestionContext(
        settings,
        spark=spark,
        warehouse=lambda: warehouse_session(snowflake, settings, context.run, RAW_EVENTS),
        log=context.log.info,
        last_load=last_load(context.instance),
    )
    if config.rebuild_raw:
        rebuilt = rebuild(ingestion)
        raw.add(context, _rebuilt_metadata(rebuilt), rebuilt.version, rows=rebuilt.rows, files=len(rebuilt.files))
    for step in drain(ingestion, to_lake=to_lake, to_raw=to_raw):
        if isinstance(step, MicroBatch):
            version = table.latest_version()
            lake.add(context, _lake_metadata(step, version), version, rows=step.records, seconds=step.seconds)
        else:
            if not raw.totals:
                context.instance.add_run_tags(context.run_id, {PROGRESS_TAG: "true"})
            raw.add(context, _raw_metadata(step), step.version, rows=step.rows, files=step.files)
    if to_lake:
        yield lake.result(table.latest_version())
    if to_raw:
        with warehouse_session(snowflake, settings, context.run, RAW_EVENTS) as session:
            result = raw.result(
                loaded_version(session), sample=_sample(session), **_loaded_at(raw, ingestion.last_load)
            )
        yield result


def _lake_metadata(batch: MicroBatch, version: int) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": batch.records,
        "micro_batch": batch.number,
        "seconds": round(batch.seconds, 2),
        "lake_version": version,
        "end_offsets": dg.MetadataValue.json(batch.end_offsets),
    }


def _loaded_at(raw: Drained, before: float | None) -> dict[str, Any]:
    """When RAW was last loaded: by this run, else `before` it. The next run reads it from the run's result."""
    if LOADED_AT in raw.last_step:
        return {LOADED_AT: raw.last_step[LOADED_AT]}
    return {LOADED_AT: dg.MetadataValue.timestamp(before)} if before else {}


def _rebuilt_metadata(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": snapshot.rows,
        "files": len(snapshot.files),
        "lake_version": snapshot.version,
        "rebuilt": True,
        LOADED_AT: dg.MetadataValue.timestamp(time.time()),
    }


def _raw_metadata(loaded: Loaded) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": loaded.rows,
        "files": loaded.files,
        "stage_seconds": round(loaded.stage_seconds, 2),
        "copy_seconds": round(loaded.copy_seconds, 2),
        "lake_version": loaded.version,
        LOADED_AT: dg.MetadataValue.timestamp(time.time()),
    }


def _sample(session: Any) -> dg.MetadataValue:
    names = ", ".join(SAMPLE_COLUMNS)
    newest = "(SELECT MAX(batch_id) FROM RAW.EVENTS)"
    rows = (
        session.cursor()
        .execute(f"SELECT {names} FROM RAW.EVENTS WHERE batch_id = {newest} LIMIT {SAMPLE_ROWS}")
        .fetchall()
    )
    return dg.MetadataValue.md(markdown_table(SAMPLE_COLUMNS, rows))
