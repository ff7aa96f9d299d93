"""The whole way on real parts: broker, Spark Connect, Delta, the warehouse, dbt, Dagster."""

import json
import subprocess
from decimal import Decimal

import dagster as dg

from music_platform.contracts import events
from music_platform.environment import project_root, venv_bin
from music_platform.ingestion.conservation import audit
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.topics import topic_names, topic_offsets
from music_platform.warehouse.connection import connect
from tests.integration.conftest import Platform, eventsim_records
from tests.support import oracle, slowdown
from tests.support.sql_lint import problems_of

PATTERNS = project_root() / "dbt_project" / "seeds" / "device_patterns.csv"

TOP_SONGS = """
    select activity_date, song_key, song_title, artist_id, artist_name, plays, skips, pauses, playlist_adds, thumbs_up,
           thumbs_down, unique_listeners, nominal_seconds from GOLD.TOP_SONGS_DAILY
"""
ENGAGEMENT = """
    select activity_date, user_id, device_type, state, plays, skips, pauses, playlist_adds, sessions, nominal_seconds
    from GOLD.USER_ENGAGEMENT_DAILY
"""
ACTIVE_USERS = """
    select activity_date, daily_active_users, active_users_7d, active_users_30d from GOLD.ACTIVE_USERS_DAILY
"""


def marts(platform: Platform) -> dict[str, set[tuple[object, ...]]]:
    statements = {"songs": TOP_SONGS, "engagement": ENGAGEMENT, "active": ACTIVE_USERS}
    found = {name: platform.rows(statement) for name, statement in statements.items()}
    for name, rows in found.items():
        assert len(rows) == len(set(rows)), f"{name} has rows twice"
    return {name: set(rows) for name, rows in found.items()}


def test_real_eventsim_data_comes_out_with_its_known_figures(platform: Platform) -> None:
    """154,406 events that nobody here made, produced as they are: FACTS.md says what is in them."""
    assert platform.produce(eventsim_records()) == 154_406
    platform.run("everything")
    assert platform.value("select count(*) from RAW.EVENTS") == 154_406
    assert platform.value("select count(*) from RAW.EVENTS where quarantine_reason is not null") == 0
    assert platform.rows("select sum(plays), sum(nominal_seconds) from GOLD.TOP_SONGS_DAILY") == [
        (64_284, Decimal("15350606.250560"))
    ]
    assert platform.rows(
        "select song_title, artist_name, sum(plays) p from GOLD.TOP_SONGS_DAILY group by 1, 2 order by p desc limit 3"
    ) == [
        ("Yo Yo Man (Garter Belt)", "Tony Joe White", 266),
        ("Evenglow", "David & Steve Gordon", 161),
        ("Up Jumped The Devil - Live", "Clarence Gatemouth Brown", 158),
    ]
    assert platform.value("select sum(plays) from GOLD.USER_ENGAGEMENT_DAILY") == 64_284
    assert platform.value("select max(active_users_30d) from GOLD.ACTIVE_USERS_DAILY") == 3_657


def check_query_tags(platform: Platform) -> None:
    """Loader, dbt and checks say in every statement which run sent it, and for which asset."""
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        (run,) = instance.get_runs()
    sent = [
        (statement["text"], json.loads(statement["query_tag"] or "{}"))
        for statement in platform.statements()
        if run.run_id in statement["query_tag"]
    ]

    def assets_of(words: str) -> set[str]:
        return {tag["asset"] for text, tag in sent if words in text}

    assert assets_of("COPY INTO RAW.EVENTS") == {"raw/events"}
    assert assets_of("COPY INTO RAW.SONGS") == {"raw/songs"}
    assert assets_of("THEN e.kafka_offset END") == {"raw/events"}
    of_dbt = [(text, tag) for text, tag in sent if '"node_id": "model.music.top_songs_daily"' in text]
    assert of_dbt
    assert {tag["asset"] for text, tag in of_dbt if "alter session" not in text} == {"dbt"}
    assert any('"node_id": "test.music.unique_key_events' in text for text, _ in sent)
    assert problems_of(text for text, _ in sent) == []
    assert [text for text, _ in sent if '"node_id": "unit_test.' in text] == []
    untagged = [s["text"] for s in platform.statements() if platform.settings.snowflake_database in s["text"]
                and not s["query_tag"] and '"node_id"' in s["text"] and "alter session" not in s["text"]]  # fmt: skip
    assert untagged == []


