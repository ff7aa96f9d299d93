"""The options of a build, and the column lineage that it reports."""

import json

import dagster as dg
import pytest
from pydantic import ValidationError
from sqlglot.schema import MappingSchema

from music_platform.environment import project_root
from music_platform.orchestration.assets.lineage import column_sources
from music_platform.orchestration.assets.marts import BuildConfig
from music_platform.orchestration.resources import dbt_environment
from music_platform.settings import Settings


def test_a_build_asks_dbt_for_what_the_launchpad_says() -> None:
    assert BuildConfig().dbt_arguments() == []
    assert BuildConfig(full_refresh=True).dbt_arguments() == ["--full-refresh"]
    flag, variables = BuildConfig(rebuild_from="2026-06-03", rebuild_to="2026-06-05").dbt_arguments()
    assert (flag, json.loads(variables)) == ("--vars", {"rebuild_from": "2026-06-03", "rebuild_to": "2026-06-05"})
    assert json.loads(BuildConfig(rebuild_from="2026-06-03").dbt_arguments()[1]) == {"rebuild_from": "2026-06-03"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rebuild_from": "June"}, "rebuild_from: 'June' is not a date; write it as 2026-06-30"),
        ({"rebuild_to": "2026-06-03"}, "rebuild_to without rebuild_from"),
        ({"rebuild_from": "2026-06-03", "rebuild_to": "2026-06-01"}, "rebuild_to 2026-06-01 is before rebuild_from"),
        ({"rebuild_from": "2026-06-03", "full_refresh": True}, "full_refresh rebuilds every date"),
    ],
)
def test_contradictory_options_are_refused_before_anything_runs(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BuildConfig(**asked)


def test_lineage_goes_through_ctes_joins_and_aggregates_to_the_tables_columns() -> None:
    schema = MappingSchema(dialect="snowflake")
    schema.add_table("SILVER.LISTENS", {"song_id": "varchar", "seconds": "float"}, dialect="snowflake")
    schema.add_table("SILVER.DIM_SONGS", {"song_id": "varchar", "title": "varchar"}, dialect="snowflake")
    listens, songs = dg.AssetKey(["silver", "listens"]), dg.AssetKey(["silver", "dim_songs"])
    found = column_sources(
        """
        with heard as (
            select song_id, sum(seconds) as heard_seconds, count(*) as plays from OTHER.SILVER.LISTENS group by 1
        )
        select title, heard_seconds / 60 as minutes, plays, coalesce(heard.song_id, title) as name
        from heard inner join MUSIC.SILVER.DIM_SONGS as songs on songs.song_id = heard.song_id
        """,
        ["title", "minutes", "plays", "name"],
        schema,
        {("SILVER", "LISTENS"): listens, ("SILVER", "DIM_SONGS"): songs},
    )
    assert found.deps_by_column == {
        "title": [dg.TableColumnDep(songs, "title")],
        "minutes": [dg.TableColumnDep(listens, "seconds")],
        "plays": [],
        "name": [dg.TableColumnDep(songs, "title"), dg.TableColumnDep(listens, "song_id")],
    }


@pytest.mark.parametrize(
    "made",
    [
        "sha2(to_json(array_construct(city, zip)), 256)", "object_construct(*)", "hash(*)", "object_construct(e.*)",
        "array_agg(object_construct('c', city, 'z', zip))", "listagg(city, ',') within group (order by zip)",
    ],
)  # fmt: skip
def test_lineage_goes_through_functions_that_take_many_columns_or_all(made: str) -> None:
    schema = MappingSchema(dialect="snowflake")
    schema.add_table("SILVER.EVENTS", {"city": "varchar", "zip": "varchar"}, dialect="snowflake")
    events = dg.AssetKey(["silver", "events"])
    sql = f"with e as (select * from SILVER.EVENTS) select {made} as said, count(*) as events from e"
    found = column_sources(sql, ["said", "events"], schema, {("SILVER", "EVENTS"): events}).deps_by_column
    assert found == {"said": [dg.TableColumnDep(events, "city"), dg.TableColumnDep(events, "zip")], "events": []}


def secret_settings(**given: object) -> Settings:
    """Settings in which every secret has a value that is its name."""
    secrets = {name: f"mark-{name}" for name, field in Settings.model_fields.items() if not field.repr}
    secrets["dagster_postgres_url"] = "postgresql+psycopg2://mark"
    for name in ("kafka_client_properties", "kafka_jvm_properties"):
        secrets[name] = f'{{"password": "mark-{name}"}}'
    return Settings(_env_file=None, **secrets | given)  # type: ignore[call-arg, arg-type]


def test_dbt_gets_snowflakes_secrets_and_no_others() -> None:
    given = dbt_environment(secret_settings(snowflake_account="org-account"))
    marked = {name for name, value in given.items() if "mark" in value}
    assert marked == {"SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"}
    assert given["SNOWFLAKE_READ_ROLE"] == "MUSIC_READER"
    assert not [name for name, value in given.items() if value and not name.startswith(("SNOWFLAKE_", "DBT_"))]


def test_dbt_gets_the_secret_of_the_local_warehouse() -> None:
    given = dbt_environment(secret_settings())
    assert given["MUSIC_SECRET"] == "mark-music_secret"
    assert given["WAREHOUSE_PORT"]


@pytest.mark.parametrize("account", [None, "org-account"])
def test_dbt_does_not_inherit_a_secret_that_is_not_for_it(account: str | None) -> None:
    """It starts with this process's environment, in which every secret may be."""
    profile = (project_root() / "dbt_project" / "profiles.yml").read_text()
    given = dbt_environment(secret_settings(snowflake_account=account))
    secrets = {name.upper() for name, field in Settings.model_fields.items() if not field.repr}
    unread = {name for name in secrets if f"env_var('{name}'" not in profile}
    assert unread >= {"KAFKA_SASL_PASSWORD", "DAGSTER_POSTGRES_URL", "ALERT_URLS"}
    assert {name: given[name] for name in unread} == dict.fromkeys(unread, "")
