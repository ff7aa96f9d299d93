"""Reference data: songs, artists and users from their CSVs into RAW."""

import time
from pathlib import Path

import dagster as dg
from dagster_snowflake import SnowflakeResource

from music_platform.contracts.reference import TABLES, ReferenceTable
from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.keys import OWNERS, RAW, REFERENCE_KEYS
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.settings import Settings
from music_platform.warehouse.reference_tables import load_reference

#: Metadata of a load: the state of the file that it loaded.
FILE_STATE = "file_state"


def file_state(path: Path) -> str:
    """Size and time of a file, which tell whether it has changed."""
    found = path.stat()
    return f"{found.st_size} bytes, {found.st_mtime_ns} ns"


def _reference_asset(table: ReferenceTable, database: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=REFERENCE_KEYS[table.name],
        group_name=RAW,
        kinds={"csv", "snowflake"},
        owners=OWNERS,
        description=f"{table.description} Replaced from {table.name}.csv in the folder REFERENCE_DIR.",
        metadata={
            "dagster/column_schema": table_schema(table.columns),
            "dagster/table_name": f"{database}.RAW.{table.name.upper()}",
        },
    )
    def load_table(
        context: dg.AssetExecutionContext, snowflake: SnowflakeResource, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult[None]:
        path = settings.reference_root / f"{table.name}.csv"
        if not path.exists():
            context.log.warning(
                f"{path} does not exist, so RAW.{table.name.upper()} is unchanged. `music-platform simulate` writes it."
            )
            return dg.MaterializeResult(metadata={"file": str(path), "found": False})
        # Before it is read: a file that changes meanwhile is loaded again.
        started, state, size = time.monotonic(), file_state(path), path.stat().st_size
        with sentences(), warehouse_session(snowflake, settings, context.run, REFERENCE_KEYS[table.name]) as session:
            loaded = load_reference(session, table, path)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": loaded.rows,
                "file": str(path),
                "bytes": size,
                FILE_STATE: state,
                "sha256": loaded.sha256,
                "seconds": round(time.monotonic() - started, 2),
            },
            data_version=dg.DataVersion(loaded.sha256[:16]),
        )

    return load_table


def build_reference_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset per reference table."""
    return [_reference_asset(table, settings.snowflake_database) for table in TABLES]
