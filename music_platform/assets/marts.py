"""RAW → staging → silver → gold: dbt's models as assets, its tests as asset checks."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from dagster_snowflake import SnowflakeResource

from music_platform.assets.keys import OWNERS
from music_platform.dbt import dbt_project
from music_platform.inputs import note_inputs
from music_platform.resources import sentences, warehouse_session
from music_platform.runs import name_process
from music_platform.settings import Settings

#: Folders with what dbt compiled and logged that are kept, newest first.
KEPT_TARGETS = 20


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
            kinds={"dbt", "snowflake"},
            owners=OWNERS,
            tags={**spec.tags, **({"tier": meta["tier"]} if "tier" in meta else {})},
        )


def build_dbt_assets() -> dg.AssetsDefinition:
    """All models, as one op that builds any subset of them."""
    project = dbt_project()

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=MusicDbtTranslator(),
        # dbt's unit tests need no data: they run with the tests of the project, not with every build.
        exclude="resource_type:unit_test",
        name="models",
        pool="build",
    )
    def models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        snowflake: SnowflakeResource,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        name_process(context.instance, context.run_id)
        if context.selected_asset_keys >= set(context.assets_def.keys_by_output_name.values()):
            note_inputs(context.instance, context.run_id)
        prune_targets(Path(dbt.project_dir) / "target")
        with sentences(), warehouse_session(snowflake, settings, context.run) as session:
            for event in dbt.cli(["build"], context=context).stream():
                yield _with_row_count(event, session)

    return models


def _with_row_count(event: Any, session: Any) -> Any:
    """A materialization with the number of rows that its table has now."""
    if not isinstance(event, dg.Output | dg.AssetMaterialization):
        return event
    relation = (event.metadata or {}).get("dagster/table_name")
    if relation is None:
        return event
    name = relation.value if isinstance(relation, dg.MetadataValue) else relation
    (rows,) = session.cursor().execute(f"SELECT COUNT(*) FROM {name}").fetchone()
    return event.with_metadata({**event.metadata, "dagster/row_count": int(rows)})


def prune_targets(target: Path) -> None:
    """Remove all but the newest folders that dagster-dbt made for its invocations."""
    runs = [path for path in target.glob("models-*") if path.is_dir()]
    for old in sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_TARGETS:]:
        shutil.rmtree(old, ignore_errors=True)
