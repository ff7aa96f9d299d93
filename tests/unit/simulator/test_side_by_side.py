"""The simulator's figures are eventsim's, within the tolerances of the table in docs/explanation/simulator.md."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.side_by_side import LINES, figures, ours, table
from tests.unit.simulator.conftest import ROOT


@pytest.fixture(scope="module")
def both(eventsim: Callable[[str], list[dict[str, Any]]]) -> tuple[dict[str, float], dict[str, float]]:
    """eventsim's figures and ours."""
    real = figures(
        eventsim("page_view_events"),
        eventsim("listen_events"),
        len(eventsim("auth_events")),
        len(eventsim("status_change_events")),
    )
    return real, ours()


def test_every_figure_is_within_its_tolerance(both: tuple[dict[str, float], dict[str, float]]) -> None:
    real, simulated = both
    off = [line.name for line in LINES if not line.holds(real[line.name], simulated[line.name])]
    assert not off, "\n" + table(real, simulated)


def test_the_table_in_the_docs_has_these_figures(both: tuple[dict[str, float], dict[str, float]]) -> None:
    assert table(*both) in (ROOT / "docs" / "explanation" / "simulator.md").read_text(encoding="utf-8")
