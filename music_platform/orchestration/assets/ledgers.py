"""The ledgers in OPS as assets. The loader and the builds write them: materializing one counts its rows.

They can be materialized so that every selection can be: `group:ops`, or the lake and everything downstream of it.
"""

from collections.abc import Iterator

import dagster as dg
from dagster_snowflake import SnowflakeResource

from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.keys import BUILDS_LEDGER, LOADS_LEDGER, OPS, OWNERS, RAW_EVENTS
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.connection import rows_of
from music_platform.warehouse.schema import BUILDS, LOADS, OPS_TABLES

_TABLES = {LOADS_LEDGER: LOADS, BUILDS_LEDGER: BUILDS}

#: Each build reads the ledger of builds and writes to it, so it is upstream of the models that read it and downstream
#: of nothing: a graph has no loops.
_DEPS: dict[dg.AssetKey, list[dg.AssetKey]] = {LOADS_LEDGER: [RAW_EVENTS], BUILDS_LEDGER: []}


def build_ledgers(settings: Settings) -> dg.AssetsDefinition:
    """The ledgers that a model reads, as one op that counts the rows of any of them."""
    specs = [
        dg.AssetSpec(
            key,
            deps=_DEPS[key],
            group_name=OPS,
            kinds={"snowflake"},
            owners=OWNERS,
            description=f"{OPS_TABLES[table][0]} Loads and builds write it; materializing it counts its rows.",
            metadata={
                "dagster/column_schema": table_schema(OPS_TABLES[table][1]),
                "dagster/table_name": f"{settings.snowflake_database}.{table}",
            },
        )
        for key, table in _TABLES.items()
    ]

    @dg.multi_asset(name="ledgers", specs=specs, can_subset=True)
    def ledgers(
        context: dg.AssetExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[None]]:
        name_process(context.instance, context.run_id)
        with sentences(), warehouse_session(snowflake, settings, context.run, dg.AssetKey(OPS)) as session:
            for key, table in _TABLES.items():
                if key in context.selected_asset_keys:
                    ((rows,),) = rows_of(session, f"SELECT COUNT(*) FROM {table}")
                    yield dg.MaterializeResult(asset_key=key, metadata={"dagster/row_count": int(rows)})

    return ledgers
