"""The credits a day in docs/guide/production.md are computed from the settings of the set-up SQL."""

import pytest

from benchmarks.credits import awake_share, table
from music_platform.environment import project_root
from music_platform.warehouse.account import AUTO_SUSPEND


@pytest.mark.parametrize(
    ("interval", "busy", "auto_suspend", "share"),
    [
        (0, 10, 60, 1.0),
        (60, 10, 60, 1.0),  # it would suspend itself 70 s after the load began
        (300, 10, 60, 70 / 300),
        (300, 30, 60, 90 / 300),
        (300, 5, 10, 60 / 300),  # a minute is billed
        (60, 90, 60, 1.0),
    ],
)
def test_the_share_of_the_day_that_is_billed(interval: float, busy: float, auto_suspend: float, share: float) -> None:
    assert awake_share(interval, busy, auto_suspend) == pytest.approx(share)


def test_the_docs_have_the_computed_table() -> None:
    assert "\n".join(table(AUTO_SUSPEND)) in (project_root() / "docs" / "guide" / "production.md").read_text()
