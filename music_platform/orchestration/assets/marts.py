"""RAW → staging → silver → gold: dbt's models as assets, its tests as asset checks."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache, partial
from typing import Any

import dagster as dg
import pydantic
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets
from dagster_snowflake import SnowflakeResource

from music_platform.orchestration.assets.lineage import COLUMN_LINEAGE, ColumnLineage
from music_platform.orchestration.dbt_project import (
    dbt_manifest,
    dbt_project,
    project_digest,
    prune_targets,
    unbuilt_ancestors,
)
from music_platform.orchestration.freshness import LIVE, TIERS
from music_platform.orchestration.inputs import Inputs, built_inputs, current_inputs, inputs_of, note_inputs
from music_platform.orchestration.keys import OWNERS
from music_platform.orchestration.quality import BLOCKING, failed_checks
from music_platform.orchestration.resources import dbt_variables, sentences, warehouse_session
from music_platform.orchestration.runs import BUILDING, PROGRESS_TAG, name_process
from music_platform.orchestration.warm_dbt import NO_UNIT_TESTS, WarmDbt
from music_platform.settings import Settings
from music_platform.warehouse.notice import say_changed
from music_platform.warehouse.schema import literal

#: Seconds between two checks for new inputs.
POLL_SECONDS = 0.5
#: Runs that are queued.
WAITING = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])

#: Columns of the measure of latency that its materializations have as figures.
LATENCIES = ("lake_seconds_p95", "raw_seconds_p95", "marts_seconds_p50", "marts_seconds_p95")

#: Variable that holds the run's id for dbt's query tags (macros/query_tags.sql).
RUN_VARIABLE = "MUSIC_RUN_ID"
#: Asset in the query tag of the statements that count the models' rows.
ROW_COUNTS = dg.AssetKey("row_counts")


class MusicDbtTranslator(DagsterDbtTranslator):
    """Keys [schema, model], groups by schema, kinds, owners and tiers."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The spec of a dbt node."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        props = self.get_resource_props(manifest, unique_id)
        if props["resource_type"] == "source":
            return spec.replace_attributes(key=dg.AssetKey([props["source_name"], props["name"]]))
        layer = props["config"]["schema"]
        meta = props["config"].get("meta") or {}
        return spec.replace_attributes(
            key=dg.AssetKey([layer, props["name"]]),
            group_name=layer,
            kinds={"dbt", "snowflake", "view" if props["config"]["materialized"] == "view" else "table"},
            owners=OWNERS,
            tags={**spec.tags, **({"tier": meta["tier"]} if "tier" in meta else {})},
        )


class BuildConfig(dg.Config):
    """Options of a build in the launchpad, or in `--config-json` on the command line."""

    full_refresh: bool = pydantic.Field(
        default=False, description="Rebuild the selected models completely, from all of their inputs."
    )
    rebuild_from: str | None = pydantic.Field(
        default=None, description="First date, YYYY-MM-DD, to rebuild from RAW. Unset: only dates with changes."
    )
    rebuild_to: str | None = pydantic.Field(
        default=None, description="Last date to rebuild from RAW. Unset: the same as rebuild_from."
    )

    whole_tables: bool = pydantic.Field(
        default=False, description="Run the tests over whole tables, not only over the dates of the last build."
    )

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "BuildConfig":
        for name in ("rebuild_from", "rebuild_to"):
            if (value := getattr(self, name)) is not None:
                try:
                    date.fromisoformat(value)
                except ValueError:
                    raise ValueError(f"{name}: {value!r} is not a date; write it as 2026-06-30") from None
        if self.rebuild_to and not self.rebuild_from:
            raise ValueError("rebuild_to without rebuild_from: set the first date too")
        if self.rebuild_from and self.rebuild_to and self.rebuild_to < self.rebuild_from:
            raise ValueError(f"rebuild_to {self.rebuild_to} is before rebuild_from {self.rebuild_from}")
        if self.full_refresh and self.rebuild_from:
            raise ValueError("full_refresh rebuilds every date: leave out rebuild_from or full_refresh")
        return self

    def dbt_arguments(self) -> list[str]:
        """Arguments of `dbt build`."""
        dates = {"rebuild_from": self.rebuild_from, "rebuild_to": self.rebuild_to}
        given = {name: value for name, value in {**dates, "whole_tables": self.whole_tables}.items() if value}
        return [*(["--full-refresh"] if self.full_refresh else []), *(["--vars", json.dumps(given)] if given else [])]


