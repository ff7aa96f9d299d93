"""The ledgers in OPS as external assets. The loader and the builds write them."""

import dagster as dg

from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.keys import OPS, OWNERS, RAW_EVENTS
from music_platform.warehouse.schema import BUILDS, LOADS, OPS_TABLES

#: Ledger → the assets whose runs write it.
_WRITTEN_WITH = {LOADS: [RAW_EVENTS], BUILDS: [dg.AssetKey(["silver", "events"])]}


def ledger_specs() -> list[dg.AssetSpec]:
    """One external asset per ledger that a model reads."""
    return [
        dg.AssetSpec(
            dg.AssetKey([OPS, table.split(".")[1].lower()]),
            deps=deps,
            group_name=OPS,
            kinds={"snowflake"},
            owners=OWNERS,
            description=OPS_TABLES[table][0],
            metadata={"dagster/column_schema": table_schema(OPS_TABLES[table][1])},
        )
        for table, deps in _WRITTEN_WITH.items()
    ]
