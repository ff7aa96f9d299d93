"""What breaks in existing systems and cannot break here: one test per pitfall of the warehouse."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from music_platform.warehouse.schema import provision_warehouse
from tests.integration.conftest import latest_statements
from tests.support.event import event, listen, page, record, upgrade
from tests.support.lake import Lake, Record, rows_of
from tests.support.warehouse import PROJECT, TestWarehouse, assert_same

SONGS = """song_id,title,artist_id,duration,genre,release_year
S1,Same Title,A1,200.0,Pop,2000
S2,Same Title,A2,200.0,Rock,2001
S3,Other Title,A1,200.0,Pop,2002
"""
ARTISTS = """artist_id,name,home_city,home_state
A1,Shared Name,Paris,TX
A2,Shared Name,Rome,GA
A3,Own Name,Rome,GA
"""
USERS = (
    "user_id,first_name,last_name,gender,registration,level,city,state,zip,lat,lon,country,device_type\n"
    "1,A,B,F,1577836800000,free,Paris,TX,75460,33.66,-95.55,US,mobile\n"
)


class Feeder:
    """Loads records into the warehouse and builds."""

    def __init__(self, warehouse: TestWarehouse) -> None:
        self.warehouse, self.lake = warehouse, Lake(warehouse.scratch / "lake")
        self.reference(SONGS, ARTISTS)

    def reference(self, songs: str, artists: str) -> None:
        """Replace the reference data."""
        folder = self.warehouse.scratch / "reference"
        folder.mkdir(exist_ok=True)
        for name, text in (("songs", songs), ("artists", artists), ("users", USERS)):
            (folder / f"{name}.csv").write_text(text)
        self.warehouse.load_reference(folder)

    def load(self, *records: Record) -> None:
        """A version of the lake, loaded."""
        self.lake.append(rows_of(records))
        self.warehouse.load(self.lake.root)

    def __call__(self, *records: Record) -> None:
        """The same, and a build."""
        self.load(*records)
        self.warehouse.build()


@pytest.fixture(params=["named models", pytest.param("every model", marks=pytest.mark.long)])
def feed(request: pytest.FixtureRequest, warehouse: TestWarehouse) -> Feeder:
    """Loads and builds: the models that the test names and what they are made from, or, which takes minutes, all."""
    if request.param == "named models":
        warehouse.narrow_to_models_of(source_of(request.function))
    return Feeder(warehouse)


def source_of(function: Callable[..., object]) -> str:
    """The source of a function and of those in its module that it names."""
    named = [function.__globals__.get(name) for name in function.__code__.co_names]
    helpers = [found for found in named if inspect.isfunction(found) and found.__module__ == function.__module__]
    return "\n".join(map(inspect.getsource, (function, *helpers)))


def same_as_a_whole_build(warehouse: TestWarehouse) -> None:
    """The incremental builds gave the same tables as a full build."""
    found = warehouse.snapshot()
    warehouse.build("--full-refresh")
    assert_same(warehouse.snapshot(), found)


def ten_days_and_damage(feed: Feeder, *statements: str) -> dict[str, list[str]]:
    """A listen of another user on each of ten dates, then what these statements do; what was there before them."""
    feed(*(listen(f"2026-06-{day:02d}T10:00:00", user=day, session=day, eventId=f"e{day}") for day in range(1, 11)))
    before = feed.warehouse.snapshot()
    for statement in statements:
        feed.warehouse.session.cursor().execute(statement)
    return before


def test_a_join_by_name_does_not_fan_out(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        listen("2026-06-01T10:00:00", songId="S1", artist="Shared Name", song="Same Title"),
        listen("2026-06-01T10:05:00", songId="S2", artist="Shared Name", song="Same Title"),
        listen("2026-06-01T10:10:00", artist="Shared Name", song="Same Title"),
        listen("2026-06-01T10:15:00", artist="Shared Name", song="Other Title"),
        listen("2026-06-01T10:20:00", artist="Own Name", song="Unheard Of"),
    )
    marts = ("top_songs_daily", "top_artists_daily", "top_genres_daily", "user_engagement_daily", "daily_summary",
             "hourly_metrics", "location_metrics_daily", "demographics_daily", "device_metrics_daily",
             "user_activity_tiers")  # fmt: skip
    assert {mart: warehouse.value(f"select sum(plays) from GOLD.{mart}") for mart in marts} == dict.fromkeys(marts, 5)
    assert warehouse.value("select sum(plays) from GOLD.LISTENING_SESSIONS") == 5
    keys = {row["song_key"]: row["artist_id"] for row in warehouse.query("select * from GOLD.TOP_SONGS_DAILY")}
    assert len(keys) == 5  # S1, S2, S3, the ambiguous pair and the unknown song
    assert keys["S3"] == "A1"
    assert [artist for key, artist in keys.items() if key not in ("S1", "S2", "S3")].count("A3") == 1


def test_a_rerun_changes_nothing_and_late_events_correct_their_days(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(listen("2026-06-01T10:00:00", eventId="a"), listen("2026-06-09T10:00:00", eventId="b"))
    before = warehouse.snapshot()
    warehouse.build()
    warehouse.build()
    assert_same(warehouse.snapshot(), before)
    assert warehouse.value("select count(*) from GOLD.DAILY_SUMMARY") == 9

    feed(listen("2026-06-03T10:00:00", eventId="c"), listen("2026-05-30T10:00:00", user=2, eventId="d"))
    days = {str(row["activity_date"]): row["plays"] for row in warehouse.query("select * from GOLD.DAILY_SUMMARY")}
    assert len(days) == 11
    assert (days["2026-05-30"], days["2026-06-03"], days["2026-06-02"]) == (1, 1, 0)
    same_as_a_whole_build(warehouse)


def test_dates_between_the_old_and_the_new_last_listen_are_in_the_spine(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(listen("2026-06-01T10:00:00", eventId="a"), page("2026-06-20T10:00:00", "Home", eventId="p"))
    assert warehouse.value("select count(*) from GOLD.ACTIVE_USERS_DAILY") == 1
    feed(listen("2026-06-25T10:00:00", eventId="b"))
    assert warehouse.value("select count(*) from GOLD.ACTIVE_USERS_DAILY") == 25
    assert warehouse.value("select count(*) from GOLD.HOURLY_METRICS") == 25 * 24
    assert warehouse.value("select visitors from GOLD.CONVERSION_FUNNEL_DAILY where activity_date = '2026-06-20'") == 1
    same_as_a_whole_build(warehouse)


def test_an_earlier_record_displaces_an_event_and_its_rows_vanish(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        listen("2026-06-01T10:00:00", eventId="a"),
        listen(
            "2026-07-03T10:00:00",
            user=7,
            session=7,
            artist="X",
            song="Y",
            eventId="b",
            city="Far",
            produced="2026-07-03",
        ),
    )
    assert warehouse.value("select count(*) from GOLD.CHURN_MONTHLY") == 2
    feed(listen("2026-06-02T10:00:00", user=8, session=8, eventId="b", produced="2026-07-02"))
    assert warehouse.value("select count(*) from GOLD.CHURN_MONTHLY") == 1
    assert warehouse.value("select count(*) from GOLD.DAILY_SUMMARY") == 2
    for table in ("SILVER.DIM_USERS", "GOLD.USER_ACTIVITY_TIERS", "SILVER.SESSIONS"):
        assert warehouse.value(f"select count(*) from {table} where user_id = '7'") == 0
    assert warehouse.value("select count(*) from SILVER.DIM_SONGS where song_title = 'Y'") == 0
    assert warehouse.value("select count(*) from SILVER.DIM_LOCATIONS where city = 'Far'") == 0
    same_as_a_whole_build(warehouse)


def test_malformed_json_is_quarantined_with_its_text_and_can_be_redriven(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    broken = record("listen_events", b'{"ts": 1, "sessionId": 1')
    feed(listen("2026-06-01T10:00:00"), broken, record("listen_events", b"\xff\xfe"))
    rows = warehouse.query("select * from SILVER.QUARANTINE order by kafka_offset")
    assert [row["payload"] for row in rows] == ['{"ts": 1, "sessionId": 1', None]
    assert rows[1]["payload_base64"] == "//4="
    assert all(row["quarantine_reason"] and row["redriven_at"] is None for row in rows)
    assert warehouse.value("select count(*) from SILVER.EVENTS") == 1

    again = listen("2026-06-01T11:00:00")
    feed(Record(again.topic, again.offset, again.value, again.timestamp_ms, redrive_of=rows[0]["record_id"]))
    feed(Record(again.topic, again.offset + 1000, again.value, again.timestamp_ms + 1, redrive_of=rows[0]["record_id"]))
    assert warehouse.value("select count(*) from SILVER.EVENTS") == 2
    redriven = "select count(*) from SILVER.QUARANTINE where redriven_at is not null"
    assert warehouse.value(redriven) == 1
    same_as_a_whole_build(warehouse)


def test_two_events_of_one_user_session_and_time_are_two(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(listen("2026-06-01T10:00:00"), listen("2026-06-01T10:00:00"))
    assert warehouse.value("select count(*) from SILVER.LISTENS") == 2


def test_no_date_dimension_ends(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        listen("2009-12-31T10:00:00", produced="2009-12-31T10:00:00"),
        listen("2049-06-01T10:00:00", produced="2049-06-01T10:00:00"),
    )
    bounds = warehouse.query("select min(activity_date) a, max(activity_date) b, count(*) n from GOLD.DAILY_SUMMARY")[0]
    assert (str(bounds["a"]), str(bounds["b"])) == ("2009-12-31", "2049-06-01")
    assert bounds["n"] == warehouse.value("select datediff('day', '2009-12-31'::date, '2049-06-01'::date) + 1")


def test_a_wrong_clock_counts_at_the_time_of_its_record_and_moves_nothing(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    def heard_at(day: int, user: int, time: str | None = None, **fields: object) -> Record:
        sent = f"2026-06-{day:02d}T10:00:01"
        return listen(time or f"2026-06-{day:02d}T10:00:00", user=user, session=user, produced=sent, **fields)

    feed(*(heard_at(day, user) for day in range(1, 11) for user in (1, 2)))
    marts = ("DAILY_SUMMARY", "HOURLY_METRICS", "RETENTION_COHORTS", "TRAFFIC_ANOMALIES")
    sizes = {mart: warehouse.value(f"select count(*) from GOLD.{mart}") for mart in marts}
    # One phone is 22 hours ahead, another one was reset to 2010, and a third one only 9 minutes ahead.
    feed(
        heard_at(10, 1, "2026-06-11T08:00:00", eventId="ahead"),
        heard_at(10, 2, "2010-01-01T00:00:00", eventId="reset"),
        heard_at(10, 2, "2026-06-10T10:09:00", eventId="fine"),
    )  # fmt: skip
    assert {mart: warehouse.value(f"select count(*) from GOLD.{mart}") for mart in marts} == sizes
    last = "select plays from GOLD.DAILY_SUMMARY order by activity_date desc limit 1"
    assert warehouse.value(last) == 5
    suspect = "select event_id, event_time, client_time from SILVER.EVENTS where is_clock_suspect order by event_id"
    assert [tuple(map(str, row.values())) for row in warehouse.query(suspect)] == [
        ("ahead", "2026-06-10 10:00:01", "2026-06-11 08:00:00"),
        ("reset", "2026-06-10 10:00:01", "2010-01-01 00:00:00"),
    ]  # fmt: skip
    same_as_a_whole_build(warehouse)

    # June 10 has begun, so its row must not look like a collapse. A record of the next day, with an event of June 3,
    # completes it: by Kafka's time, with no event of its own.
    def complete() -> list[tuple[object, ...]]:
        days = (
            "select is_complete, plays_change, plays_7d_avg is null from GOLD.DAILY_SUMMARY order by activity_date desc"
        )
        hours = "select max(activity_hour)::varchar, count_if(is_complete) from GOLD.HOURLY_METRICS"
        users = "select count_if(is_complete), count(*) from GOLD.USER_ENGAGEMENT_DAILY"
        return [tuple(warehouse.query(text)[0].values()) for text in (days, hours, users)]

    assert complete() == [(False, None, True), ("2026-06-10 10:00:00", 226), (18, 20)]
    feed(listen("2026-06-03T10:00:00", user=1, session=1, eventId="late", produced="2026-06-11T02:30:00"))
    assert complete() == [(True, 3, False), ("2026-06-10 23:00:00", 240), (20, 20)]
    same_as_a_whole_build(warehouse)
    warehouse.build("--vars", json.dumps({"clock_behind_days": 7000}))
    assert warehouse.value("select min(activity_date)::varchar from GOLD.DAILY_SUMMARY") == "2010-01-01"


def test_level_flips_of_one_day_or_instant_give_no_empty_history_row(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        listen("2026-06-01T09:00:00", eventId="a", itemInSession=0),
        upgrade("2026-06-01T10:00:00", "free", eventId="b", itemInSession=1),
        upgrade("2026-06-01T10:00:00", "paid", eventId="c", itemInSession=2),
        upgrade("2026-06-01T12:00:00", "free", eventId="d", itemInSession=3),
    )
    history = "select level, valid_from, valid_to from SILVER.DIM_USERS where user_id = '1' order by valid_from"
    assert [row["level"] for row in warehouse.query(history)] == ["free", "paid"]
    feed(upgrade("2026-06-01T11:00:00", "paid", eventId="e", itemInSession=4))
    rows = warehouse.query(history)
    assert all(row["valid_to"] is None or row["valid_from"] < row["valid_to"] for row in rows)
    assert [a["valid_to"] for a in rows[:-1]] == [b["valid_from"] for b in rows[1:]]
    assert rows[-1]["valid_to"] is None
    assert warehouse.value("select count(*) from SILVER.LEVEL_CHANGES") == 4
    same_as_a_whole_build(warehouse)


def test_subscribers_come_from_every_event_and_leave_by_cancellation(feed: Feeder, warehouse: TestWarehouse) -> None:
    """User 1's change was lost; user 2 goes from trial to family; user 3 subscribes in another country."""
    feed(
        listen("2026-06-01T10:00:00", user=1, session=1),
        listen("2026-06-02T10:00:00", user=1, session=1, level="paid"),
        upgrade("2026-06-01T11:00:00", "trial", user=2, session=2, levelAfter="family", country="FR"),
        listen("2026-06-02T11:00:00", user=2, session=2, level="family", country="FR"),
        listen("2026-06-02T12:00:00", user=3, session=3, level="paid", country="DE"),
        page("2026-06-03T10:00:00", "Cancellation Confirmation", user=1, session=1, level="paid", eventId="bye"),
        listen("2026-06-03T09:00:00", user=3, session=3, level="paid", country="DE"),
    )  # fmt: skip
    paying = "select user_id, level from SILVER.DIM_USERS where is_current and level <> 'free' order by 1"
    assert [tuple(row.values()) for row in warehouse.query(paying)] == [("2", "family"), ("3", "paid")]
    changes = "select level_before, level_after from SILVER.LEVEL_CHANGES"
    assert [tuple(row.values()) for row in warehouse.query(changes)] == [("trial", "family")]
    moves = (
        "select to_varchar(activity_date, 'DD') as day, plan, country, opening, first_seen, new, cancelled, closing "
        "from GOLD.SUBSCRIPTION_MOVEMENTS_DAILY order by 1, 2, 3"
    )
    assert [tuple(row.values()) for row in warehouse.query(moves)] == [
        ("01", "family", "FR", 0, 1, 0, 0, 1), ("02", "family", "FR", 1, 0, 0, 0, 1),
        ("02", "paid", "DE", 0, 1, 0, 0, 1), ("02", "paid", "Unknown", 0, 0, 1, 0, 1),
        ("03", "family", "FR", 1, 0, 0, 0, 1), ("03", "paid", "DE", 1, 0, 0, 0, 1),
        ("03", "paid", "Unknown", 1, 0, 0, 1, 0),
    ]  # fmt: skip
    # The user comes back, and a late event of the first date says paid, but is not its last.
    feed(
        listen("2026-06-04T10:00:00", user=1, session=4, level="paid"),
        listen("2026-06-01T09:00:00", user=1, session=5, level="paid"),
    )
    user = "select movement from SILVER.SUBSCRIPTIONS where user_id = '1' order by activity_date"
    assert [row["movement"] for row in warehouse.query(user)] == ["new", "cancelled", "reactivated"]
    history = "select valid_to is null as open from SILVER.DIM_USERS where user_id = '1' order by valid_from"
    assert [row["open"] for row in warehouse.query(history)][-1]
    same_as_a_whole_build(warehouse)
    warehouse.dbt("test", "--select", "subscription_movements_daily")


