"""The code location loads in a fresh interpreter, and its graph runs from topics to marts."""

import random
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from importlib.metadata import requires
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan

from music_platform.environment import project_root, venv_bin
from music_platform.orchestration.keys import LAKE_EVENTS, LEARNED, LOADS_LEDGER, RAW_EVENTS, REFERENCE_KEYS
from music_platform.settings import Settings
from tests.support import slowdown


def test_the_code_location_loads_in_a_fresh_interpreter() -> None:
    done = subprocess.run(
        [str(venv_bin() / "dagster"), "definitions", "validate", "-w", "workspace.yaml"],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=slowdown.seconds(180),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_in_a_fresh_interpreter(code: str) -> None:
    """Run the code without what this process has imported; it has to succeed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=slowdown.seconds(180),
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_production_needs_no_local_warehouse() -> None:
    """Without the extra `local` there is neither fakesnow nor DuckDB."""
    required = [line for line in requires("music-platform") or () if "extra ==" not in line]
    assert [line for line in required if line.startswith(("fakesnow", "duckdb", "snowflake-local"))] == []
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('fakesnow', 'duckdb', 'snowflake_local')))  # importing one of them fails\n"
        "import music_platform.definitions, music_platform.cli, music_simulator.cli\n"
        "assert music_platform.definitions.defs"
    )
    run_in_a_fresh_interpreter(code)


def test_without_the_extra_learning_there_is_nothing_to_learn() -> None:
    """No assets of the group `ml`, no job, and no checks that the watch would wait for; all else is there."""
    required = [line for line in requires("music-platform") or () if "extra ==" not in line]
    assert [line for line in required if line.startswith(("implicit", "scikit-learn", "scipy"))] == []
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('implicit', 'sklearn')))  # importing one of them fails\n"
        "from music_platform.definitions import defs\n"
        "from music_platform.orchestration.quality import known_checks\n"
        "from music_platform.orchestration.dbt_project import dbt_project\n"
        "graph = defs.resolve_asset_graph()\n"
        "assert not [key for key in graph.get_all_asset_keys() if key.path[0] == 'ml']\n"
        "assert len(graph.get_all_asset_keys()) > 60\n"
        "assert 'learning' not in {job.name for job in defs.get_repository_def().get_all_jobs()}\n"
        "assert set(known_checks(dbt_project().manifest_path)) == set(graph.asset_check_keys)\n"
    )
    run_in_a_fresh_interpreter(code)


def test_the_command_line_loads_without_the_heavy_libraries() -> None:
    """`status` must not wait for Dagster's or Spark's import."""
    heavy = ("dagster", "pyspark", "snowflake.connector")
    code = f"import sys, music_platform.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_graph_is_one_way_from_topic_to_mart() -> None:
    from music_platform.definitions import defs

    graph = defs.resolve_asset_graph()
    groups = {key: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert all(group == key.path[0] for key, group in groups.items())
    order = ["kafka", "lake", "raw", "staging", "silver", "gold", "ml", "ops", "dashboard"]
    for key in groups:
        for parent in graph.get(key).parent_keys:
            assert order.index(groups[parent]) <= order.index(groups[key]), (parent, key)
    marts = [key for key, group in groups.items() if group == "gold"]
    topics = {key for key, group in groups.items() if group == "kafka"}
    for mart in marts:
        above: set[dg.AssetKey] = set()
        todo = [mart]
        while todo:
            for parent in graph.get(todo.pop()).parent_keys - above:
                above.add(parent)
                todo.append(parent)
        assert topics <= above, mart


def test_what_is_learned_ends_in_its_page() -> None:
    from music_platform.definitions import defs

    parents = defs.resolve_asset_graph().get(dg.AssetKey(["dashboard", "for_you"])).parent_keys
    assert {key.path[1] for key in parents if key.path[0] == "ml"} == set(LEARNED)


def test_every_asset_says_what_it_is_whose_and_where_it_is_written() -> None:
    from music_platform.definitions import defs

    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.parent_keys or node.child_keys, key
        assert "dagster/column_schema" in node.metadata or node.group_name in ("kafka", "ops", "dashboard"), key
        links = node.metadata["dagster/code_references"].code_references
        assert all(Path(link.file_path).is_file() for link in links), key
        assert node.group_name != "gold" or any(link.file_path.endswith(".sql") for link in links), key


def test_the_watch_knows_every_check_without_the_definitions() -> None:
    from music_platform.definitions import defs
    from music_platform.orchestration.dbt_project import dbt_project
    from music_platform.orchestration.quality import known_checks

    assert set(known_checks(dbt_project().manifest_path)) == set(defs.resolve_asset_graph().asset_check_keys)


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    from music_platform.definitions import defs

    return defs.get_repository_def()


def executed(repository: dg.RepositoryDefinition, keys: Collection[dg.AssetKey]) -> set[dg.AssetKey]:
    """Assets of the run that `dagster asset materialize` and the UI make of a selection."""
    whole = repository.get_implicit_job_def_for_assets(keys)
    assert whole is not None, "assets with different partitions cannot be selected together"
    assert all(whole.asset_layer.get(key).partitions_def is None for key in keys)
    job = whole.get_subset(asset_selection=set(keys))
    steps = [step.key for step in create_execution_plan(job).get_all_steps_in_topo_order()]
    split = [step for step in steps if step.startswith(("topics_", "drain_", "ledgers_", "models_"))]
    assert not split, "a run that starts dbt or ingestion twice takes twice as long, and its config names another op"
    return set(job.asset_layer.selected_asset_keys)


def test_every_selection_of_the_command_line_and_the_ui_can_be_run(repository: dg.RepositoryDefinition) -> None:
    """Dagster ends with an internal error if an external asset is selected, and runs the whole graph if nothing is."""
    graph = repository.asset_graph
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    names = [node.key.to_user_string() for node in nodes]
    terms = [f'key:"{name}"' for name in names] + ['key:"gold/*"', "*"]
    terms += [f"group:{group}" for group in {node.group_name for node in nodes}]
    terms += [f"kind:{kind}" for kind in set().union(*(node.kinds for node in nodes))]
    terms += [f'owner:"{owner}"' for owner in set().union(*(node.owners for node in nodes))]
    terms += [f"tag:{name}={value}" for name, value in {("tier", node.tags.get("tier")) for node in nodes} if value]
    grown = [(before, after) for before in ("", "+", "1+") for after in ("", "+", "+1")]
    selections = [f"{before}{term}{after}" for term in terms if term != "*" for before, after in grown] + ["*"]
    selections += [f"roots({term})" for term in terms] + [f"sinks({term})" for term in terms]
    selections += [f"not {term}" for term in terms if term not in ("*", 'owner:"team:music-platform"')]
    chance = random.Random(7)
    terms.remove("*")
    selections += [f"{chance.choice(terms)} or {chance.choice(terms)}+" for _ in range(100)]
    found = {frozenset(dg.AssetSelection.from_string(text).resolve(graph)): text for text in selections}
    assert len(found) > 150
    for keys, text in found.items():
        assert keys, text
        assert executed(repository, keys) == keys, text


def test_every_set_of_assets_that_is_clicked_can_be_run(repository: dg.RepositoryDefinition) -> None:
    keys = sorted(repository.asset_graph.get_all_asset_keys())
    chance = random.Random(7)
    for _ in range(50):
        clicked = set(chance.sample(keys, chance.randint(1, len(keys))))
        assert executed(repository, clicked) == clicked


def test_a_month_can_be_rebuilt_by_clicking(repository: dg.RepositoryDefinition) -> None:
    job = repository.get_job("rebuild_month")
    assert job.partitions_def is not None
    assert job.partitioned_config is not None
    months = job.partitions_def.get_partition_keys(current_time=datetime(2026, 7, 4, tzinfo=UTC))
    assert (months[0], months[-1]) == ("2005-01-01", "2026-07-01")
    config = job.partitioned_config.get_run_config_for_partition_key("2024-02-01")
    dates = config["ops"]["models"]["config"]
    assert (dates["rebuild_from"], dates["rebuild_to"]) == ("2024-02-01", "2024-02-29")
    assert [step.key for step in create_execution_plan(job, run_config=config).get_all_steps_in_topo_order()] == [
        "models"
    ]


def test_the_definitions_are_those_of_the_settings_that_they_are_given() -> None:
    from music_platform.definitions import build_defs

    settings = Settings(
        _env_file=None, snowflake_database="OTHER", shape_topics="plays=playback", maintenance_schedule="7 7 * * *"
    )
    repository = build_defs(settings).get_repository_def()
    graph = repository.asset_graph
    assert dg.AssetKey(["kafka", "plays"]) in graph.get(LAKE_EVENTS).parent_keys
    for key in (RAW_EVENTS, LOADS_LEDGER, *REFERENCE_KEYS.values()):
        assert str(graph.get(key).metadata["dagster/table_name"]).startswith("OTHER."), key
    assert repository.get_schedule_def("maintenance_schedule").cron_schedule == "7 7 * * *"


def test_every_mart_has_a_freshness_policy_and_every_tier_a_job() -> None:
    from music_platform.definitions import defs
    from music_platform.orchestration.assets.marts import tier_keys
    from music_platform.orchestration.freshness import TIERS

    graph = defs.resolve_asset_graph()
    marts = {key for key in graph.get_all_asset_keys() if graph.get(key).group_name == "gold"}
    marts -= {key for key in marts if "view" in graph.get(key).kinds}
    assert marts == {key for tier in TIERS for key in tier_keys(tier, "gold")}
    assert all(graph.get(key).freshness_policy for key in marts)
    for tier in TIERS:
        layer = defs.resolve_job_def(tier).asset_layer
        assert layer is not None
        assert layer.selected_asset_keys == tier_keys(tier)
