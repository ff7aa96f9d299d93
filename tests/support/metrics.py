"""Queries of the project's metrics, through MetricFlow, on a test's database."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dbt.contracts.graph.semantic_manifest import SemanticManifest as DbtSemanticManifest
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.snowflake import SnowflakeSqlPlanRenderer
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from tests.support.warehouse import Rows, TestWarehouse, manifest


class _Dialect:
    """What MetricFlow asks of a client to write SQL for it."""

    sql_engine_type = SqlEngine.SNOWFLAKE
    sql_plan_renderer = SnowflakeSqlPlanRenderer()


@cache
def _engine() -> tuple[MetricFlowEngine, tuple[str, ...]]:
    """MetricFlow on the project's semantic models, and the names of its metrics."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "semantic_manifest.json"
        DbtSemanticManifest(manifest()).write_json_to_file(str(file))
        parsed = parse_manifest_from_dbt_generated_manifest(file.read_text())
    engine = MetricFlowEngine(SemanticManifestLookup(parsed), _Dialect())  # type: ignore[arg-type]
    return engine, tuple(metric.name for metric in parsed.metrics)


def metric_names() -> tuple[str, ...]:
    """All metrics of the project."""
    return _engine()[1]


def query(warehouse: TestWarehouse, metrics: list[str], by: list[str] | None = None, **options: Any) -> Rows:
    """Rows of the metrics, by these dimensions."""
    request = MetricFlowQueryRequest.create(metric_names=metrics, group_by_names=by, **options)
    return warehouse.query(_engine()[0].explain(request).sql_statement.sql)
