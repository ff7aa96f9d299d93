"""What a build notes in OPS.BUILDS, and what follows: a changed formula rebuilds, two builds at once do not mix."""

import shutil
import threading
import time

import pytest

from music_platform.environment import variables_set
from tests.integration.conftest import latest_statements
from tests.integration.marts.test_pitfalls import Feeder
from tests.support import slowdown
from tests.support.event import listen
from tests.support.warehouse import FLAGS, PROJECT, QUIET, BuildError, TestWarehouse, assert_same

ANDROID = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Mobile"


@pytest.fixture
def feed(warehouse: TestWarehouse) -> Feeder:
    """Loads and builds."""
    return Feeder(warehouse)


class Deployment:
    """A copy of the dbt project that a test edits, and dbt on it."""

    def __init__(self, warehouse: TestWarehouse) -> None:
        self.warehouse, self.folder = warehouse, warehouse.scratch / "deployed"
        shutil.copytree(PROJECT, self.folder, ignore=shutil.ignore_patterns("target", "logs"))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace `old`, which occurs, in a file of the project."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def __call__(self, *arguments: str) -> str:
        """Run a dbt command on the copy; returns its log, raises BuildError."""
        from dbt.cli.main import dbtRunner

        lines: list[str] = []
        quiet = [str(self.folder) if part == str(PROJECT) else part for part in QUIET]
        with variables_set(self.warehouse.dbt_variables()):
            result = dbtRunner(callbacks=[lambda event: lines.append(event.info.msg)]).invoke(
                [*arguments, *FLAGS, *quiet]
            )
        output = "\n".join(lines)
        if not result.success:
            raise BuildError(f"{output}\n{result.exception or ''}")
        return output


@pytest.fixture
def deployed(warehouse: TestWarehouse) -> Deployment:
    """The project as it is deployed; `edit` deploys another."""
    return Deployment(warehouse)


def complete_builds(warehouse: TestWarehouse) -> set[str]:
    """Models whose latest build was complete."""
    rows = warehouse.query(
        "select model from OPS.BUILDS where build > 0 "
        "qualify row_number() over (partition by model order by next_invocation is not null, built_at desc) = 1 "
        "and since_build = 0"
    )
    return {row["model"] for row in rows}


#: Three marts of both tiers and all that they are made from: half of the project.
PART = ("--select", "+top_genres_daily", "+top_songs_daily", "+location_metrics_daily")
MART = "models/gold/top_genres_daily.sql"


def two_days(feed: Feeder) -> None:
    """Listens on two dates, in two batches: the second build of each model is incremental."""
    feed.load(listen("2026-06-01T10:00:00", eventId="a", songId="S1", userAgent=ANDROID))
    feed.warehouse.build(*PART)
    feed.load(listen("2026-06-02T10:00:00", eventId="b", songId="S1", userAgent=ANDROID))
    feed.warehouse.build(*PART)
    assert complete_builds(feed.warehouse) == set()


def test_a_changed_formula_rebuilds_the_mart_and_what_reads_it_in_any_order(
    feed: Feeder, warehouse: TestWarehouse, deployed: Deployment
) -> None:
    two_days(feed)
    # Nothing reads this mart, so nothing else is rebuilt: neither by another folder of the project nor by a comment.
    deployed.edit(MART, "count(*) as plays,", "count(*) * 100 as plays,  -- in percent")
    deployed.edit("models/gold/top_songs_daily.sql", "with listens as (", "-- Each day's\nwith  listens  as (")
    feed.load(listen("2026-06-02T12:00:00", eventId="c", songId="S1", userAgent=ANDROID))
    deployed("run", *PART)
    assert complete_builds(warehouse) == {"top_genres_daily"}
    plays = warehouse.query("select plays from GOLD.TOP_GENRES_DAILY order by activity_date")
    assert [row["plays"] for row in plays] == [100, 200]  # of June 1 too, which no event has touched

    # A macro. A mart of the policy tier is built first, from tables of the old formula, so that is its own too.
    deployed.edit("macros/events.sql", "coalesce(events.city, 'Unknown')", "upper(events.city)")
    deployed("run", "--select", "top_genres_daily")
    assert complete_builds(warehouse) == set()
    deployed("run", "--select", "listens", "dim_songs", "top_songs_daily")
    assert complete_builds(warehouse) == {"listens", "top_songs_daily"}
    deployed("run", "--select", "top_genres_daily")
    assert complete_builds(warehouse) == {"listens", "top_songs_daily", "top_genres_daily"}
    assert warehouse.value("select count(*) from SILVER.LISTENS where city = 'PARIS'") == 3


