"""Every number of every page equals the truth, read from the pages as Streamlit draws them."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from music_dashboard.navigation import all_pages
from tests.integration.dashboard.conftest import Shown, Truth
from tests.integration.dashboard.expected import EXPECTED, LEAST_USERS, Seen, usual
from tests.integration.dashboard.learned import METRICS, as_of
from tests.integration.marts.conftest import Simulation
from tests.support.contract import breach, parsed
from tests.support.lake import KIND_OF_TOPIC
from tests.support.truth import plain
from tests.support.warehouse import Rows, TestWarehouse, manifest

#: Tiles about the platform itself: their truth is not in the truth file, so each has a test of its own below.
OF_THE_PLATFORM = {"latency", "freshness", "checks", "quarantine", "conservation", "stages", "learned"}
#: This process is the dashboard's.
pytestmark = pytest.mark.usefixtures("here")
PAGES = {page.name: page for page in all_pages()}


def same(found: Any, wanted: Any) -> bool:
    """Whether two values are the same: times whatever their type, floats within 1e-9."""
    if found is None or wanted is None:
        return found is wanted
    if isinstance(found, pd.Timestamp):
        return bool(found == pd.Timestamp(wanted))
    found, wanted = plain(found), plain(wanted)
    if isinstance(found, float) or isinstance(wanted, float):
        return bool(found == pytest.approx(wanted, rel=1e-9, abs=1e-12))
    return bool(found == wanted)


def differing(name: str, found: Rows, wanted: Rows) -> list[str]:
    """What is wrong with the rows behind a tile."""
    if len(found) != len(wanted):
        return [f"{name}: {len(found)} rows, must be {len(wanted)}"]
    wrong = []
    for number, (have, want) in enumerate(zip(found, wanted, strict=True)):
        assert have.keys() <= want.keys(), (name, have.keys() - want.keys())
        wrong += [
            f"{name}, row {number}: {column} is {value!r}, must be {want[column]!r}"
            for column, value in have.items()
            if not same(value, want[column])
        ]
    return wrong[:5]


def assert_page(shown: Shown, page: str, seen: Seen) -> None:
    """The rows behind every tile of a page are the truth."""
    wrong: list[str] = []
    for tile in PAGES[page].all_tiles():
        if tile.name in OF_THE_PLATFORM:
            continue
        wanted = EXPECTED[tile.name](seen)
        if not wanted:
            assert tile.empty in shown.said(), tile.name
            continue
        wrong += differing(tile.name, shown.frame(tile.name), wanted)
    assert not wrong, "\n".join(wrong)


def test_every_tile_has_a_truth() -> None:
    tiles = {tile.name for page in PAGES.values() for tile in page.all_tiles()}
    assert tiles == EXPECTED.keys() | OF_THE_PLATFORM


@pytest.mark.parametrize("page", PAGES)
def test_every_number_of_a_page_is_the_truth(truth: Truth, page: str) -> None:
    shown = Shown(page)
    assert shown.test.error == []
    assert_page(shown, page, usual(truth))


def test_chosen_dates_periods_and_editions_are_the_truth_too(truth: Truth) -> None:
    seen = usual(truth)
    end = str(date.fromisoformat(seen.last) - timedelta(days=9))
    start = str(date.fromisoformat(end) - timedelta(days=6))
    week = min(row["chart_week"] for row in truth.marts["charts_weekly"])
    for period in ("week", "year"):
        shown = Shown("charts", **{"from": start, "to": end, "period": period, "week": week, "edition": "published"})
        changed = replace(seen, start=start, end=end, period=period, week=week, edition="published")
        assert_page(shown, "charts", changed)
    shown = Shown("listeners", **{"from": start, "to": end})
    assert_page(shown, "listeners", replace(seen, start=start, end=end))
    month = min(row["statement_month"] for row in truth.marts["royalty_shares_monthly"])
    assert_page(Shown("money", month=month[:7]), "money", replace(seen, month=month))
    other = sorted({row["artist_id"] for row in truth.marts["artist_audience_daily"]})[7]
    assert_page(Shown("artist", artist=other), "artist", replace(seen, artist=other))
    song = truth.learned["songs_heard_together"][-1]["song_key"]
    assert_page(Shown("for_you", song=song), "for_you", replace(seen, song=song))


@pytest.mark.parametrize("narrowed", [{"state": "CA"}, {"level": "paid"}, {"country": "US", "level": "free"}])
def test_narrowed_pages_are_the_truth_too(truth: Truth, narrowed: dict[str, str]) -> None:
    """Where a mart is not divided by the filter, the tile says so, or reads single listens."""
    seen = replace(usual(truth), narrowed=narrowed)
    assert_page(Shown("now", **narrowed), "now", seen)
    artist = Shown("artist", **narrowed)
    wrong = [line for name in ("artist_days", "artist_places", "artist_returning", "artist_songs")
             for line in differing(name, artist.frame(name), EXPECTED[name](seen))]  # fmt: skip
    assert not wrong, "\n".join(wrong)
    charts = Shown("charts", **narrowed)
    wrong = [
        line for name in ("songs", "artists") for line in differing(name, charts.frame(name), EXPECTED[name](seen))
    ]
    assert not wrong, "\n".join(wrong)
    said = {caption.value for caption in artist.test.caption}
    assert any(text.startswith("Not narrowed by") for text in said)
    money = {name: value for name, value in narrowed.items() if name != "state"}
    assert_page(Shown("money", **narrowed), "money", replace(usual(truth), narrowed=money))


def test_the_figures_are_those_of_the_rows(truth: Truth) -> None:
    """What is written large on a page, from the truth's rows by another way than the page's."""
    seen = usual(truth)
    latest = [row for row in EXPECTED["hours"](seen) if row["plays"]][-1]
    now = Shown("now")
    assert now.numbers("hours") == {
        "Plays of the hour": f"{latest['plays']:,}", "Listeners of the hour": f"{latest['listeners']:,}",
    }  # fmt: skip
    day = sum(row["plays"] for row in EXPECTED["places"](seen))
    assert now.numbers("places")["Plays of the date"] == f"{day:,}"
    # Minutes without a play count as 0; the last one is still running.
    plays = {row["minute"]: row["plays"] for row in EXPECTED["minutes"](seen)}
    last = [plays.get(max(plays) - timedelta(minutes=n), 0) for n in range(1, 6) if max(plays) - timedelta(minutes=n)
            >= min(plays)]  # fmt: skip
    assert now.numbers("minutes")["Plays a minute"] == f"{sum(last) / len(last):,.1f}"

    charts = Shown("charts")
    assert charts.numbers("genres")["Plays of the period"] == f"{day:,}"
    (song,) = charts.numbers("songs_of_years").values()
    assert song == EXPECTED["songs_of_years"](seen)[0]["song_title"]
    assert charts.numbers("corrections") == {"Places that differ": str(len(EXPECTED["corrections"](seen)))}

    artist = Shown("artist")
    audience = EXPECTED["artist_audience"](seen)[-1]
    assert artist.numbers("artist_audience")["Monthly listeners"] == f"{audience['listeners_28d']:,}"
    streams = sum(row["streams"] for row in EXPECTED["artist_days"](seen))
    assert artist.numbers("artist_days")["Streams"] == f"{streams:,}"
    songs = EXPECTED["artist_songs"](seen)
    skipped = sum(row["skips_before_30s"] for row in songs) / sum(row["known_plays"] for row in songs)
    assert artist.numbers("artist_songs") == {
        "Saves": f"{sum(row['savers'] for row in songs):,}", "Skipped in 30 s": f"{skipped:.1%}".replace("%", " %"),
    }  # fmt: skip
    returning = EXPECTED["artist_returning"](seen)[-1]
    assert artist.numbers("artist_returning") == {
        "New listeners": str(returning["new_listeners"]), "Returning listeners": str(returning["returning_listeners"]),
    }  # fmt: skip

    listeners = Shown("listeners")
    active = [row for row in EXPECTED["actives"](seen) if row["is_complete"]][-1]
    assert listeners.numbers("actives") == {
        "Daily active users": f"{active['daily_active_users']:,}", "7 days": f"{active['active_users_7d']:,}",
        "30 days": f"{active['active_users_30d']:,}",
    }  # fmt: skip
    life = [row for row in EXPECTED["lifecycle"](seen) if row["is_complete"]][-1]
    assert listeners.numbers("lifecycle")["Active in 28 days"] == f"{life['closing']:,}"
    assert listeners.numbers("lifecycle")["Left"] == f"{life['churned']:,}"
    (funnel,) = EXPECTED["funnel"](seen)
    assert listeners.numbers("funnel")["Visitors"] == f"{funnel['visitors']:,}"
    moves = EXPECTED["movements"](seen)
    assert listeners.numbers("movements") == {
        "Subscribers": f"{moves[-1]['closing']:,}", "New": f"{sum(row['new'] for row in moves):,}",
        "Gone": f"{-sum(row['downgraded'] + row['cancelled'] for row in moves):,}",
    }  # fmt: skip

    money = Shown("money")
    totals = EXPECTED["royalty_totals"](seen)
    assert money.numbers("royalty_totals") == {
        "Given out": f"{sum(row['pro_rata_cents'] for row in totals) / 100:,.2f}",
        "Eligible streams": f"{sum(row['streams'] for row in totals):,}",
        "Streams of earlier months": f"{sum(row['adjusted_streams'] for row in totals):,}",
    }  # fmt: skip
    known = [row for row in EXPECTED["churn"](seen) if row["churn_rate"] is not None]
    assert money.numbers("churn")["Churn"] == (f"{known[0]['churn_rate']:.1%}".replace("%", " %") if known else "–")


def test_what_is_learned_is_counted_and_small_groups_are_not_shown(truth: Truth) -> None:
    seen, shown = usual(truth), Shown("for_you")
    risks = [row["probability"] for row in truth.learned["churn_risk"]]
    assert shown.numbers("churn_bands") == {
        "Users at risk": f"{len(risks):,}", "Expected to be lost": f"{round(sum(risks)):,}",
    }  # fmt: skip
    assert sum(shown.drawn("churn_bands")) == len(risks)
    assert [row["percent_from"] for row in shown.frame("churn_bands")] == [*range(0, 90, 10), None]
    lists = {row["user_id"] for row in truth.learned["recommendations"]}
    assert shown.numbers("recommended_songs") == {"Users with a list": f"{len(lists):,}"}
    members = [row for row in truth.learned["listener_segments"] if row["segment"] != 4]
    assert shown.numbers("segments") == {"Segments": "3", "Users in them": f"{len(members):,}"}
    suspicious = sum(row["streams"] for row in truth.learned["suspicious_streams"])
    assert shown.numbers("suspicious_songs") == {"Suspicious streams": f"{suspicious:,}", "Songs": "5"}
    assert min(row["accounts"] for row in shown.frame("suspicious_songs")) == LEAST_USERS
    assert 0 < len(EXPECTED["songs_together"](seen)) < 6
    before = f"learned from what happened before {as_of(truth.listens)}"
    for name in ("churn_bands", "suspicious_songs", "learned"):
        assert any(caption.value.startswith(before) for caption in shown.tile(name).caption), name


def test_models_stand_beside_their_baselines(here: TestWarehouse, truth: Truth) -> None:
    shown = Shown("for_you")
    published = dict(
        here.session.cursor().execute("select model, published_at from OPS.LEARNED").fetchall()  # type: ignore[union-attr]
    )
    wanted = [
        {"model": model, "as_of": str(as_of(truth.listens)), "published_at": published[model], "measured": who,
         "measure": measure, "value": METRICS[who][measure]}
        for model in sorted(truth.learned)
        for measure in ("precision@10", "recall@20")
        for who in ("model", "popular")
    ]  # fmt: skip
    assert not differing("learned", shown.frame("learned"), wanted)
    table = shown.tile("learned").dataframe[0].value
    assert list(table["Value"]) == ["0.1789", "0.2238"] * 5
    assert list(table["Baselines"]) == ["popular 0.0155", "popular 0.0200"] * 5
    assert shown.numbers("learned")["Published models"] == "5"


def test_what_is_drawn_are_the_rows(truth: Truth) -> None:
    """The data in the charts themselves, as the browser gets it."""
    seen = usual(truth)
    now, listeners = Shown("now"), Shown("listeners")
    assert sum(now.drawn("minutes")) == sum(row["plays"] + row["streams"] for row in EXPECTED["minutes"](seen))
    of_states = [row for row in EXPECTED["places"](seen) if row["state"] not in ("Unknown", "Other")]
    assert sum(now.drawn("places")) == sum(row["plays"] for row in of_states)
    active = [row for row in EXPECTED["actives"](seen) if row["is_complete"]]
    names = ("daily_active_users", "active_users_7d", "active_users_30d")
    assert sum(listeners.drawn("actives")) == sum(row[name] for row in active for name in names)
    (funnel,) = EXPECTED["funnel"](seen)
    steps = ("guests", "registrations", "upgrade_viewers_30d", "upgraders_30d")
    assert sorted(listeners.drawn("funnel")) == sorted(funnel[step] for step in steps)


def test_the_page_on_quality_counts_what_was_sent(truth: Truth, simulation: Simulation) -> None:
    shown = Shown("quality")
    lines: Counter[tuple[str, bool]] = Counter()
    for topic, kind in KIND_OF_TOPIC.items():
        for file in (simulation.folder / topic).glob("*.jsonl"):
            for line in file.read_bytes().splitlines():
                body = parsed(line)
                lines[kind, body is not None and not breach(body, kind)] += 1
    loaded = sum(lines.values())
    bad = {kind: count for (kind, is_good), count in lines.items() if not is_good}
    events = sum(truth.counts["events"].values())
    (where,) = shown.frame("conservation")
    assert where == {
        "loaded": loaded, "events": events, "quarantined": sum(bad.values()),
        "repeated": loaded - events - sum(bad.values()),
    }  # fmt: skip
    found: Counter[str] = Counter()
    for row in shown.frame("quarantine"):
        found[row["event_kind"]] += row["records"]
        assert row["still_open"] == row["records"] - row["redriven"]
    assert found == bad
    assert shown.numbers("quarantine") == {"Quarantined": f"{sum(bad.values()):,}", "Open": f"{sum(bad.values()):,}"}
    stages = shown.frame("stages")
    assert sum(row["row_count"] for row in stages) == loaded
    assert len(stages) == 2
    # A batch is measured by the build after the one that has taken it in.
    (latency,) = Shown("now").frame("latency")
    assert latency["version"] == 0
    assert latency["events"] + latency["late_events"] == stages[-1]["row_count"]
    assert latency["lake_seconds_p50"] <= latency["raw_seconds_p50"] <= latency["marts_seconds_p50"]


def test_freshness_and_checks_are_those_of_the_build(here: TestWarehouse) -> None:
    shown = Shown("quality")
    nodes = manifest().nodes.values()
    tables = {node.name for node in nodes if node.resource_type == "model" and node.config.materialized != "view"}
    # The measure of latency is of batches that were built before, so it covers no version itself.
    fresh = {row["model"]: row for row in shown.frame("freshness")}
    assert fresh.keys() == tables - {"pipeline_latency"}
    assert {row["behind_seconds"] for row in fresh.values()} == {0}
    committed = here.value("select max(committed_at) from OPS.LOADS")
    assert {row["complete_until"] for row in fresh.values()} == {pd.Timestamp(committed)}
    tests = {node.name for node in nodes if node.resource_type == "test"}
    verdicts = shown.frame("checks")
    assert {row["check_name"] for row in verdicts} == tests
    assert all(row["passed"] for row in verdicts)
    assert shown.numbers("checks") == {"Passed": str(len(tests)), "Failed": "0"}
    assert f"{len(tests):,} of {len(tests):,} checks passed" in shown.test.caption[0].value


def test_csv_has_the_rows_and_the_picture_is_one(truth: Truth) -> None:
    from music_dashboard.pictures import picture

    shown = Shown("charts")
    frame = shown.tile("songs").dataframe[-1].value
    assert frame.to_csv(index=False).count("\n") == len(EXPECTED["songs"](usual(truth))) + 1
    (tile,) = [tile for tile in PAGES["charts"].all_tiles() if tile.name == "songs"]
    drawn = picture(tile.title, "complete", tile.draw(frame))
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 5_000
