"""The truth file against a computation from the lines that the run wrote."""

import csv
import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from music_simulator.__main__ import app
from music_simulator.truth.compute import MARTS
from tests.support import brute_force_oracle as brute_force
from tests.support.brute_force_oracle import Stream
from tests.unit.simulator.conftest import ROOT

SQL = ROOT / "simulator" / "music_simulator" / "truth"
PATTERNS = ROOT / "dbt_project" / "seeds" / "device_patterns.csv"
BAD = ["--duplicates", ".08", "--late", ".08", "--out-of-order", ".08", "--malformed", ".03", "--invalid", ".03",
       "--unknown-fields", ".1", "--v2", ".4", "--v3", ".3", "--wrong-clocks", ".05"]  # fmt: skip


@dataclass
class Checked:
    """A run, its truth and what the lines say."""

    truth: dict[str, Any]
    stream: Stream


def run(folder: Path, *options: str) -> Checked:
    """Simulate to files with a truth file; read both."""
    arguments = ["--out", str(folder / "out"), "--truth", str(folder / "truth.json"), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return Checked(orjson.loads((folder / "truth.json").read_bytes()), Stream(folder / "out", PATTERNS))


#: A run across a month's end with everything that can go wrong; one of six weeks (anomalies, 30 days, cohorts, years).
RUNS = {
    "disturbed": ["--seed", "3", "--users", "400", "--start", "2026-01-29", "--days", "8", "--songs", "200",
                  "--growth", "8", "--hot-key", ".02", "--burst", "30:60:10", *BAD],
    "weeks": ["--seed", "4", "--users", "120", "--start", "2025-12-08T09:30:00", "--days", "44", "--songs", "60",
              "--duplicates", ".02", "--late", ".02"],
    "cut off": ["--seed", "5", "--users", "300", "--days", "9", "--events", "14321", "--start", "2026-05-28",
                "--growth", "90", *BAD],
}  # fmt: skip


@pytest.fixture(scope="module", params=list(RUNS))
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Each of the runs."""
    return run(tmp_path_factory.mktemp("truth"), *RUNS[request.param])


def same(a: Any, b: Any) -> bool:
    """Equal, numbers to a relative 1e-9."""
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return bool(a == b)


@pytest.mark.parametrize("mart", MARTS)
def test_marts(checked: Checked, mart: str) -> None:
    """Row for row: the same keys, the same columns, the same values."""
    wanted, found = brute_force.MARTS[mart](checked.stream), checked.truth["marts"][mart]
    plain = [{k: v.isoformat() if isinstance(v, date) else v for k, v in row.items()} for row in wanted]
    assert len(found) == len(plain) > 0
    columns = sorted(plain[0])
    assert sorted(found[0]) == columns

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(
            (k, str(row[k]))
            for k in columns
            if isinstance(row[k], (str, bool)) or k.endswith(("year", "rank", "number", "hour"))
        )

    for ours, theirs in zip(sorted(found, key=key), sorted(plain, key=key), strict=True):
        for name in columns:
            assert same(ours[name], theirs[name]), (mart, name, ours, theirs)


def test_counts(checked: Checked) -> None:
    for topic, counts in checked.stream.counts.items():
        for name, count in counts.items():
            assert checked.truth["counts"][name][topic] == count, (name, topic)


def test_plays_of_every_mart_add_up_to_listens(checked: Checked) -> None:
    listens = checked.truth["counts"]["events"]["listen_events"]
    for mart, rows in checked.truth["marts"].items():
        if mart in ("song_of_the_year", "artist_of_the_year", "traffic_anomalies"):
            continue
        if "plays" in rows[0]:
            assert sum(row["plays"] for row in rows) == listens, mart


def test_the_file_names_what_made_it(checked: Checked) -> None:
    assert checked.truth["seed"] == checked.truth["options"]["seed"]
    assert {"start", "days", "users", "duplicates", "id_base", "bursts"} <= set(checked.truth["options"])
    assert checked.truth["stopped_early"] is False


def test_reference_data_fits_the_events(checked: Checked) -> None:
    """Ids of songs, artists and users are those of the events; the classic traps are in the catalogue."""
    folder = checked.stream.folder / "reference"
    with (folder / "users.csv").open(encoding="utf-8", newline="") as file:
        users = {row["user_id"]: row for row in csv.DictReader(file)}
    for event in checked.stream.events:
        if event.user:
            user = users[event.user]
            assert (user["first_name"], user["gender"]) == (event.raw["firstName"], event.raw["gender"])
            assert int(user["registration"]) == event.raw["registration"]
        if event.kind == "listen":
            song, title, artist, name = checked.stream.song(event)
            assert (title, artist, name) == (event.raw["song"], event.raw["artistId"], event.raw["artist"])
            assert float(checked.stream.songs[song]["duration"]) == event.raw["duration"]
    names = list(checked.stream.artists.values())
    assert len(set(names)) < len(names)
    titles = [(row["artist_id"], row["title"]) for row in checked.stream.songs.values()]
    assert len(set(titles)) < len(titles)
    assert any('"' in row["title"] for row in checked.stream.songs.values())


def test_records_that_did_not_arrive_are_not_in_the_truth(tmp_path: Path) -> None:
    """A sink that loses some records: the truth is that of the rest."""
    from music_simulator.disturbances import KINDS
    from music_simulator.generation import Generation, Plan, World
    from music_simulator.options import Options
    from music_simulator.pace import AtOnce
    from music_simulator.reference import write_catalogue
    from music_simulator.run import Run
    from music_simulator.sinks import Files
    from music_simulator.truth.compute import write_truth
    from music_simulator.truth.log import DeliveryLog

    class Leaky(Files):
        number, lost = 0, set[int]()

        def deliver(
            self, kinds: list[int], texts: list[bytes], keys: list[bytes], times: list[int] | None = None
        ) -> int:
            kept = []
            for kind, text in zip(kinds, texts, strict=True):
                if self.number % 7 == 0:
                    self.lost.add(self.number)
                else:
                    kept.append((kind, text))
                self.number += 1
            super().deliver([k for k, _ in kept], [t for _, t in kept], keys, times)
            return len(kinds)

        def close(self, patience_seconds: float) -> set[int]:
            super().close(patience_seconds)
            return self.lost

    world = World(Options(users=200, songs=50, days=8, duplicates=0.2))
    log = DeliveryLog(tmp_path / "log.parquet", world)
    write_catalogue(tmp_path / "reference", world.catalogue)
    with Generation(world, Plan()) as generation:
        leaky = Leaky(tmp_path / "out", "run")
        made = Run(world.options, generation, leaky, AtOnce(), lambda: False, lambda _: None, log)
        progress = made.carry_out()
        registered = generation.registrations()
    log.close()
    assert progress.lost == len(leaky.lost) > 100
    write_truth(tmp_path / "truth.json", log.path, made.lost, world, False, registered, {})
    stream = Stream(tmp_path / "out", PATTERNS, tmp_path / "reference")
    checked = Checked(orjson.loads((tmp_path / "truth.json").read_bytes()), stream)
    test_counts(checked)
    for mart in MARTS:
        test_marts(checked, mart)
    assert len(KINDS) == 4


def test_truth_and_dbt_have_the_same_limits() -> None:
    limits = yaml.safe_load((ROOT / "dbt_project" / "dbt_project.yml").read_text())["vars"]
    base = (SQL / "base.sql").read_text()
    for name, ours in (
        ("min_cell_users", brute_force.MIN_CELL_USERS),
        ("stream_seconds", brute_force.STREAM_SECONDS),
        ("heavy_plays", brute_force.HEAVY_PLAYS),
        ("regular_plays", brute_force.REGULAR_PLAYS),
        ("streams_of_a_song_and_day", brute_force.MOST_STREAMS),
        ("chart_size", brute_force.CHART_SIZE),
        ("super_listener_days", brute_force.SUPER_DAYS),
        ("moderate_listener_days", brute_force.MODERATE_DAYS),
        ("royalty_pool_cents", brute_force.POOL_CENTS),
        ("royalty_close_days", brute_force.CLOSE_DAYS),
        ("royalty_least_streams", brute_force.LEAST_STREAMS),
    ):
        assert f"create macro {name}() as {limits[name]};" in base
        assert limits[name] == ours
    assert timedelta(minutes=limits["clock_ahead_minutes"]) == brute_force.CLOCK_AHEAD
    assert timedelta(days=limits["clock_behind_days"]) == brute_force.CLOCK_BEHIND
    assert f"create macro clock_ahead() as {limits['clock_ahead_minutes']} * 60;" in base
    assert f"create macro clock_behind() as {limits['clock_behind_days']} * 86400;" in base


def seed(name: str) -> list[dict[str, str]]:
    """Rows of a seed of dbt's."""
    with (ROOT / "dbt_project" / "seeds" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_truth_and_dbt_have_the_same_prices_and_weights() -> None:
    weights = [tuple(row.values()) for row in seed("chart_weights")]
    assert [(str(since), str(paid), str(free)) for since, paid, free in brute_force.WEIGHTS] == weights
    assert all(f"(date '{since}', {paid}, {free})" in (SQL / "base.sql").read_text() for since, paid, free in weights)
    base, ours = (SQL / "base.sql").read_text(), brute_force.PRICES
    for row in seed("plan_prices"):
        line = f"(date '{row['valid_from']}', '{row['plan']}', '{row['country']}', {row['monthly_cents']})"
        assert line in base
        known = (date.fromisoformat(row["valid_from"]), int(row["monthly_cents"]))
        assert known in ours[row["plan"], row["country"]]
    assert sum(map(len, ours.values())) == len(seed("plan_prices"))


def test_skips_and_unheard_ends_are_plays_but_no_streams(checked: Checked) -> None:
    rows = checked.truth["marts"]["top_artists_daily"]
    plays, streams, heard, nominal = (
        sum(row[name] for row in rows) for name in ("plays", "streams", "heard_seconds", "nominal_seconds")
    )
    # A third of the songs is skipped within half a minute.
    assert 0.6 * plays < streams < 0.8 * plays
    assert 0.5 * nominal < heard < 0.8 * nominal


def test_sessions_of_two_users_that_start_in_the_same_second_are_two() -> None:
    with duckdb.connect() as connection:
        connection.execute("""
            create table judged as
            select
                user_id, user_id as visitor, 1 as session_id, 1 as run, date '2026-01-01' as day,
                timestamp '2026-01-01 12:00:00' as ts, 'UTC' as time_zone, null::varchar as country, 'WA' as state,
                'free' as level, 'desktop' as device_type, null::varchar as source, 'Pop' as genre,
                'unknown' as ended_by, true as heard_is_estimated, true as is_stream,
                null::varchar as ineligible_reason, 31000000 as heard_e6, 3100000 as duration_e5
            from (values ('7'), ('8')) as users (user_id)
        """)
        connection.execute("create table session as select visitor, session_id, run, ts as session_start from judged")
        (cell,) = connection.execute((SQL / "streams.sql").read_text()).fetchall()
        names = [column[0] for column in connection.description or ()]
    assert {name: dict(zip(names, cell, strict=True))[name] for name in ("plays", "users", "sessions")} == {
        "plays": 2, "users": 2, "sessions": 2,
    }  # fmt: skip


def test_no_cell_that_names_a_place_has_few_users_and_none_is_lost(checked: Checked) -> None:
    rows = checked.truth["marts"]["location_metrics_daily"]
    assert all(row["users"] >= brute_force.MIN_CELL_USERS for row in rows if row["country"] != "Other")
    assert {(row["state"], row["city"]) for row in rows if row["country"] == "Other"} <= {("Other", "Other")}
    assert {row["city"] for row in rows if row["state"] == "Other"} <= {"Other"}
    assert sum(row["plays"] for row in rows) == sum(row["plays"] for row in checked.truth["marts"]["hourly_metrics"])
