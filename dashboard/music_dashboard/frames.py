"""Rows of the warehouse as data frames, with types that a chart understands."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd


def frame_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A frame. NUMBER arrives as Decimal, which a chart takes for a category: it becomes an integer or a float. Dates
    and times become datetime64."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pd.DataFrame({name: _series(values) for name, values in zip(names, columns, strict=True)})


def _series(values: Sequence[Any]) -> pd.Series:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | Decimal) and not isinstance(value, bool) for value in known):
        if all(value == int(value) for value in known):
            whole = [None if value is None else int(value) for value in values]
            return pd.Series(whole, dtype="Int64" if len(known) < len(values) else "int64")
        return pd.Series([None if value is None else float(value) for value in values], dtype="float64")
    if known and all(isinstance(value, float | int | Decimal) and not isinstance(value, bool) for value in known):
        return pd.Series([None if value is None else float(value) for value in values], dtype="float64")
    if known and all(isinstance(value, date | datetime) for value in known):
        return pd.Series(pd.to_datetime(pd.Series(list(values), dtype="object")))
    return pd.Series(list(values), dtype="object")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with plain values: None where there is none."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict(orient="records")
    ]
