"""Column schemas for the UI, from the contracts."""

from collections.abc import Iterable

import dagster as dg

from music_platform.contracts.events import Column, Privacy


def table_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """The columns as Dagster shows them, with personal and pseudonymous ones tagged."""
    return dg.TableSchema(columns=[_column(column) for column in columns])


def _column(column: Column) -> dg.TableColumn:
    tags = None if column.privacy is Privacy.OPEN else {str(column.privacy): ""}
    return dg.TableColumn(column.column, column.sql_type.value, column.description, tags=tags)