def test_variables_seeds_and_views_belong_to_the_formula(
    feed: Feeder, warehouse: TestWarehouse, deployed: Deployment
) -> None:
    two_days(feed)
    chosen = ("--select", "location_metrics_daily", "user_agents", "listens", "dim_songs")
    named = ("--vars", "{min_cell_users: 1}")
    deployed("run", *chosen, *named)
    assert complete_builds(warehouse) == {"location_metrics_daily"}
    assert warehouse.value("select count(*) from GOLD.LOCATION_METRICS_DAILY where city = 'Paris'") == 2

    # What reads a seed or a view is rebuilt once the warehouse has the new one.
    deployed.edit("seeds/device_patterns.csv", "%Android%Mobile%,mobile", "%Android%Mobile%,phone")
    deployed.edit("models/staging/stg_songs.sql", "songs.genre,", "upper(songs.genre) as genre,")
    deployed("run", *chosen, *named)
    assert complete_builds(warehouse) == set()
    deployed("build", "--select", "device_patterns", "stg_songs", "--exclude-resource-type", "test")
    deployed("run", *chosen, *named)
    assert complete_builds(warehouse) == {"user_agents", "listens", "dim_songs", "location_metrics_daily"}
    assert warehouse.query("select distinct device_type from SILVER.LISTENS") == [{"device_type": "phone"}]


def test_a_large_table_is_not_rebuilt_unasked_and_a_rebuild_that_died_is_done_again(
    feed: Feeder, warehouse: TestWarehouse, deployed: Deployment
) -> None:
    two_days(feed)
    before = warehouse.snapshot("GOLD")
    deployed.edit(MART, "count(*) as plays", "count(*) * 100 as plays, 'en' as language")
    deployed.edit(
        MART.replace("sql", "yml"),
        "    columns:\n",
        "    columns:\n      - {name: language, description: Language., data_type: varchar}\n",
    )
    small = ("run", "--select", "top_genres_daily", "--vars", "{rebuild_limit_rows: 1}")
    with pytest.raises(BuildError, match=r"dbt build --full-refresh --select top_genres_daily\+"):
        deployed(*small)
    assert_same(warehouse.snapshot("GOLD"), before)
    deployed(*small, "--full-refresh")
    found = warehouse.query("select distinct plays, language from GOLD.TOP_GENRES_DAILY")
    assert found == [{"plays": 100, "language": "en"}]
    # As a build leaves it that dies after it has noted that it creates the table.
    warehouse.session.cursor().execute(
        "insert into OPS.BUILDS (model, build, since_build, version, since_version, built_at, invocation_id) "
        "select model, build, build, version, version, sysdate(), 'died' from OPS.BUILDS "
        "where model = 'top_genres_daily' qualify row_number() over (order by built_at desc) = 1"
    )
    deployed("run", "--select", "top_genres_daily")
    assert complete_builds(warehouse) == {"top_genres_daily"}


def test_of_two_builds_at_once_the_second_refuses_with_a_sentence(feed: Feeder, warehouse: TestWarehouse) -> None:
    two_days(feed)
    feed.load(listen("2026-06-02T12:00:00", eventId="c", songId="S1"))
    warehouse.build(*PART, "--exclude", "top_genres_daily")
    cursor = warehouse.session.cursor()

    def sent(what: str) -> int:
        texts = [statement["text"] for statement in latest_statements(warehouse.settings)]
        return sum('"node_id": "model.music.top_genres_daily"' in text and what in text for text in texts)

    def release_when_both_wait() -> None:
        deadline = time.monotonic() + slowdown.seconds(120)
        while sent("delete from") < deletes + 2 and time.monotonic() < deadline:
            cursor.execute("select 1")  # An idle transaction would be rolled back.
            time.sleep(0.2)
        cursor.execute("commit")

    # While this holds the lock of the ledger, one build waits to record itself, the other to change the mart after it.
    cursor.execute("begin")
    cursor.execute("update OPS.BUILDS set access = access where model = 'nobody'")
    deletes = sent("delete from")
    in_a_shell = warehouse.start_dbt("run", "--select", "top_genres_daily")
    release = threading.Thread(target=release_when_both_wait)
    release.start()
    refused = []
    try:
        warehouse.build("--select", "top_genres_daily")
    except BuildError as error:
        refused.append(error.output)
    release.join()
    output, _ = in_a_shell.communicate(timeout=slowdown.seconds(120))
    refused += [output] if in_a_shell.returncode else []
    assert len(refused) == 1, refused
    assert "Another build has changed" in refused[0]
    assert "Nothing is lost" in refused[0]
    latest = "select count(*) from OPS.BUILDS where model = 'top_genres_daily' and next_invocation is null"
    assert warehouse.value(latest) == 1
    assert warehouse.value("select sum(plays) from GOLD.TOP_GENRES_DAILY") == 3


