"""Real eventsim output, ten days: the figures of its FACTS.md."""

from decimal import Decimal

from tests.integration.marts.conftest import eventsim_records
from tests.support.lake import Lake, rows_of
from tests.support.warehouse import TestWarehouse

PLAYS = {1: 3288, 2: 5725, 3: 6217, 4: 6975, 5: 7102, 6: 8039, 7: 4961, 8: 4441, 9: 8666, 10: 8869, 11: 1}


def test_real_eventsim_data_comes_out_as_its_facts_say(warehouse: TestWarehouse) -> None:
    lake = Lake(warehouse.scratch / "lake")
    records = eventsim_records()
    for part in (records[::2], records[1::2]):
        lake.append(rows_of(part))
        warehouse.load(lake.root)
        warehouse.build()

    assert warehouse.value("select count(*) from SILVER.EVENTS") == 154_406
    assert warehouse.value("select count(*) from SILVER.QUARANTINE") == 0
    days = {row["activity_date"].day: row for row in warehouse.query("select * from GOLD.DAILY_SUMMARY")}
    assert {day: row["plays"] for day, row in days.items()} == PLAYS
    for mart in ("top_songs_daily", "top_artists_daily", "top_genres_daily", "user_engagement_daily", "hourly_metrics",
                 "location_metrics_daily", "demographics_daily", "device_metrics_daily", "user_activity_tiers",
                 "song_of_the_year"):  # fmt: skip
        total = 64_284 if mart != "song_of_the_year" else 266 + 161 + 158 + 153 + 150 + 132 + 118 + 72 + 66 + 39
        assert warehouse.value(f"select sum(plays) from GOLD.{mart}") == total, mart
    top = warehouse.query("select song_title, artist_name, plays from GOLD.SONG_OF_THE_YEAR where song_rank = 1")
    assert top == [{"song_title": "Yo Yo Man (Garter Belt)", "artist_name": "Tony Joe White", "plays": 266}]
    artists = warehouse.query(
        "select artist_name, plays from GOLD.ARTIST_OF_THE_YEAR order by artist_rank, artist_name"
    )
    assert [(row["artist_name"], row["plays"]) for row in artists[:3]] == [
        ("Tony Joe White", 313), ("David & Steve Gordon", 183), ("Atomic Rooster", 174)
    ]  # fmt: skip
    assert [row["artist_name"] for row in artists[-2:]] == ["Mario Rosenstock", "Nick Cave & The Bad Seeds"]
    states = warehouse.query(
        "select state, sum(plays) as plays from GOLD.LOCATION_METRICS_DAILY group by 1 order by 2 desc limit 3"
    )
    assert [(row["state"], row["plays"]) for row in states] == [("CA", 5716), ("TX", 5660), ("NY", 4870)]
    assert warehouse.value("select sum(nominal_seconds) from GOLD.TOP_SONGS_DAILY") == Decimal("15350606.250560")
    levels = "select level, sum(plays) as plays from GOLD.DEMOGRAPHICS_DAILY group by 1 order by 1"
    assert [row["plays"] for row in warehouse.query(levels)] == [21_838, 42_446]
    assert warehouse.value("select count(distinct user_id) from SILVER.LISTENS") == 3_657
    assert warehouse.value("select count(*) from SILVER.DIM_SONGS") == 9_038
    assert warehouse.value("select count(*) from SILVER.LEVEL_CHANGES where level_before = 'free'") == 100
    # A session is a session id, but for 16 that have a pause of half an hour in them.
    assert warehouse.value("select count(distinct session_id) from SILVER.SESSIONS") == 17_202
    assert warehouse.value("select count(*) from SILVER.SESSIONS") == 17_218
    (funnel,) = warehouse.query(
        "select sum(guests) as guests, sum(registrations) as registrations from GOLD.CONVERSION_FUNNEL_DAILY"
    )
    assert (funnel["guests"], funnel["registrations"]) == (4_313, 1_545)
    (churn,) = warehouse.query("select cancelled, downgraded from GOLD.CHURN_MONTHLY")
    # Of one cancellation and eight downgrades. The one, and three of the eight, are by users first seen on that date,
    # who subscribed at the end of no date.
    assert (churn["cancelled"], churn["downgraded"]) == (0, 5)
