"""Each tile is whole: a query that only reads, the models behind it, a rule, and nothing personal or from elsewhere."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from sqlglot import exp

from music_dashboard import rules
from music_dashboard.navigation import all_pages
from music_dashboard.page import Page
from music_dashboard.reader import QUERIES, statement
from music_dashboard.state import LEARNED
from music_dashboard.tile import Tile, bind
from music_dashboard.tile_view import assets_of
from music_platform.environment import project_root
from music_platform.orchestration import keys
from music_platform.warehouse.account import Account
from tests.support.warehouse import manifest

ROOT = project_root() / "dashboard"
PAGES = all_pages()
TILES = [tile for page in PAGES for tile in page.all_tiles()]
NAMES = sorted(path.stem for path in QUERIES.glob("*.sql"))
#: Views that the platform makes over its own ledgers.
OF_OPS = {"freshness", "checks", "learned"}


def parsed(name: str) -> exp.Expr:
    text = re.sub(r"(?<!:):[a-z_]+", "'value'", statement(name))
    return sqlglot.parse_one(text, dialect="snowflake")


def tables(name: str) -> set[tuple[str, str]]:
    """Schema and name of each table that a query reads."""
    tree = parsed(name)
    own = {cte.alias for cte in tree.find_all(exp.CTE)}
    return {
        (table.db.lower(), table.name.lower())
        for table in tree.find_all(exp.Table)
        if not (table.name in own and not table.db)
    }


def models() -> dict[str, Any]:
    return {node.name: node for node in manifest().nodes.values() if node.resource_type in ("model", "seed")}


def test_every_query_is_used_and_every_tile_has_one() -> None:
    used = {"state", "bounds", "options"}
    used |= {control.query for page in PAGES for control in page.controls if control.query}
    used |= {name for tile in TILES for name in tile.query_files()}
    assert used == set(NAMES)
    assert all(tile.query_files() for tile in TILES)
    assert len({tile.name for tile in TILES}) == len(TILES)


@pytest.mark.parametrize("name", NAMES)
def test_a_query_only_reads_what_the_reading_role_may(name: str) -> None:
    tree = parsed(name)
    assert isinstance(tree, exp.Select | exp.SetOperation), name
    assert not list(tree.find_all(exp.Star)) or all(
        isinstance(star.parent, exp.Count | exp.Select) for star in tree.find_all(exp.Star)
    )
    for schema, table in tables(name):
        assert schema in ("silver", "gold", "ops"), table
        if schema == "ops" and table not in OF_OPS:
            # The role reads views there, and tables that a build has opened to it; none of the ledgers.
            assert models()[table].schema.lower() == "ops"
        elif schema == "gold" and table in LEARNED:
            # Views, which the role may read in GOLD.
            assert table not in models()
        elif table not in OF_OPS:
            assert models()[table].schema.lower() == schema


def test_what_is_learned_is_what_the_group_ml_makes() -> None:
    assert LEARNED == keys.LEARNED
    assert assets_of(statement("suspicious_songs")) == ["ml/suspicious_streams", "gold/top_songs_daily"]


def test_a_tile_of_several_models_may_do_with_one() -> None:
    by_name = {tile.name: tile for tile in TILES}
    values: dict[str, Any] = {"least_users": 5, "song": "a"}
    learned, pairs = by_name["learned"], by_name["songs_together"]
    assert not learned.lacks(LEARNED[1:], learned.request(values, {}))
    assert learned.lacks(LEARNED, learned.request(values, {}))
    assert pairs.lacks(["dim_songs"], pairs.request(values, {}))
    assert not pairs.lacks([], pairs.request(values, {}))
    freshness = by_name["freshness"]
    assert not freshness.lacks([], freshness.request(values, {}))


@pytest.mark.parametrize("name", NAMES)
def test_no_query_shows_anything_personal(name: str) -> None:
    personal = set(yaml.safe_load((project_root() / "dbt_project" / "dbt_project.yml").read_text())["vars"]
                   ["personal_columns"])  # fmt: skip
    tree = parsed(name)
    assert not personal & {column.name.lower() for column in tree.find_all(exp.Column)}, name
    shown = {projection.alias_or_name.lower() for projection in tree.selects}
    assert not shown & {"user_id", "session_id", "event_id", "session_key"}, name


def reads(name: str, found: dict[str, Any]) -> set[str]:
    """The tables below a view; a table itself. What is learned has versions of its own."""
    if name in LEARNED:
        return {name}
    node = found[name]
    if node.config.materialized != "view":
        return {name}
    return set().union(*(reads(below.split(".")[-1], found) for below in node.depends_on.nodes if below in
                         {each.unique_id for each in found.values()}), set())  # fmt: skip


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_the_key_of_a_result_names_every_table_that_it_comes_from(tile: Tile) -> None:
    """Otherwise a page would show what an earlier build said. A view has no builds: what it reads has."""
    found = models()
    for name, wanted in ((tile.query_files()[0], tile.models), *(
        (name, tile.narrowed_models + tile.models) for name in tile.query_files()[1:]
    )):  # fmt: skip
        below = set().union(*(reads(table, found) for _, table in tables(name) if table not in OF_OPS), set())
        assert below <= set(wanted), (name, below - set(wanted))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lineage_ends_in_what_the_page_reads(page: Page) -> None:
    exposures = {each.name: each for each in manifest().exposures.values() if each.type == "dashboard"}
    assert len(exposures) == len(PAGES)
    exposure = exposures[f"dashboard_{page.name}"]
    names = ["bounds", "options", *(control.query for control in page.controls if control.query)]
    names += [name for tile in page.all_tiles() for name in tile.query_files()]
    wanted = {table for name in names for _, table in tables(name)}
    found = {node.split(".")[-1] for node in exposure.depends_on.nodes}
    assert found - {"builds", "loads"} == wanted - OF_OPS - set(LEARNED)
    assert ("builds" in found) == bool(wanted & {"freshness", "checks"})
    assert set(exposure.config.meta.get("learned", ())) == wanted & set(LEARNED)
    assert exposure.description == page.about


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_every_tile_says_how_it_is_counted(tile: Tile) -> None:
    assert len(rules.rule(tile.rule)) > 100
    assert tile.empty.endswith((".", "?"))


def test_the_shipped_rules_are_those_of_the_documentation() -> None:
    document = (project_root() / "docs" / "reference" / "marts.md").read_text()
    assert rules.FILE.read_text() == rules.rendered(document), "run make contract"
    assert "**Rule 10.**" in rules.rule("top_songs_daily")


def test_values_are_bound_in_order_and_casts_are_no_values() -> None:
    text = "select x::date from t where a = :one/*narrowed*/ and b between :two and :one"
    assert bind(text, {"one": 1, "two": 2}, " and c = ?", ("C",)) == (
        "select x::date from t where a = ? and c = ? and b between ? and ?", (1, "C", 2, 1),
    )  # fmt: skip
    with pytest.raises(KeyError):
        bind("select :unknown", {})


def test_a_tile_that_is_not_divided_by_a_filter_says_so_or_reads_single_listens() -> None:
    by_name = {tile.name: tile for tile in TILES}
    assert by_name["places"].asked({"state": "CA"})[0] == "places"
    assert by_name["places"].asked({"country": "US"})[0] == "places_narrowed"
    assert by_name["places"].ignored({"country": "US"}) == []
    assert by_name["actives"].ignored({"country": "US", "level": "paid"}) == ["Country", "Level"]


# --- the same files in Snowflake --------------------------------------------------------------------------------------

#: Module → package of environment.yml that brings it.
BROUGHT_BY = {"streamlit": "streamlit", "altair": "altair", "pandas": "pandas", "PIL": "pillow",
              "snowflake": "snowflake-snowpark-python"}  # fmt: skip
SOURCES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The packages that a file imports, also within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_file_imports_only_what_snowflake_s_channel_has(path: Path) -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["snowflake"]
    listed = {line.split("=")[0] for line in environment["dependencies"]}
    foreign = imported(path) - set(sys.stdlib_module_names) - {"music_dashboard"}
    if path.name == "source.py":
        foreign -= {"music_platform"}
    assert {BROUGHT_BY.get(name, name) for name in foreign} <= listed


@pytest.mark.parametrize(
    "path", sorted(p for p in ROOT.rglob("*") if p.is_file() and p.suffix not in (".png", ".pyc")), ids=str
)
def test_no_file_leads_anywhere_else(path: Path) -> None:
    found = re.findall(r"https?://[^\s\"'`)]+|//cdn|<script|@import", path.read_text())
    assert found == [], found


def test_what_is_deployed_is_there_and_reads_as_the_reading_role() -> None:
    entity = yaml.safe_load((ROOT / "snowflake.yml").read_text())["entities"]["music_dashboard"]
    assert all((ROOT / name).exists() for name in entity["artifacts"])
    assert entity["main_file"] == "streamlit_app.py"
    from music_platform.settings import Settings

    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    sql = (ROOT / "deploy.sql").read_text()
    granted = re.findall(r"GRANT ROLE (\w+) TO ROLE MUSIC_DASHBOARD", sql)
    assert granted == [account.reader]
    assert entity["grants"] == [{"privilege": "USAGE", "role": account.reader}]
    assert entity["identifier"]["database"] == account.database
    assert entity["query_warehouse"] == account.warehouse
    assert not re.search(r"GRANT (SELECT|INSERT|ALL|OWNERSHIP)", sql)
