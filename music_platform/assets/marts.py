"""RAW → staging → silver → gold: dbt's models as assets, its tests as asset checks."""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pydantic
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from dagster_snowflake import SnowflakeResource

from music_platform.assets.keys import OWNERS
from music_platform.assets.lineage import ColumnLineage
from music_platform.dbt import dbt_project
from music_platform.freshness import TIERS
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
            kinds={"dbt", "snowflake", "view" if props["config"]["materialized"] == "view" else "table"},
            owners=OWNERS,
            tags={**spec.tags, **({"tier": meta["tier"]} if "tier" in meta else {})},
        )


class BuildConfig(dg.Config):
    """What a person can ask of a build in the launchpad, or in `--config-json` of the command line."""

    full_refresh: bool = pydantic.Field(
        default=False, description="Make the selected models anew, from everything below them."
    )
    rebuild_from: str | None = pydantic.Field(
        default=None, description="First date, YYYY-MM-DD, whose events are taken from RAW anew."
    )
    rebuild_to: str | None = pydantic.Field(
        default=None, description="Last such date; the first one where it is unset."
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
            raise ValueError("rebuild_to without rebuild_from: name the first date too")
        if self.rebuild_from and self.rebuild_to and self.rebuild_to < self.rebuild_from:
            raise ValueError(f"rebuild_to {self.rebuild_to} is before rebuild_from {self.rebuild_from}")
        if self.full_refresh and self.rebuild_from:
            raise ValueError("full_refresh makes every date anew: leave rebuild_from out, or full_refresh")
        return self

    def dbt_arguments(self) -> list[str]:
        """Arguments of `dbt build`."""
        dates = {"rebuild_from": self.rebuild_from, "rebuild_to": self.rebuild_to}
        given = {name: value for name, value in dates.items() if value}
        return [*(["--full-refresh"] if self.full_refresh else []), *(["--vars", json.dumps(given)] if given else [])]


@cache
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
        config: BuildConfig,
        dbt: DbtCliResource,
        snowflake: SnowflakeResource,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        name_process(context.instance, context.run_id)
        whole = [tier for tier in TIERS if tier_keys(tier) <= context.selected_asset_keys]
        note_inputs(context.instance, context.run_id, whole)
        prune_targets(Path(dbt.project_dir) / "target")
        with sentences(), warehouse_session(snowflake, settings, context.run) as session:
            build = dbt.cli(["build", *config.dbt_arguments()], context=context)
            lineage = ColumnLineage(build.manifest, build.target_path)
            for event in build.stream():
                yield _with_figures(event, session, lineage)

    return models


def _with_figures(event: Any, session: Any, lineage: ColumnLineage) -> Any:
    """A materialization with the number of rows that its table has now, and the lineage of its columns."""
    if not isinstance(event, dg.Output | dg.AssetMaterialization):
        return event
    metadata: dict[str, Any] = dict(event.metadata or {})
    relation = metadata.get("dagster/table_name")
    if relation is not None:
        (rows,) = session.cursor().execute(f"SELECT COUNT(*) FROM {_text(relation)}").fetchone()
        metadata["dagster/row_count"] = int(rows)
    sources = lineage.of(_text(metadata["unique_id"]))
    if sources is not None:
        metadata["dagster/column_lineage"] = sources
    return event.with_metadata(metadata)


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, dg.MetadataValue) else value)


def tier_keys(tier: str, layer: str | None = None) -> set[dg.AssetKey]:
    """Models of a tier, of one layer or of all. Views are left out: they are made once and show what is there."""
    return {
        spec.key
        for spec in build_dbt_assets().specs
        if spec.tags.get("tier") == tier and "view" not in spec.kinds and layer in (None, spec.group_name)
    }


def key_tests(keys: Collection[dg.AssetKey]) -> list[dg.AssetCheckKey]:
    """dbt's tests of these models that are cheap enough for every build; the others, tagged nightly, go over whole
    tables."""
    nodes = json.loads(dbt_project().manifest_path.read_bytes())["nodes"]
    return [
        spec.key
        for spec in build_dbt_assets().check_specs
        if spec.asset_key in keys and "nightly" not in nodes[(spec.metadata or {})["dagster_dbt/unique_id"]]["tags"]
    ]


def prune_targets(target: Path) -> None:
    """Remove all but the newest folders that dagster-dbt made for its invocations."""
    runs = [path for path in target.glob("models-*") if path.is_dir()]
    for old in sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_TARGETS:]:
        shutil.rmtree(old, ignore_errors=True)
