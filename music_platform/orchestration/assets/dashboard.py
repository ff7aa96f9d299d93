"""The pages of the dashboard as the last assets of the graph: dbt's exposures of that type.

What a page shows of what is learned is in the exposure's meta, because no dbt model makes it.

They can be materialized so that every selection can be: it tells the pages that are open to look again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from music_platform.learning import is_installed
from music_platform.orchestration.assets.marts import MusicDbtTranslator
from music_platform.orchestration.dbt_project import dbt_manifest, dbt_project
from music_platform.orchestration.keys import ML, OWNERS
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.notice import say_changed

DASHBOARD = "dashboard"


def build_pages(settings: Settings) -> dg.AssetsDefinition:
    """The pages, as one op that tells them that something may have changed."""
    exposures = dbt_manifest()["exposures"].values()
    specs = [_page(exposure, settings) for exposure in exposures if exposure["type"] == DASHBOARD]

    @dg.multi_asset(name="dashboard_pages", specs=specs, can_subset=True)
    def pages(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[None]]:
        name_process(context.instance, context.run_id)
        say_changed(settings)
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key, metadata={"page": _link(key, settings)})

    return pages


def _page(exposure: Mapping[str, Any], settings: Settings) -> dg.AssetSpec:
    translator = MusicDbtTranslator()
    nodes = exposure["depends_on"]["nodes"]
    learned = exposure["config"]["meta"].get("learned", ()) if is_installed() else ()
    key = dg.AssetKey([DASHBOARD, exposure["name"].removeprefix(f"{DASHBOARD}_")])
    return dg.AssetSpec(
        key,
        deps=[
            *(translator.get_asset_spec(dbt_manifest(), node, dbt_project()).key for node in nodes),
            *(dg.AssetKey([ML, model]) for model in learned),
        ],
        group_name=DASHBOARD,
        kinds={"streamlit"},
        owners=OWNERS,
        description=exposure["description"],
        metadata={"page": _link(key, settings)},
    )


def _link(key: dg.AssetKey, settings: Settings) -> dg.UrlMetadataValue:
    return dg.MetadataValue.url(f"{settings.dashboard_url}/{key.path[-1]}")
