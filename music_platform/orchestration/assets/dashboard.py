"""The pages of the dashboard as the last assets of the graph: dbt's exposures. Nothing here is materialized."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from music_platform.orchestration.assets.marts import MusicDbtTranslator
from music_platform.orchestration.dbt_project import dbt_manifest, dbt_project
from music_platform.orchestration.keys import OWNERS
from music_platform.settings import Settings

DASHBOARD = "dashboard"


def build_pages(settings: Settings) -> list[dg.AssetSpec]:
    """A spec for each exposure of the dbt project, which depends on what the page reads."""
    manifest, translator = dbt_manifest(), MusicDbtTranslator()
    return [_page(exposure, manifest, translator, settings) for exposure in manifest["exposures"].values()]


def _page(
    exposure: Mapping[str, Any], manifest: Mapping[str, Any], translator: MusicDbtTranslator, settings: Settings
) -> dg.AssetSpec:
    page = exposure["name"].removeprefix(f"{DASHBOARD}_")
    read = [translator.get_asset_spec(manifest, node, dbt_project()).key for node in exposure["depends_on"]["nodes"]]
    return dg.AssetSpec(
        dg.AssetKey([DASHBOARD, page]),
        deps=read,
        group_name=DASHBOARD,
        kinds={"streamlit"},
        owners=OWNERS,
        description=exposure["description"],
        metadata={"page": dg.MetadataValue.url(f"{settings.dashboard_url}/{page}")},
    )