@cache
def build_dbt_assets() -> dg.AssetsDefinition:
    """All models, as one op that builds any subset of them."""
    project = dbt_project()

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=MusicDbtTranslator(DagsterDbtTranslatorSettings(enable_code_references=True)),
        exclude="resource_type:unit_test",
        name="models",
        pool="build",
    )
    def models(
        context: dg.AssetExecutionContext,
        config: BuildConfig,
        dbt: DbtCliResource,
        snowflake: SnowflakeResource,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        name_process(context.instance, context.run_id)
        prune_targets()
        counts = warehouse_session(snowflake, settings, context.run, ROW_COUNTS, settings.snowflake_transform_role)
        with sentences(), dbt_variables(settings, **{RUN_VARIABLE: context.run_id}), counts as session:
            whole = [tier for tier in TIERS if tier_keys(tier) <= context.selected_asset_keys]
            if context.run.job_name == LIVE and LIVE in whole and not config.dbt_arguments():
                yield from _follow(context, settings, session)
                return
            inputs = inputs_of(context.instance, whole)
            if unbuilt := unbuilt_ancestors(dbt_manifest(), _unique_ids(context), partial(_existing_tables, session)):
                names = [_fqn(dbt_manifest(), node) for node in unbuilt]
                context.log.info(f"never built, and read by what was selected, so built first: {', '.join(names)}")
                # dagster-dbt reads one value after --select; dbt splits it.
                dbt.cli(["build", *NO_UNIT_TESTS, "--select", " ".join(names)], manifest=dbt_manifest()).wait()
            build = dbt.cli(["build", *NO_UNIT_TESTS, *config.dbt_arguments()], context=context)
            lineage = ColumnLineage(build.manifest, build.target_path)
            for event in build.stream():
                figured = _with_figures(event, lineage, lambda node: _row_counts(session, lineage, [node])[node])
                yield _with_latency(figured, session)
            note_inputs(context.instance, context.run_id, whole, inputs)
            say_changed(settings)

    return models


def _follow(context: dg.AssetExecutionContext, settings: Settings, session: Any) -> Iterator[Any]:
    """Build all live models repeatedly, while there are new inputs and for a limited time.

    The first build's events are the step's own. Those of later builds are logged as they arrive. If the project has
    changed since the last run, the first build also creates the views and loads the seeds, which builds leave alone.
    """
    digest, before = project_digest(), built_inputs(context.instance, LIVE)
    project, manifest = dbt_project(), dbt_manifest()
    target = project.manifest_path.parent / f"models-{context.run_id}"
    selected = set(_unique_ids(context))
    dbt = WarmDbt(project, [_fqn(manifest, node) for node in selected], target)
    also = [] if before and before.project == digest else _views_and_seeds(manifest)
    lineage, translator = ColumnLineage(manifest, target), MusicDbtTranslator()
    deadline, first = time.monotonic() + settings.max_drain_seconds, True
    while True:
        started, inputs = time.monotonic(), replace(current_inputs(context.instance), project=digest)
        build = dbt.build(also if first else ())
        events = [
            (event, is_own)
            for message in build.messages
            for is_own in [first and message.raw_event["data"]["node_info"]["unique_id"] in selected]
            for event in message.to_default_asset_events(
                manifest, translator, context if is_own else None, target, project
            )
        ]
        rows = _row_counts(session, lineage, [node for event, _ in events if (node := _materialized_node(event))])
        for event, is_own in events:
            described = _with_figures(event, lineage, rows.__getitem__)
            if is_own:
                yield described
            else:
                context.log_event(described)
        build.require_success()
        first = False
        note_inputs(context.instance, context.run_id, [LIVE], inputs)
        say_changed(settings)
        context.instance.add_run_tags(context.run_id, {PROGRESS_TAG: "true"})
        context.log.info(f"built from {inputs} in {time.monotonic() - started:.1f} s")
        if not _new_inputs_arrive(context.instance, inputs, settings.live_linger_seconds, deadline):
            return


def _new_inputs_arrive(instance: dg.DagsterInstance, built: Inputs, patience: float, deadline: float) -> bool:
    """Wait for new inputs, until the time is up or another build is queued. Whether there are any to build from.

    There are none while a blocking check fails, as it may since the run began. The sensor starts the next run when it
    has passed. Nor when the project has changed: this run has read the one before.
    """
    end = min(time.monotonic() + patience, deadline)
    while time.monotonic() < end:
        if any(run.job_name in BUILDING for run in instance.get_runs(WAITING)):
            return False
        if (now := current_inputs(instance)) != built:
            return now.project == built.project and not failed_checks(instance, BLOCKING)
        time.sleep(POLL_SECONDS)
    return False


def _materialized_node(event: Any) -> str | None:
    """dbt's name of the node that the event reports as materialized; None for other events."""
    if not isinstance(event, dg.Output | dg.AssetMaterialization):
        return None
    return _text((event.metadata or {})["unique_id"])


def _existing_tables(session: Any, schemas: Collection[str]) -> set[tuple[str, str]]:
    """Schema and name of every table and view in these schemas."""
    named = ", ".join(literal(schema.upper()) for schema in sorted(schemas))
    query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({named})"
    return {(schema, table) for schema, table in session.cursor().execute(query).fetchall()}


def _row_counts(session: Any, lineage: ColumnLineage, nodes: Collection[str]) -> dict[str, int]:
    """Rows in the tables of these nodes, counted in one statement."""
    if not nodes:
        return {}
    counts = (f"SELECT {literal(node)}, COUNT(*) FROM {lineage.table(node)}" for node in nodes)
    return {node: int(rows) for node, rows in session.cursor().execute(" UNION ALL ".join(counts)).fetchall()}


def _with_figures(event: Any, lineage: ColumnLineage, rows: Callable[[str], int]) -> Any:
    """A materialization with the current number of rows of its table, and the lineage of its columns."""
    node = _materialized_node(event)
    if node is None:
        return event
    metadata: dict[str, Any] = {**(event.metadata or {}), "dagster/row_count": rows(node)}
    sources = lineage.of(node)
    if sources is not None:
        metadata[COLUMN_LINEAGE] = sources
    return event.with_metadata(metadata)


def _with_latency(event: Any, session: Any) -> Any:
    """The materialization of the measure of latency with that of the newest batch, for the plots in the UI."""
    if (node := _materialized_node(event)) is None or node.split(".")[-1] != "pipeline_latency":
        return event
    query = f"SELECT {', '.join(LATENCIES)} FROM OPS.PIPELINE_LATENCY ORDER BY version DESC LIMIT 1"
    rows = session.cursor().execute(query).fetchall()
    figures = {
        name: float(value) for row in rows for name, value in zip(LATENCIES, row, strict=True) if value is not None
    }
    return event.with_metadata({**(event.metadata or {}), **figures})


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, dg.MetadataValue) else value)


