"""The sample questions of queries/, each with its answer known."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED
from tests.support.lake import Lake, records_of, rows_of
from tests.support.warehouse import QUERIES, TestWarehouse

FROM, TO = "2026-06-01", "2026-06-07"


def test_the_sample_questions_have_their_answers(warehouse: TestWarehouse, simulation: Simulation) -> None:
    ingested = datetime(2026, 7, 21, 12, tzinfo=UTC)
    lake = Lake(warehouse.scratch / "lake")
    lake.append(rows_of(records_of(simulation.folder, PRODUCED), ingested))
    warehouse.load_reference(simulation.folder / "reference")
    warehouse.load(lake.root)
    warehouse.build()
    marts = simulation.truth["marts"]
    answered = set()

    def answer(name: str, **parameters: str) -> list[dict[str, object]]:
        answered.add(name)
        return warehouse.question(name, **parameters)

    for name, mart, key in (
        ("top_titles", "top_songs_daily", "song_key"),
        ("top_artists", "top_artists_daily", "artist_id"),
    ):
        plays: Counter[str] = Counter()
        for row in marts[mart]:
            if FROM <= row["activity_date"] <= TO:
                plays[row[key]] += row["plays"]
        found = answer(name, from_date=f"'{FROM}'", to_date=f"'{TO}'")
        assert [row["plays"] for row in found] == sorted(plays.values(), reverse=True)[:10]

    by_song: Counter[tuple[str, str]] = Counter()
    for row in marts["song_performance_daily"]:
        by_song[row["country"], row["song_key"]] += row["plays"]
    found = answer("plays_by_country_and_title")
    assert [row["plays"] for row in found] == sorted(by_song.values(), reverse=True)[:20]
    assert {row["country"] for row in found} == {"US", "Unknown"}

    busiest = min(marts["hourly_metrics"], key=lambda row: (-row["plays"], row["activity_hour"]))
    (hour,) = answer("busiest_hour")
    assert (hour["plays"], hour["users"]) == (busiest["plays"], busiest["users"])

    june = [row for row in marts["conversion_funnel_daily"] if row["activity_date"].startswith("2026-06")]
    (conversion,) = answer("conversion_this_month", today="'2026-06-15'::date")
    guests, registrations = (sum(row[column] for row in june) for column in ("guests", "registrations"))
    assert (conversion["guests"], conversion["registrations"]) == (guests, registrations)
    assert conversion["registration_rate"] == pytest.approx(registrations / guests, rel=1e-9)

    wanted = [(row["song_rank"], row["song_title"], row["plays"]) for row in marts["song_of_the_year"]]
    assert [(row["song_rank"], row["song_title"], row["plays"]) for row in answer("song_of_the_year")] == wanted

    last: dict[str, str] = {}
    for row in marts["user_engagement_daily"]:
        if row["plays"]:
            last[row["user_id"]] = max(last.get(row["user_id"], ""), row["activity_date"])
    complete = max(row["activity_date"] for row in marts["daily_summary"] if row["is_complete"])
    edge = (datetime.fromisoformat(complete) - timedelta(days=14)).date().isoformat()
    at_risk = {
        row["user_id"] for row in marts["user_activity_tiers"] if row["plays"] >= 100 and last[row["user_id"]] <= edge
    }
    assert {row["user_id"] for row in answer("users_at_risk")} == at_risk

    found = answer("quarantined_today", today="'2026-07-21'::date")
    assert sum(row["records"] for row in found) == warehouse.value(
        "select count(*) from RAW.EVENTS where quarantine_reason is not null"
    )
    assert not answer("quarantined_today", today="'2026-07-22'::date")
    assert answered == {file.stem for file in QUERIES.glob("*.sql")}
