"""Types of the warehouse's values: Vega takes a Decimal for a category and draws nonsense."""

from datetime import date, datetime
from decimal import Decimal

import pandas as pd

from music_dashboard.frames import frame_of, records


def test_numbers_are_numbers_and_dates_are_times() -> None:
    frame = frame_of(
        ["n", "some", "share", "day", "at", "text", "flag"],
        [
            (Decimal(1), None, Decimal("0.5"), date(2026, 6, 30), datetime(2026, 6, 30, 1), "a", True),
            (Decimal(2), 3, 1, date(2026, 7, 1), None, None, False),
        ],
    )
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds["n"] == "int64"
    assert kinds["some"] == "Int64"
    assert kinds["share"] == "float64"
    assert kinds["day"].startswith("datetime64")
    assert kinds["at"].startswith("datetime64")
    assert kinds["flag"] == kinds["text"] == "object"
    assert records(frame)[0] == {
        "n": 1, "some": None, "share": 0.5, "day": pd.Timestamp(2026, 6, 30), "at": pd.Timestamp(2026, 6, 30, 1),
        "text": "a", "flag": True,
    }  # fmt: skip
    assert records(frame)[1]["at"] is None


def test_no_rows_are_a_frame_with_columns() -> None:
    frame = frame_of(["a", "b"], [])
    assert frame.empty
    assert list(frame.columns) == ["a", "b"]
