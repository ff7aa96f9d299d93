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
from music_platform.ingestion.backlog import built_version
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import drain
from music_platform.ingestion.rebuild import rebuild
from music_platform.lake.delta_log import DeltaLogError, DeltaTable
from music_platform.lake.paths import events_path
from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.assets.markdown import markdown_table
from music_platform.orchestration.freshness import LIVE, freshness_policy
from music_platform.orchestration.inputs import LOADED_AT, ROW_COUNT, built_inputs, is_put_back, last_load
from music_platform.orchestration.keys import LAKE, LAKE_EVENTS, OWNERS, RAW, RAW_EVENTS, topic_key
from music_platform.orchestration.resources import sentences, spark_session, warehouse_session
from music_platform.orchestration.runs import PROGRESS_TAG, name_process
from music_platform.settings import Settings
from music_platform.topics import topic_names
from music_platform.warehouse.loader import Loaded, loaded_version
from music_platform.warehouse.schema import RAW_EVENTS as TABLE
from music_spark.job import MicroBatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Columns of the sample rows: where a row came from and what became of it, but nothing personal.
SAMPLE_COLUMNS = ("kafka_topic", "kafka_partition", "kafka_offset", "event_kind", "event_time", "quarantine_reason")
SAMPLE_ROWS = 5


@dataclass
class Drained:
    """What an asset got in this run so far. Each step is a materialization of its own, logged as it comes: what is
    committed is known, whatever happens to the run afterwards."""

    key: dg.AssetKey
    totals: dict[str, float] = field(default_factory=dict)
    last_step: dict[str, Any] = field(default_factory=dict)

    def add(self, context: dg.AssetExecutionContext, version: int, step: dict[str, Any], **figures: float) -> None:
        """Report a step up to a version of the lake. The UI plots its figures over time."""
        tags = {"dagster/data_version": str(version)}
        self.last_step = {**figures, "lake_version": version, **step}
        context.log_event(dg.AssetMaterialization(self.key, metadata=self.last_step, tags=tags))
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


def build_lake_and_raw(settings: Settings) -> dg.AssetsDefinition:
    """The lake and RAW of these settings, as one op."""
    lake_spec = dg.AssetSpec(
        LAKE_EVENTS,
        deps=[topic_key(name) for name in topic_names(settings)],
        group_name=LAKE,
        kinds={"spark", "deltalake"},
        owners=OWNERS,
        description="Every record of the topics, valid or quarantined, exactly once. A Delta table to which "
        "micro-batches append.",
        metadata={
            "dagster/column_schema": table_schema(events.lake_columns()),
            "dagster/uri": events_path(settings.lake_root),
        },
        freshness_policy=freshness_policy(settings, LIVE),
    )
    raw_spec = dg.AssetSpec(
        RAW_EVENTS,
        deps=[LAKE_EVENTS],
        group_name=RAW,
        kinds={"snowflake"},
        owners=OWNERS,
        description="Every row of the lake, exactly once. All versions that wait are loaded in one transaction.",
        metadata={
            "dagster/column_schema": table_schema(events.raw_columns()),
            "dagster/table_name": f"{settings.snowflake_database}.{TABLE}",
        },
        freshness_policy=freshness_policy(settings, LIVE),
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

    return lake_and_raw


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
        step_metadata = {"rebuilt": True, **_loaded_now()}
        raw.add(context, rebuilt.version, step_metadata, rows=rebuilt.rows, files=len(rebuilt.files))
    ended = table.latest_version()
    for step in drain(ingestion, to_lake=to_lake, to_raw=to_raw):
        if isinstance(step, MicroBatch):
            before, ended = ended, table.latest_version()
            figures = {"rows": step.records, "bytes": _bytes(table, before, ended), "seconds": round(step.seconds, 2)}
            lake.add(context, ended, _batch(step), **figures)
        else:
            if not raw.totals:
                context.instance.add_run_tags(context.run_id, {PROGRESS_TAG: "true"})
            raw.add(context, step.version, _loaded_now(), **_load_figures(step))
    ended = table.latest_version()
    if not to_raw:
        yield lake.result(ended)
        return
    # What was noted before the ledger is read is in the ledger.
    noted = built_inputs(context.instance, LIVE)
    with warehouse_session(snowflake, settings, context.run, RAW_EVENTS) as session:
        loaded = loaded_version(session)
        rows, sample = _contents(session)
        older = is_put_back(noted, built_version(session))
    if older:
        context.log.info("the warehouse is older than what was built: the models are built again from what it has")
    if to_lake:
        # Each row of the lake is in RAW exactly once, if RAW is as recent.
        yield lake.result(ended, **({ROW_COUNT: rows} if loaded == ended else {}))
    loaded_at = _loaded_now() if older else _loaded_at(raw, ingestion.last_load)
    yield raw.result(loaded, sample=sample, **{ROW_COUNT: rows}, **loaded_at)


def _bytes(table: DeltaTable, before: int, ended: int) -> int:
    """Bytes that the versions after `before` added; 0 where one is no plain append, which is the loader's to say."""
    try:
        return sum(version.bytes for version in table.retained_after(before, ended))
    except DeltaLogError:
        return 0


def _batch(batch: MicroBatch) -> dict[str, Any]:
    return {"micro_batch": batch.number, "end_offsets": dg.MetadataValue.json(batch.end_offsets)}


def _load_figures(loaded: Loaded) -> dict[str, float]:
    return {
        "rows": loaded.rows,
        "versions": loaded.versions,
        "files": loaded.files,
        "bytes": loaded.bytes,
        "stage_seconds": round(loaded.stage_seconds, 2),
        "copy_seconds": round(loaded.copy_seconds, 2),
    }


def _loaded_now() -> dict[str, Any]:
    return {LOADED_AT: dg.MetadataValue.timestamp(time.time())}


def _loaded_at(raw: Drained, before: float | None) -> dict[str, Any]:
    """When RAW was last loaded: by this run, else `before` it. The next run reads it from the run's result."""
    if LOADED_AT in raw.last_step:
        return {LOADED_AT: raw.last_step[LOADED_AT]}
    return {LOADED_AT: dg.MetadataValue.timestamp(before)} if before else {}


def _contents(session: Any) -> tuple[int, dg.MetadataValue]:
    """Rows in RAW, and some of the newest batch."""
    ((rows, newest),) = session.cursor().execute("SELECT COUNT(*), MAX(batch_id) FROM RAW.EVENTS").fetchall()
    found = []
    if newest is not None:
        # With the number in the statement the warehouse reads that batch's partitions only.
        names = ", ".join(SAMPLE_COLUMNS)
        statement = f"SELECT {names} FROM RAW.EVENTS WHERE batch_id = {int(newest)} LIMIT {SAMPLE_ROWS}"
        found = session.cursor().execute(statement).fetchall()
    return int(rows), dg.MetadataValue.md(markdown_table(SAMPLE_COLUMNS, found))