def test_a_late_event_joins_two_sessions(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(listen("2026-06-01T23:30:00", eventId="a"), listen("2026-06-02T00:10:00", eventId="b", level="paid"))
    assert warehouse.value("select count(*) from GOLD.LISTENING_SESSIONS") == 2
    feed(page("2026-06-01T23:50:00", "Home", eventId="c"))
    (session,) = warehouse.query("select * from GOLD.LISTENING_SESSIONS")
    assert (session["plays"], session["level"], session["session_end"].hour) == (2, "paid", 0)
    assert warehouse.value("select min(sessions) from GOLD.DAILY_SUMMARY") == 1
    same_as_a_whole_build(warehouse)


def test_when_the_catalogue_changes_only_affected_listens_do(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        listen("2026-06-01T10:00:00", artist="Own Name", song="New Song", eventId="a"),
        listen("2026-06-02T10:00:00", artist="Shared Name", song="Other Title", eventId="b"),
        listen("2026-06-03T10:00:00", songId="S9", artist="Who", song="What", eventId="c"),
    )
    feed.reference(SONGS + "S4,New Song,A3,200.0,Jazz,2020\nS9,Nine,A3,200.0,Folk,1999\n", ARTISTS)
    warehouse.build()
    found = {str(row["activity_date"]): row for row in warehouse.query("select * from GOLD.TOP_SONGS_DAILY")}
    assert found["2026-06-01"]["song_key"] == "S4"
    assert (found["2026-06-03"]["song_title"], found["2026-06-03"]["artist_id"]) == ("Nine", "A3")
    touched = "select distinct event_date from OPS.TOUCHED_DATES where subject = 'songs' and event_date is not null"
    assert sorted(str(row["event_date"]) for row in warehouse.query(touched)) == ["2026-06-01", "2026-06-03"]
    assert {row["genre"] for row in warehouse.query("select genre from GOLD.TOP_GENRES_DAILY")} == {
        "Jazz",
        "Pop",
        "Folk",
    }
    same_as_a_whole_build(warehouse)
    feed.reference(SONGS, ARTISTS)
    warehouse.build()
    same_as_a_whole_build(warehouse)


def heard(warehouse: TestWarehouse) -> list[tuple[float | None, bool, str, bool]]:
    """How much of each listen was heard, in order of time."""
    rows = warehouse.query(
        "select heard_seconds, heard_is_estimated, ended_by, is_stream from SILVER.LISTENS order by event_time, user_id"
    )
    return [
        (None if row["heard_seconds"] is None else float(row["heard_seconds"]), *list(row.values())[1:]) for row in rows
    ]


def at_item(kind: str, time: str, item: int, **fields: object) -> Record:
    """A listen or page view with its place in the session."""
    fields = {"itemInSession": item, "eventId": f"{kind}{item}", **fields}
    return listen(time, **fields) if kind == "listen" else page(time, kind, **fields)


def test_what_was_heard_comes_from_the_event_that_ends_the_song(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(
        at_item("listen", "2026-06-01T23:50:00", 1), at_item("NextSong", "2026-06-01T23:50:00", 1),
        at_item("Skip", "2026-06-01T23:50:20", 2, listenedSeconds=20.0),
        at_item("listen", "2026-06-01T23:58:00", 3), at_item("NextSong", "2026-06-01T23:58:00", 3),
    )  # fmt: skip
    assert heard(warehouse) == [(20.0, False, "skip", False), (200.0, True, "unknown", True)]
    day = "select streams, plays, heard_seconds, nominal_seconds from GOLD.TOP_ARTISTS_DAILY"
    assert [float(value) for value in warehouse.query(day)[0].values()] == [1, 2, 220, 400]
    # An event of the next date changes what was heard on this one.
    feed(at_item("Logout", "2026-06-02T00:01:00", 4, listenedSeconds=180.0))
    assert heard(warehouse)[1] == (180.0, False, "logout", True)
    assert float(warehouse.value("select heard_seconds from GOLD.TOP_ARTISTS_DAILY")) == 200.0
    assert float(warehouse.value("select heard_seconds from GOLD.LISTENING_SESSIONS")) == 200.0
    same_as_a_whole_build(warehouse)


def test_without_a_report_what_was_heard_is_the_time_to_the_end_without_pauses(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    feed(
        at_item("listen", "2026-06-01T10:00:00", 1),
        at_item("Pause", "2026-06-01T10:00:10", 2), at_item("Resume", "2026-06-01T10:01:40", 3),
        at_item("listen", "2026-06-01T10:02:00", 4),
        at_item("listen", "2026-06-01T10:22:00", 5, duration=900.0),
        at_item("Playback End", "2026-06-01T10:30:00", 6, listenedSeconds=480.0),
        listen("2026-06-01T10:00:00", user=2, session=2, eventId="z", duration=None),
    )  # fmt: skip
    assert heard(warehouse) == [
        (30.0, True, "next", True), (None, True, "unknown", False), (200.0, True, "next", True),
        (480.0, False, "end", True),
    ]  # fmt: skip
    same_as_a_whole_build(warehouse)


def test_a_lost_page_view_gives_no_song_the_seconds_of_another(feed: Feeder, warehouse: TestWarehouse) -> None:
    """The NextSong of the second song is missing; then both its records are, and its Skip names it."""
    feed(
        at_item("listen", "2026-06-01T10:00:00", 1, songId="S1", duration=100.0),
        at_item("listen", "2026-06-01T10:01:40", 2, songId="S2", duration=500.0, listenedSeconds=100.0),
        at_item("NextSong", "2026-06-01T10:10:00", 3, songId="S3", listenedSeconds=500.0),
        at_item("listen", "2026-06-01T10:10:00", 3, songId="S3", listenedSeconds=500.0),
        at_item("Skip", "2026-06-01T10:20:00", 5, songId="S1", listenedSeconds=7.0),
    )
    assert heard(warehouse) == [
        (100.0, False, "next", True), (500.0, False, "next", True), (200.0, True, "skip", True),
    ]  # fmt: skip
    same_as_a_whole_build(warehouse)


def test_a_record_without_a_session_takes_over_nothing_of_the_one_that_it_displaces(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    feed(listen("2026-06-01T10:00:00", eventId="a", session=None, duration=4000.0, produced="2026-07-02"))
    # The catalogue changes meanwhile: then rows that stand keep what no session has changed.
    feed.reference(SONGS + "S9,Nothing,A9,20.0,Pop,2000\n", ARTISTS + "A9,Nobody,Rome,GA\n")
    feed(listen("2026-06-01T10:00:00", eventId="a", session=None, duration=20.0, produced="2026-07-01"))
    (row,) = warehouse.query("select duration, heard_seconds, is_stream from SILVER.LISTENS")
    assert (row["duration"], row["heard_seconds"], row["is_stream"]) == (20, 20, False)
    same_as_a_whole_build(warehouse)


def test_a_session_lasts_until_what_plays_has_ended(feed: Feeder, warehouse: TestWarehouse) -> None:
    mix = {"duration": 2700.0}
    feed(
        at_item("listen", "2026-06-01T23:20:00", 1, **mix), at_item("listen", "2026-06-02T00:34:00", 2, **mix),
        at_item("listen", "2026-06-01T10:00:00", 1, session=2, eventId="x", **mix),
        at_item("Skip", "2026-06-01T10:10:00", 2, session=2, eventId="y"),
        at_item("listen", "2026-06-01T10:40:00", 3, session=2, eventId="z", duration=60.0),
    )  # fmt: skip
    sessions = "select session_id, plays, session_end from GOLD.LISTENING_SESSIONS order by session_start"
    assert [(row["session_id"], row["plays"], str(row["session_end"])) for row in warehouse.query(sessions)] == [
        (2, 1, "2026-06-01 10:10:00"), (2, 1, "2026-06-01 10:41:00"), (1, 2, "2026-06-02 01:19:00"),
    ]  # fmt: skip
    same_as_a_whole_build(warehouse)
    feed(at_item("Playback End", "2026-06-01T23:30:00", 9, eventId="late"))
    assert [row["plays"] for row in warehouse.query(sessions)] == [1, 1, 1, 1]
    same_as_a_whole_build(warehouse)


def test_another_limit_for_streams_rebuilds_every_date(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(*(listen(f"2026-06-0{day}T10:00:00", user=day, session=day, eventId=f"e{day}") for day in (1, 2, 3)))
    feed(listen("2026-06-03T11:00:00", user=3, session=3, eventId="later"))
    assert warehouse.value("select sum(streams) from GOLD.DAILY_SUMMARY") == 4
    warehouse.build("--vars", json.dumps({"stream_seconds": 201}))
    assert warehouse.value("select sum(streams) from GOLD.DAILY_SUMMARY") == 0


def test_a_late_event_costs_the_dates_that_it_touches(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(*(listen(f"2026-06-{day:02d}T10:00:00", eventId=f"e{day}") for day in range(1, 29)))
    feed(listen("2026-06-05T11:00:00", eventId="late"))
    compiled = warehouse.scratch / "target" / "compiled" / "music" / "models" / "gold" / "location_metrics_daily.sql"
    statement = compiled.read_text()
    assert "activity_date in ('2026-06-05'::date)" in statement
    noted = "select distinct event_date from OPS.TOUCHED_DATES where subject = 'events' and build = 2"
    assert [str(row["event_date"]) for row in warehouse.query(noted)] == ["2026-06-05"]


def test_a_late_event_costs_the_rows_of_its_visitor(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(*(listen("2026-06-05T10:00:00", user=n, session=n, eventId=f"e{n}") for n in (1, 2)))
    marks = {"SILVER.SESSION_DATES": "page_views", "SILVER.USER_STATES": "item_in_session",
             "GOLD.USER_ENGAGEMENT_DAILY": "pauses"}  # fmt: skip
    for table, column in marks.items():
        warehouse.session.cursor().execute(f"update {table} set {column} = 77")
    feed(listen("2026-06-05T11:00:00", user=1, session=1, eventId="late"))
    for table, column in marks.items():
        marked = warehouse.query(f"select distinct user_id from {table} where {column} = 77")
        assert marked == [{"user_id": "2"}], f"{table}: rows that the event does not change stay, its own are new"
    assert warehouse.value("select plays from GOLD.USER_ENGAGEMENT_DAILY where user_id = '1'") == 2
    warehouse.build("--vars", json.dumps({"rebuild_from": "2026-06-05"}))
    assert not any(warehouse.query(f"select 1 from {table} where {column} = 77") for table, column in marks.items())
    same_as_a_whole_build(warehouse)


def test_a_build_that_was_killed_is_healed_by_the_next(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(*(listen(f"2026-06-{day:02d}T10:00:00", eventId=f"e{day}") for day in range(1, 20)))
    for number, models in enumerate((2, 7, 12)):
        feed.load(*(listen(f"2026-06-{day:02d}T1{number}:30:00", eventId=f"k{number}{day}") for day in range(5, 25)))
        warehouse.killed_build(models)
    warehouse.build()
    marts = ("daily_summary", "hourly_metrics", "top_songs_daily", "top_artists_daily", "location_metrics_daily")
    plays = {mart: warehouse.value(f"select sum(plays) from GOLD.{mart}") for mart in marts}
    assert plays == dict.fromkeys(marts, 19 + 3 * 20)
    same_as_a_whole_build(warehouse)


def test_a_date_range_can_be_rebuilt(feed: Feeder, warehouse: TestWarehouse) -> None:
    before = ten_days_and_damage(
        feed,
        "delete from SILVER.LISTENS where activity_date between '2026-06-03' and '2026-06-05'",
        "update SILVER.EVENTS set user_id = '99' where activity_date = '2026-06-04'",
        "update GOLD.DAILY_SUMMARY set plays = 77 where activity_date = '2026-06-05'",
        "delete from SILVER.SESSIONS where session_id = 4",
    )
    warehouse.build("--vars", json.dumps({"rebuild_from": "2026-06-03", "rebuild_to": "2026-06-05"}))
    assert_same(warehouse.snapshot(), before)


def test_scattered_dates_are_built_together_with_the_gaps_between_them(feed: Feeder, warehouse: TestWarehouse) -> None:
    """Statements stay short, however many dates an import touches."""
    days = range(1, 28, 4)
    feed(*(listen(f"2026-06-{day:02d}T10:00:00", user=day % 3, eventId=f"e{day}") for day in range(1, 28)))
    feed.load(*(listen(f"2026-06-{day:02d}T23:50:00", user=day % 3, eventId=f"late{day}") for day in days))
    warehouse.build("--vars", json.dumps({"most_date_ranges": 2}))
    assert warehouse.value("select sum(plays) from GOLD.DAILY_SUMMARY") == 27 + len(days)
    same_as_a_whole_build(warehouse)


def test_a_rebuild_that_came_as_far_as_events_is_finished_by_the_next_build(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    before = ten_days_and_damage(
        feed,
        "delete from SILVER.LISTENS where activity_date = '2026-06-03'",
        "update SILVER.LISTENS set event_id = 'of no event' where activity_date = '2026-06-04'",
        "update SILVER.EVENTS set user_id = '99' where activity_date = '2026-06-04'",
        "delete from SILVER.SESSIONS where session_id = 4",
    )
    dates = json.dumps({"rebuild_from": "2026-06-03", "rebuild_to": "2026-06-04"})
    warehouse.build("--vars", dates, "--select", "event_dates", "events")
    warehouse.build()
    assert_same(warehouse.snapshot(), before)


def test_nothing_reads_the_session_clock_or_an_ambiguous_day_of_the_week() -> None:
    files = [
        *PROJECT.glob("models/**/*.sql"),
        *PROJECT.glob("macros/*.sql"),
        *(PROJECT.parent / "queries").glob("*.sql"),
    ]
    words = ("current_timestamp", "current_date", "getdate(", "dayofweek(", "weekofyear(", "create or replace table")
    found = [(file.name, word) for file in files for word in words if word in _without_comments(file)]
    assert not found


def _without_comments(file: Path) -> str:
    return "\n".join(line.split("--")[0] for line in file.read_text().lower().splitlines())


def test_guests_and_logged_out_events_are_sessions_and_pages_but_no_users(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    feed(
        listen("2026-06-01T10:00:00"),
        page("2026-06-01T10:00:30", "Home", user=None),
        event("auth_events", "2026-06-01T10:01:00", user=None, success=False),
    )
    (day,) = warehouse.query("select * from GOLD.DAILY_SUMMARY")
    assert (day["plays"], day["active_users"], day["sessions"]) == (1, 1, 1)
    assert warehouse.value("select visitors from GOLD.CONVERSION_FUNNEL_DAILY") == 1


def test_events_without_a_user_belong_to_the_only_user_of_their_session(feed: Feeder, warehouse: TestWarehouse) -> None:
    def visit(session: int, *views: tuple[str, str, int | None]) -> list[Record]:
        return [
            page(time, name, user=user, session=session, eventId=f"{session}{name}{time}{user}",
                 auth="Logged In" if user else "Guest")
            for time, name, user in views
        ]  # fmt: skip

    feed(
        listen("2026-06-01T08:00:00", user=9, session=9),
        *visit(1, ("2026-06-01T23:58:00", "Home", None), ("2026-06-02T00:02:00", "Submit Registration", 1)),
        *visit(2, ("2026-06-01T10:00:00", "Register", None)),
        *visit(3, ("2026-06-01T10:00:00", "Home", None), ("2026-06-01T10:01:00", "Home", 3)),
    )
    whose = "select session_id, visitor, events from SILVER.SESSIONS where session_id < 9 order by 1, 2, 3"

    def sessions() -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in warehouse.query(whose)]

    assert sessions() == [(1, "1", 2), (2, "guest-2", 1), (3, "3", 2)]
    funnel = "select guests, registrations, registration_rate from GOLD.CONVERSION_FUNNEL_DAILY where guests > 0"
    assert [tuple(row.values()) for row in warehouse.query(funnel)] == [(3, 1, pytest.approx(1 / 3))]
    # A user on a later date, and a second user, change whose the events of the first date are.
    feed(
        *visit(2, ("2026-06-03T10:00:00", "Home", 2)), *visit(3, ("2026-06-02T10:05:00", "Home", 4)),
        listen("2026-06-03T10:00:00", user=9, session=9),
    )  # fmt: skip
    assert sessions() == [(1, "1", 2), (2, "2", 1), (2, "2", 1), (3, "3", 1), (3, "4", 1), (3, "guest-3", 1)]
    same_as_a_whole_build(warehouse)
    # The record of the second user is displaced by an earlier one of the first.
    (again,) = visit(3, ("2026-06-02T10:05:00", "Home", 3))
    body = {**json.loads(again.value or b""), "eventId": "3Home2026-06-02T10:05:004"}
    feed(record("page_view_events", json.dumps(body).encode(), "2026-06-30T00:00:00"))
    assert sessions() == [(1, "1", 2), (2, "2", 1), (2, "2", 1), (3, "3", 1), (3, "3", 2)]
    same_as_a_whole_build(warehouse)


def places(warehouse: TestWarehouse) -> dict[tuple[str, str], tuple[int, int]]:
    """Plays and users of each place of the one date."""
    rows = warehouse.query("select * from GOLD.LOCATION_METRICS_DAILY")
    return {(row["state"], row["city"]): (row["plays"], row["users"]) for row in rows}


def test_a_place_is_named_once_enough_users_are_there_and_no_longer_when_one_is_gone(
    feed: Feeder, warehouse: TestWarehouse
) -> None:
    def heard(user: int, city: str, state: str = "TX", **fields: object) -> Record:
        # With the country that the reference data have for one of them: a place is of one country.
        return listen("2026-06-01T10:00:00", user=user, session=user, city=city, state=state, country="US", **fields)

    feed(
        *(heard(user, "Paris", eventId=f"e{user}", produced="2026-07-03") for user in range(1, 5)),
        heard(5, "Marfa"), heard(6, "Berea", "KY"), heard(1, "Paris"),
    )  # fmt: skip
    assert places(warehouse) == {("TX", "Other"): (6, 5), ("Other", "Other"): (1, 1)}
    named = "select city from SILVER.DIM_LOCATIONS where state = 'TX' order by city"
    assert [row["city"] for row in warehouse.query(named)] == ["Other"]

    feed(heard(7, "Paris", eventId="late"))
    assert places(warehouse) == {("TX", "Paris"): (6, 5), ("Other", "Other"): (2, 2)}
    assert [row["city"] for row in warehouse.query(named)] == ["Other", "Paris"]
    same_as_a_whole_build(warehouse)

    # An earlier record of one of these events was sent from elsewhere.
    feed(heard(4, "Marfa", eventId="e4", produced="2026-07-02"))
    assert places(warehouse) == {("TX", "Other"): (7, 6), ("Other", "Other"): (1, 1)}
    assert [row["city"] for row in warehouse.query(named)] == ["Other"]
    assert sum(plays for plays, _ in places(warehouse).values()) == warehouse.value(
        "select count(*) from SILVER.LISTENS"
    )
    same_as_a_whole_build(warehouse)


def test_another_limit_for_places_rebuilds_every_date(feed: Feeder, warehouse: TestWarehouse) -> None:
    feed(*(listen(f"2026-06-0{day}T10:00:00", user=day, session=day, eventId=f"e{day}") for day in (1, 2, 3)))
    feed(listen("2026-06-03T11:00:00", user=3, session=3, eventId="later"))
    assert places(warehouse).keys() == {("Other", "Other")}
    warehouse.build("--vars", json.dumps({"min_cell_users": 1}))
    named = warehouse.query("select distinct city from GOLD.LOCATION_METRICS_DAILY")
    assert named == warehouse.query("select distinct city from SILVER.LISTENS")


def test_a_home_of_the_version_before_loses_its_clear_text_and_goes_on(feed: Feeder, warehouse: TestWarehouse) -> None:
    """There `said` held names and places in clear, no policies were noted, and places with one user were named."""
    first = [
        listen(f"2026-06-0{day}T{hour}:00:00", user=user, session=user, eventId=f"e{day}{user}{hour}", city=city)
        for day in (1, 2, 3) for user, city in ((1, "Paris"), (2, "Waco")) for hour in (10, 11)
    ]  # fmt: skip
    feed(*first)
    history, states = "select * from SILVER.DIM_USERS order by user_id, valid_from", "select * from SILVER.USER_STATES"
    before = warehouse.query(history)
    for statement in (
        "update SILVER.USER_STATES set said = to_json(array_construct(level, city, state, zip, first_name, last_name, "
        "gender, registered_at::varchar))",
        "delete from GOLD.LOCATION_METRICS_DAILY",
        "insert into GOLD.LOCATION_METRICS_DAILY (activity_date, state, city, plays, streams, users) "
        "select activity_date, state, city, count(*), count_if(is_stream), count(distinct user_id) "
        "from SILVER.LISTENS group by all",
        "alter table OPS.BUILDS drop column formula",
        "alter table OPS.BUILDS drop column access",
        "alter table OPS.BUILDS drop column next_invocation",
    ):
        warehouse.session.cursor().execute(statement)
    assert "Paris" in str(warehouse.query(states))
    provision_warehouse(warehouse.settings)

    feed(listen("2026-06-04T10:00:00", user=1, session=1, eventId="next", city="Paris"))
    assert all(re.fullmatch("[0-9a-f]{64}", row["said"]) for row in warehouse.query(states))
    assert warehouse.query(history) == before
    assert {row["city"] for row in warehouse.query("select city from GOLD.LOCATION_METRICS_DAILY")} == {"Other"}
    sent = [said["text"].lower() for said in latest_statements(warehouse.settings)]
    for column in ("user_states modify column said", "events modify column extra", "dim_users modify column last_name"):
        assert any(re.search(rf"alter table \S*{column} set masking policy", text) for text in sent), column
    same_as_a_whole_build(warehouse)

    # Once noted, a build sends none of them again.
    count = len(latest_statements(warehouse.settings))
    feed(listen("2026-06-05T10:00:00", user=1, session=1, eventId="last", city="Paris"))
    assert not [said for said in latest_statements(warehouse.settings)[count:] if "masking" in said["text"].lower()]