def tier_keys(tier: str, layer: str | None = None) -> set[dg.AssetKey]:
    """Models of a tier, of one layer or of all. Views are left out: once created, they are always current."""
    return {
        spec.key
        for spec in build_dbt_assets().specs
        if spec.tags.get("tier") == tier and "view" not in spec.kinds and layer in (None, spec.group_name)
    }


def key_tests(keys: Collection[dg.AssetKey]) -> list[dg.AssetCheckKey]:
    """dbt's tests of these models that are cheap enough for every build. The others, tagged nightly, scan whole
    tables."""
    nodes = dbt_manifest()["nodes"]
    return [
        spec.key
        for spec in build_dbt_assets().check_specs
        if spec.asset_key in keys and "nightly" not in nodes[(spec.metadata or {})["dagster_dbt/unique_id"]]["tags"]
    ]


def _views_and_seeds(manifest: Mapping[str, Any]) -> list[str]:
    """Fully qualified names of the project's views and seeds."""
    return [
        _fqn(manifest, node)
        for node, props in manifest["nodes"].items()
        if props["resource_type"] == "seed"
        or (props["resource_type"] == "model" and props["config"]["materialized"] == "view")
    ]


def _fqn(manifest: Mapping[str, Any], node: str) -> str:
    return ".".join(manifest["nodes"][node]["fqn"])


def _unique_ids(context: dg.AssetExecutionContext) -> list[str]:
    """dbt's names of the models and tests that the run selected."""
    models = [spec for spec in context.assets_def.specs if spec.key in context.selected_asset_keys]
    tests = [spec for spec in context.assets_def.check_specs if spec.key in context.selected_asset_check_keys]
    return [str((spec.metadata or {})["dagster_dbt/unique_id"]) for spec in (*models, *tests)]
