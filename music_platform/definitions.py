"""The Dagster code location. `build_defs` is its only entry point; it combines what the other modules define."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from music_platform.orchestration import checks, jobs, schedules, sensors
from music_platform.orchestration.assets import dashboard, kafka, learned, ledgers, marts, raw, reference, report
from music_platform.orchestration.assets.links import with_links
from music_platform.orchestration.freshness import freshness_policy
from music_platform.orchestration.keys import GOLD
from music_platform.orchestration.resources import build_resources
from music_platform.settings import Settings, get_settings


def build_defs(settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The platform's definitions for `settings` (default: this process's), with some resources replaced."""
    settings = settings or get_settings()
    return dg.Definitions(
        assets=with_links(
            [
                kafka.build_topics(settings),
                raw.build_lake_and_raw(settings),
                *reference.build_reference_assets(settings),
                ledgers.build_ledgers(settings),
                report.quality_report,
                *learned.build_learned_assets(settings),
                with_freshness(marts.build_dbt_assets(), settings),
                dashboard.build_pages(settings),
            ]
        ),
        asset_checks=checks.asset_checks,
        jobs=jobs.jobs,
        sensors=sensors.build_sensors(settings),
        schedules=schedules.build_schedules(settings),
        resources={**build_resources(settings), **(resource_overrides or {})},
        # A process per step costs seconds and gains nothing: Spark, Kafka and the warehouse do the work.
        executor=dg.in_process_executor,
    )


def with_freshness(models: dg.AssetsDefinition, settings: Settings) -> dg.AssetsDefinition:
    """The models, each mart with the freshness policy of its tier."""

    def policed(spec: dg.AssetSpec) -> dg.AssetSpec:
        # A view is always current, so it has no freshness.
        if spec.group_name != GOLD or "view" in spec.kinds:
            return spec
        return spec.replace_attributes(freshness_policy=freshness_policy(settings, spec.tags["tier"]))

    return models.map_asset_specs(policed)


defs = build_defs()
