"""Column schemas for the UI, from the contracts."""

from collections.abc import Iterable

import dagster as dg

from music_platform.contracts.events import Column


def table_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """The columns as Dagster shows them, with personal ones tagged."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(c.column, c.sql_type.value, c.description, tags={"personal": ""} if c.personal else None)
            for c in columns
        ]
    )
