"""The dbt project as a whole: tests pass, no warnings, every column described, SQL in its style."""

import json
import re
import subprocess
import sys

from tests.integration.conftest import latest_statements
from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED
from tests.support import slowdown
from tests.support.lake import Lake, records_of, rows_of
from tests.support.sql_lint import problems_of
from tests.support.truth import KEYS
from tests.support.warehouse import PROJECT, TestWarehouse


def test_a_plain_build_and_the_documentation_are_clean(warehouse: TestWarehouse, simulation: Simulation) -> None:
    lake = Lake(warehouse.scratch / "lake")
    lake.append(rows_of(records_of(simulation.folder, PRODUCED)))
    warehouse.load_reference(simulation.folder / "reference")
    warehouse.load(lake.root)
    output = warehouse.build(tests=True) + warehouse.build("--vars", "{whole_tables: true}", tests=True)
    assert "[WARNING]" not in output
    output = warehouse.dbt("docs", "generate") + warehouse.dbt("source", "freshness") + warehouse.dbt(
        "run-operation", "prune_ledgers"
    )  # fmt: skip
    assert "[WARNING]" not in output
    assert warehouse.value("select count(*) from OPS.TOUCHED_DATES") == 0
    # What dbt compiled and what the macros put together, as it arrived: sql_lint says what is not wanted and why.
    database = warehouse.settings.snowflake_database
    sent = [said for said in latest_statements(warehouse.settings) if f"{database}." in said["text"]]
    assert len(sent) > 300
    # dbt's own statement for source freshness asks for the current time, in UTC.
    assert problems_of(said["text"] for said in sent if "snapshotted_at" not in said["text"]) == []
    # A unit test sets no tag.
    of_nodes = [said for said in sent if re.search('"node_id": "(model|test|seed)[.]', said["text"])]
    tagged = [said for said in of_nodes if "alter session" not in said["text"]]
    assert {json.loads(said["query_tag"])["asset"] for said in tagged} == {"dbt"}
    for node in ("model.music.top_songs_daily", "model.music.events"):
        assert any(f'"node_id": "{node}"' in said["text"] for said in of_nodes)
    assert any("modify column first_name set masking policy" in said["text"] for said in sent)
    assert warehouse.value("select count(*) from OPS.LOAD_HISTORY where built_at is not null") == 1

    (latency,) = warehouse.query("select * from OPS.PIPELINE_LATENCY")
    records = warehouse.value("select count(*) from RAW.EVENTS")
    assert latency["events"] + latency["late_events"] == records
    assert 0.03 * records < latency["late_events"] < 0.1 * records

    target = warehouse.scratch / "target"
    manifest = json.loads((target / "manifest.json").read_text())["nodes"]
    models = {name: node for name, node in manifest.items() if node["resource_type"] == "model"}
    catalogue = json.loads((target / "catalog.json").read_text())["nodes"]
    for name, node in models.items():
        described = {column for column, about in node["columns"].items() if about["description"]}
        assert described == {column.lower() for column in catalogue[name]["columns"]}, name
        assert node["description"], name
    gold = {node["name"]: node for node in models.values() if node["schema"] == "GOLD"}
    assert KEYS.keys() <= gold.keys()
    for mart in KEYS:
        assert gold[mart]["contract"]["enforced"]
        assert gold[mart]["config"]["meta"]["tier"] in ("live", "policy")
        assert gold[mart]["group"] == "gold"
    unit_tested = {test["model"] for test in json.loads((target / "manifest.json").read_text())["unit_tests"].values()}
    assert KEYS.keys() <= unit_tested


def test_the_sql_is_in_its_style() -> None:
    command = [sys.executable, "-m", "sqlfluff", "lint", "models", "../queries", "--disable-progress-bar"]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=slowdown.seconds(300), check=False
    )
    assert done.returncode == 0, done.stdout
