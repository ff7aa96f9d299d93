"""The code location loads in a fresh interpreter, and its graph runs from topics to marts."""

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import dagster as dg

from music_platform.environment import project_root, venv_bin
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
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=slowdown.seconds(180),
        check=False,
    )
    assert done.returncode == 0, done.stderr


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
    order = ["kafka", "lake", "raw", "staging", "silver", "gold", "ops"]
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


def test_every_asset_says_what_it_is_whose_and_where_it_is_written() -> None:
    from music_platform.definitions import defs

    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.parent_keys or node.child_keys, key
        assert "dagster/column_schema" in node.metadata or node.group_name in ("kafka", "ops"), key
        links = node.metadata["dagster/code_references"].code_references
        assert all(Path(link.file_path).is_file() for link in links), key
        assert node.group_name != "gold" or any(link.file_path.endswith(".sql") for link in links), key


def test_the_watch_knows_every_check_without_the_definitions() -> None:
    from music_platform.definitions import defs
    from music_platform.orchestration.dbt_project import dbt_project
    from music_platform.orchestration.quality import known_checks

    assert set(known_checks(dbt_project().manifest_path)) == set(defs.resolve_asset_graph().asset_check_keys)


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
