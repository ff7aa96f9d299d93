"""The options of a build, and the column lineage that it reports."""

import json

import dagster as dg
import pytest
from pydantic import ValidationError
from sqlglot.schema import MappingSchema

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


def test_dbt_gets_snowflakes_secrets_and_no_others() -> None:
    secrets = {name: f"mark-{name}" for name, field in Settings.model_fields.items() if not field.repr}
    secrets["dagster_postgres_url"] = "postgresql+psycopg2://mark"
    settings = Settings(_env_file=None, snowflake_account="org-account", kafka_sasl_username="ada", **secrets)  # type: ignore[call-arg, arg-type]
    given = dbt_environment(settings)
    marked = {name.lower() for name, value in given.items() if "mark" in value}
    assert marked == {name for name in secrets if name.startswith("snowflake_")} >= {"snowflake_password"}
    # What this process has inherited does not reach dbt either.
    assert {name: given[name.upper()] for name in secrets.keys() - marked} == dict.fromkeys(secrets.keys() - marked, "")
    read = ("SNOWFLAKE_", "WAREHOUSE_", "DBT_")
    assert not [name for name, value in given.items() if value and not name.startswith(read)]
    assert given["SNOWFLAKE_READ_ROLE"] == "MUSIC_READER"