def test_a_clock_that_is_set_back_between_two_builds_hinders_no_later_one(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    """The latest build is the one that has no successor, whatever its time."""
    two_days(feed)
    warehouse.session.cursor().execute("update OPS.BUILDS set built_at = dateadd('minute', 5, built_at)")
    for day in (3, 4):
        feed.load(listen(f"2026-06-0{day}T10:00:00", eventId=f"d{day}", songId="S1", userAgent=ANDROID))
        warehouse.build(*PART)
    assert complete_builds(warehouse) == set()
    plays = warehouse.query("select plays from GOLD.TOP_GENRES_DAILY order by activity_date")
    assert [row["plays"] for row in plays] == [1, 1, 1, 1]


def test_a_displaced_record_leaves_no_value_behind_that_only_it_had(feed: Feeder, warehouse: TestWarehouse) -> None:
    agents = ("--select", "+user_agents")
    feed.load(
        listen("2026-06-01T10:00:00", eventId="a", produced="2026-07-02T00:00:00", city="Waco", userAgent="Old/1.0"),
        listen("2026-06-02T10:00:00", eventId="b", user=2, session=2),
    )
    warehouse.build(*agents)
    assert warehouse.value("select count(*) from SILVER.USER_AGENTS") == 1
    # The earlier record of the event comes later. It differs in nothing but the place and the header.
    feed.load(listen("2026-06-01T10:00:00", eventId="a", produced="2026-07-01T00:00:00", city="Paris"))
    warehouse.build(*agents)
    assert warehouse.value("select count(*) from SILVER.USER_AGENTS") == 0
    # A copy that says the same displaces nothing.
    assert warehouse.value("select count(*) from OPS.DISPLACED_EVENTS") == 1
    feed.load(listen("2026-06-01T10:00:00", eventId="a", produced="2026-06-30T00:00:00", city="Paris"))
    warehouse.build(*agents)
    assert warehouse.value("select count(*) from OPS.DISPLACED_EVENTS") == 1


def test_a_removed_model_does_not_hold_the_ledgers(feed: Feeder, warehouse: TestWarehouse) -> None:
    two_days(feed)
    warehouse.session.cursor().execute(
        "insert into OPS.BUILDS (model, build, since_build, version, since_version, built_at, invocation_id) "
        "select 'renamed_mart', 1, 0, 0, -1, sysdate(), 'long ago'"
    )
    formulas = (
        "select model, formula from OPS.BUILDS "
        "qualify row_number() over (partition by model order by built_at desc) = 1"
    )
    before = {row["model"]: row["formula"] for row in warehouse.query(formulas)}
    warehouse.session.cursor().execute("update OPS.BUILDS set built_at = dateadd('day', -30, built_at)")
    warehouse.dbt("run-operation", "prune_ledgers")
    assert warehouse.value("select count(*) from OPS.TOUCHED_DATES") == 0
    after = {row["model"]: row["formula"] for row in warehouse.query(formulas)}
    assert after == {model: formula for model, formula in before.items() if model != "renamed_mart"}
    assert after["device_patterns"]


#: Each song has one empty cell, the last one all of them.
GAPPY_SONGS = """song_id,title,artist_id,duration,genre,release_year
S1,,A1,200.0,Pop,2000
S2,Two,,200.0,Rock,2001
S3,Three,A1,,Pop,2002
S4,Four,A2,200.0,,2003
S5,Five,A2,200.0,Pop,
S6,Six,not there,200.0,Pop,2004
S7,,,,,
"""
GAPPY_ARTISTS = """artist_id,name,home_city,home_state
A1,,Paris,TX
A2,Second,,
"""


#: These marts, and the tests that read nothing else.
CHECKED_PART = (*PART, "+top_artists_daily", "--indirect-selection", "buildable")


@pytest.mark.parametrize("chosen", [CHECKED_PART, pytest.param((), marks=pytest.mark.long)], ids=["part", "all"])
def test_an_empty_cell_of_the_reference_data_stops_nothing(
    feed: Feeder, warehouse: TestWarehouse, chosen: tuple[str, ...]
) -> None:
    feed.reference(GAPPY_SONGS, GAPPY_ARTISTS)
    feed.load(*(listen(f"2026-06-01T1{n}:00:00", eventId=f"e{n}", songId=f"S{n}") for n in range(1, 8)))
    warehouse.build(*chosen, tests=True)
    warehouse.build(*chosen, "--vars", "{whole_tables: true}", tests=True)
    artists = warehouse.query("select artist_id, artist_name, plays from GOLD.TOP_ARTISTS_DAILY order by artist_id")
    assert [tuple(row.values()) for row in artists] == [
        ("A1", "Unknown", 2), ("A2", "Second", 2), ("not there", "Unknown", 1), ("unknown", "Unknown", 2),
    ]  # fmt: skip
    songs = warehouse.query("select song_title, artist_name from GOLD.TOP_SONGS_DAILY where song_key in ('S1', 'S7')")
    assert {tuple(row.values()) for row in songs} == {("Unknown", "Unknown")}


def test_the_nightly_tests_do_not_blame_users_of_batches_that_the_policy_tier_has_not_got(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    feed.load(listen("2026-06-01T10:00:00", eventId="a"))
    warehouse.build("--select", "+listens", "+dim_users")
    feed.load(listen("2026-06-01T11:00:00", eventId="b", user=77, session=77))
    warehouse.build("--select", "+listens")
    assert warehouse.value("select count(*) from SILVER.DIM_USERS where user_id = '77'") == 0
    nightly = (
        "test",
        "--vars",
        "{whole_tables: true}",
        "--select",
        "relationships_listens_user_id__user_id__ref_dim_users_",
    )
    warehouse.dbt(*nightly)
    # A user who is missing from a batch that dim_users has covered is an orphan.
    warehouse.session.cursor().execute("delete from SILVER.DIM_USERS")
    with pytest.raises(BuildError, match="relationships_listens_user_id"):
        warehouse.dbt(*nightly)


#: Incremental models as dbt's own documentation has them: by merge, by delete+insert, in the project and in a package.
STOCK = {
    "models/extra/plays_by_hour.sql": """
        {{ config(materialized='incremental', unique_key='activity_hour', schema='ops', group='ops') }}
        select activity_hour, plays from {{ ref('hourly_metrics') }}
        {% if is_incremental() %}
        where activity_hour >= (select max(activity_hour) from {{ this }})
        {% endif %}
    """,
    "elsewhere/models/users_of_a_day.sql": """
        {{ config(
            materialized='incremental', incremental_strategy='delete+insert', unique_key='activity_date', schema='ops'
        ) }}
        select activity_date, count(distinct user_id) as users from {{ target.database }}.GOLD.STREAMS
        {% if is_incremental() %}
        where activity_date >= (select max(activity_date) from {{ this }})
        {% endif %}
        group by activity_date
    """,
    "elsewhere/dbt_project.yml": "name: elsewhere\nconfig-version: 2\nmodel-paths: [models]\n",
    "packages.yml": "packages: [{local: elsewhere}]\n",
}


def test_dbts_own_incremental_models_build_beside_ours(
    feed: Feeder, deployed: Deployment, warehouse: TestWarehouse
) -> None:
    for name, text in STOCK.items():
        (deployed.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (deployed.folder / name).write_text(text)
    deployed("deps")
    chosen = (
        "--select",
        "+hourly_metrics",
        "plays_by_hour",
        "streams",
        "dim_songs",
        "sessions",
        "time_zones",
    )
    without_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
    feed.load(*(listen(f"2026-06-01T1{n}:00:00", eventId=f"a{n}", user=n, session=n) for n in range(3)))
    deployed("build", *chosen, *without_tests)
    deployed("build", "--select", "elsewhere")
    feed.load(
        listen("2026-06-01T23:30:00", eventId="b1", user=7, session=7),
        listen("2026-06-02T10:00:00", eventId="b2", user=7, session=8),
    )
    deployed("build", *chosen, *without_tests)
    deployed("build", "--select", "elsewhere")
    hours = warehouse.query("select * from OPS.PLAYS_BY_HOUR where plays > 0 order by activity_hour")
    assert [(row["activity_hour"].hour, row["plays"]) for row in hours] == [(10, 1), (11, 1), (12, 1), (23, 1), (10, 1)]
    days = warehouse.query("select * from OPS.USERS_OF_A_DAY order by activity_date")
    assert [row["users"] for row in days] == [4, 1]
    sent = [said["text"].lower() for said in latest_statements(warehouse.settings)]
    assert any("merge into" in text and "plays_by_hour" in text for text in sent)
    assert any("delete from" in text and "users_of_a_day" in text for text in sent)
    assert warehouse.value("select count(*) from OPS.BUILDS where model in ('plays_by_hour', 'users_of_a_day')") == 0
    # Ours went on as it does: its second build changed rows, and is in the ledger.
    assert "hourly_metrics" not in complete_builds(warehouse)