def test_a_hundred_thousand_events_from_a_fresh_process(platform: Platform) -> None:
    """Counts by topic and partition are equal everywhere, the marts are right, and a second time changes nothing."""
    options = ["--seed", "5", "--users", "3000", "--days", "12", "--events", "100000", "--duplicates", "0.02"]
    subprocess.run(
        [str(venv_bin() / "music-platform"), "simulate", *options, "--late", "0.02", "--v2", "0.3"],
        env=platform.environment,
        check=True,
        capture_output=True,
        timeout=slowdown.seconds(200),
    )
    platform.materialize()
    check_query_tags(platform)

    names = topic_names(platform.settings)
    offsets = topic_offsets(platform.settings.kafka_client_config(), names.values())
    assert offsets.records() >= 100_000
    lake = sum(version.rows for version in DeltaTable(events_path(platform.settings.lake_root)).versions_after(-1))
    assert lake == offsets.records()
    with connect(platform.settings) as session:
        audited = audit(session, platform.settings)
    assert {(p.topic, p.number): each.state.rows for p, each in audited.partitions.items() if each.state.rows} == {
        (topic, number): end for topic, ends in offsets.end.items() for number, end in ends.items() if end
    }
    assert (audited.complaints, audited.postponed) == ([], None)

    records = oracle.consume(platform.settings.kafka_client_config(), list(names.values()))
    assert len(records) == offsets.records()
    happened = oracle.events_of(records, {topic: kind for kind, topic in names.items()})
    assert platform.value("select count(*) from SILVER.EVENTS") == len(happened) < len(records)
    catalogue = oracle.Catalogue.read(platform.settings.reference_root)
    expected = {
        "songs": oracle.top_songs_daily(happened, catalogue),
        "engagement": oracle.user_engagement_daily(happened, PATTERNS),
        "active": oracle.active_users_daily(happened),
    }
    found = marts(platform)
    for name, rows in expected.items():
        assert found[name] == rows, (name, list(found[name] - rows)[:3], list(rows - found[name])[:3])

    platform.run("everything")
    assert platform.value("select count(*) from RAW.EVENTS") == offsets.records()
    assert marts(platform) == found
    check_column_lineage(platform)

    # RAW dropped, reference data and silver damaged: one job brings it all back from the lake, to the row.
    before = layers(platform)
    platform.rows("drop table RAW.EVENTS")
    platform.rows("delete from RAW.SONGS where song_id like '%1%'")
    platform.rows("update SILVER.LISTENS set heard_seconds = 0")
    assert platform.run("rebuild").success
    after = layers(platform)
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    assert [name for name, rows in after.items() if rows != before[name]] == []


def layers(platform: Platform) -> dict[str, list[str]]:
    """Every row of RAW, silver and gold, as text in order; without what tells of the load rather than of the event."""
    loads = {"BATCH_ID", "LOADED_AT", "BUILD", "BUILT_AT"}
    tables: dict[str, list[str]] = {}
    for schema, table, column in platform.rows(
        "select table_schema, table_name, column_name from information_schema.columns "
        "where table_schema in ('RAW', 'SILVER', 'GOLD') order by 1, 2, ordinal_position"
    ):
        tables.setdefault(f"{schema}.{table}", [])
        if column not in loads:
            tables[f"{schema}.{table}"].append(column)
    return {
        name: sorted(map(str, platform.rows(f"select {', '.join(columns)} from {name}")))
        for name, columns in tables.items()
    }


def check_column_lineage(platform: Platform) -> None:
    """Each mart's materialization names the columns above its own; what they name exists."""
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        keys = [key for key in instance.get_asset_keys() if key.path[0] in ("silver", "gold")]
        events = {key: instance.get_latest_materialization_event(key) for key in keys}
    lineage = {
        key: event.asset_materialization.metadata["dagster/column_lineage"].value
        for key, event in events.items()
        if event and event.asset_materialization and "dagster/column_lineage" in event.asset_materialization.metadata
    }
    seeds = {file.stem for file in (project_root() / "dbt_project" / "seeds").glob("*.csv")}
    assert {key.path[-1] for key in keys if key not in lineage} == seeds, "all but the seeds"
    columns = {
        tuple(map(str.lower, row))
        for row in platform.rows("select table_schema, table_name, column_name from information_schema.columns")
    }
    for key, found in lineage.items():
        deps = [dep for deps in found.deps_by_column.values() for dep in deps]
        assert deps, key
        assert {(*dep.asset_key.path, dep.column_name) for dep in deps} <= columns, key
    songs = lineage[dg.AssetKey(["gold", "top_songs_daily"])].deps_by_column
    assert dg.TableColumnDep(dg.AssetKey(["silver", "listens"]), "duration") in songs["nominal_seconds"]


BAD = [b'{"ts": 1', b"\xff\xfe{}", None, b'{"ts": 9223372036854775807, "userId": 1, "songId": "s"}', b'{"ts": "soon"}']
GOOD = (
    b'{"ts": 1793491240000, "sessionId": 1, "userId": 7, "artist": "A", "song": "S", "duration": 10.5, "state": "CA"}'
)


def test_bad_records_are_quarantined_and_stop_nothing(platform: Platform) -> None:
    """Malformed, not UTF-8, a tombstone, an extreme time, a broken contract: a row each, with reason and content."""
    platform.produce([(events.LISTEN, value) for value in (*BAD, GOOD)])
    platform.run("everything")
    rows = platform.rows(
        "select quarantine_reason, payload, payload_base64 from RAW.EVENTS where quarantine_reason is not null"
    )
    assert sorted(rows, key=str) == sorted(
        [
            ("payload: not exactly one JSON object", '{"ts": 1', None),
            ("payload: not UTF-8", None, "//57fQ=="),
            ("payload: none (tombstone)", None, None),
            ("ts: above 253402300799999", BAD[3].decode() if BAD[3] else None, None),
            ("ts: expected integer, found string", '{"ts": "soon"}', None),
        ],
        key=str,
    )
    assert platform.rows("select sum(plays), sum(nominal_seconds) from GOLD.TOP_SONGS_DAILY") == [(1, Decimal("10.5"))]
