"""What a person can ask of a build, and the lineage of columns that a build reports."""

import json

import dagster as dg
import pytest
from pydantic import ValidationError
from sqlglot.schema import MappingSchema

from music_platform.orchestration.assets.lineage import column_sources
from music_platform.orchestration.assets.marts import BuildConfig


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
def test_what_makes_no_sense_is_refused_before_anything_runs(asked: dict[str, object], said: str) -> None:
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
