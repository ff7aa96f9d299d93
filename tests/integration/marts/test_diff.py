"""`music-platform diff` over real builds: it finds every change that was planted, and none in a pure refactoring."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from music_platform.cli.diff import compare_versions
from music_platform.warehouse.mart_diff import MartDiff, report
from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED
from tests.support.lake import Lake, records_of, rows_of
from tests.support.warehouse import PROJECT, TestWarehouse

PLANTED = 30


@dataclass(frozen=True)
class Change:
    """A change of one mart: 'value' of a column, a column 'removed' or 'added', or 'rows' left out."""

    mart: str
    kind: str
    column: str = ""

    def is_in(self, diffs: dict[str, MartDiff]) -> bool:
        diff = diffs[self.mart]
        return {
            "value": diff.changed.get(self.column, 0) > 0,
            "removed": self.column in diff.removed,
            "added": self.column in diff.added,
            "rows": diff.only_base > 0,
        }[self.kind]


def columns_of(project: Path, mart: str) -> list[dict[str, Any]]:
    (model,) = yaml.safe_load((project / "models" / "gold" / f"{mart}.yml").read_text())["models"]
    return list(model["columns"])


def key_of(project: Path, mart: str) -> list[str]:
    (model,) = yaml.safe_load((project / "models" / "gold" / f"{mart}.yml").read_text())["models"]
    tests = [test["unique_key"] for test in model.get("data_tests", []) if "unique_key" in test]
    return list(tests[0]["arguments"]["columns"]) if tests else []


def tables_of(project: Path) -> list[str]:
    files = sorted((project / "models" / "gold").glob("*.sql"))
    return [file.stem for file in files if "materialized='view'" not in file.read_text()]


def wrap(project: Path, mart: str, outer: Callable[[str], str]) -> None:
    file = project / "models" / "gold" / f"{mart}.sql"
    file.write_text(outer(f"(\n{file.read_text()}\n) as inner_query"))


def planned(project: Path) -> list[Change]:
    """Thirty changes: rows, a column more and less, and values of as many columns as are left, mart by mart."""
    marts = tables_of(project)
    changes = [Change("device_metrics_daily", "rows"), Change("daily_summary", "added", "planted")]
    dated = [m for m in marts if "activity_date" in key_of(project, m) and m != "device_metrics_daily"]
    changes.append(Change(dated[0], "rows"))
    by_mart = {
        mart: [
            column["name"]
            for column in columns_of(project, mart)
            if column["data_type"].startswith(("number", "float")) and column["name"] not in key_of(project, mart)
        ]
        for mart in marts
    }
    removable = next(m for m in marts if len(by_mart[m]) > 2)
    changes.append(Change(removable, "removed", by_mart[removable].pop()))
    depth = 0
    while len(changes) < PLANTED:
        changes += [Change(m, "value", names[depth]) for m, names in by_mart.items() if len(names) > depth]
        depth += 1
    return changes[:PLANTED]


def plant(project: Path, changes: list[Change]) -> None:
    for mart in {change.mart for change in changes}:
        own = [change for change in changes if change.mart == mart]
        values = {change.column for change in own if change.kind == "value"}
        removed = {change.column for change in own if change.kind == "removed"}
        added = [change.column for change in own if change.kind == "added"]
        selected = []
        for column in columns_of(project, mart):
            name = column["name"]
            if name in values:
                selected.append(f"cast(coalesce({name}, 0) + 1 as {column['data_type']}) as {name}")
            elif name not in removed:
                selected.append(name)
        selected += [f"cast(1 as number(38,0)) as {name}" for name in added]
        where = "where activity_date > '2026-05-25'" if any(change.kind == "rows" for change in own) else ""
        text = ", ".join(selected)
        wrap(project, mart, lambda inner, text=text, where=where: f"select {text} from {inner} {where}")  # type: ignore[misc]
        file = project / "models" / "gold" / f"{mart}.yml"
        described = yaml.safe_load(file.read_text())
        (model,) = described["models"]
        model["columns"] = [column for column in model["columns"] if column["name"] not in removed]
        model["columns"] += [{"name": name, "data_type": "number(38,0)", "description": "Planted."} for name in added]
        described.pop("unit_tests", None)
        file.write_text(yaml.safe_dump(described, sort_keys=False))


def refactor(project: Path) -> None:
    """Three changes that change nothing: a query around one, a union with nothing, and rows in another order."""
    wrap(project, "device_metrics_daily", lambda inner: f"select * from {inner} where true")
    wrap(project, "daily_summary", lambda inner: f"with all_rows as (select * from {inner}) select * from all_rows")
    wrap(project, "top_songs_daily", lambda inner: f"select distinct * from {inner} order by plays")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_planted_change_is_found_and_no_refactoring(
    warehouse: TestWarehouse, simulation: Simulation, show: Callable[[str], None]
) -> None:
    lake = Lake(warehouse.scratch / "lake")
    lake.append(rows_of(records_of(simulation.folder, PRODUCED)))
    warehouse.load_reference(simulation.folder / "reference")
    warehouse.load(lake.root)
    projects = {side: warehouse.scratch / side / "dbt_project" for side in ("base", "planted", "refactored")}
    for project in projects.values():
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    changes = planned(projects["base"])
    plant(projects["planted"], changes)
    refactor(projects["refactored"])

    def against(head: str) -> dict[str, MartDiff]:
        sides = {"base": projects["base"], "head": projects[head]}
        return {d.name: d for d in compare_versions(warehouse.settings, sides, warehouse.scratch / f"diff-{head}")}

    found = against("planted")
    missed = [change for change in changes if not change.is_in(found)]
    show(f"{len(changes) - len(missed)} of {len(changes)} planted changes found")
    assert missed == [], report(found.values())
    same = against("refactored")
    assert [diff for diff in same.values() if not diff.is_same] == []
    assert {"device_metrics_daily", "daily_summary", "top_songs_daily"} <= same.keys()
    databases = {
        row["name"] for row in warehouse.query("select database_name as name from information_schema.databases")
    }
    assert not any("_DIFF_" in name for name in databases)
