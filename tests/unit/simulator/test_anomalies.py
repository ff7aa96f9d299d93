"""How often traffic_anomalies is wrong: on a quiet quarter, and with bursts planted in it."""

from pathlib import Path

import duckdb
import pytest

from music_simulator.generation import Generation, Plan, World
from music_simulator.options import Options
from music_simulator.pace import AtOnce
from music_simulator.run import Run
from music_simulator.sinks import Files
from tests.unit.simulator.test_truth import SQL

#: What docs/reference/marts.md says.
FALSE_ALARMS, FOUND = 0.001, 0.95


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [8, 9])
def test_false_alarms_are_rare_and_bursts_are_found(tmp_path: Path, seed: int) -> None:
    options = Options(seed=seed, users=10_000, days=91, songs=2000, classic=True)
    with Generation(World(options), Plan()) as generation:
        Run(options, generation, Files(tmp_path, "run"), AtOnce(), lambda: False, lambda _: None).carry_out()
    with duckdb.connect() as connection:
        quarter = f"'{tmp_path}/listen_events/*.jsonl', columns = {{ts: 'bigint', state: 'varchar'}}"
        connection.execute(
            "create table listen as "
            "select date_trunc('hour', make_timestamp(ts * 1000)) as hour, hour::date as day, state "
            f"from read_json({quarter})"
        )
        connection.execute("create view spine as select distinct day from listen")
        connection.execute("create macro complete(instant) as instant <= (select max(day) from listen)")
        connection.execute(f"create view rated as {(SQL / 'traffic_anomalies.sql').read_text()}")
        known = "from rated where expected_plays is not null"
        alarms, rows = connection.execute(f"select count(*) filter (where is_anomaly), count(*) {known}").fetchall()[0]
        assert rows > 50_000
        assert alarms / rows <= FALSE_ALARMS
        # In the last week, so that no burst is in the baseline of another.
        connection.execute(
            "create table planted as "
            f"select activity_hour, state, ceil(3 * expected_plays - plays)::bigint as more {known} "
            "and expected_plays >= 50 and activity_hour >= (select max(activity_hour) from rated) - interval 7 day"
        )
        connection.execute(
            "insert into listen select activity_hour, activity_hour::date, state from planted, range(more)"
        )
        found, planted = connection.execute(
            "select count(*) filter (where is_anomaly), count(*) from rated join planted using (activity_hour, state)"
        ).fetchall()[0]
        assert planted > 100
        assert found / planted >= FOUND
        print(f"seed {seed}: {alarms} of {rows} rows are false alarms; {found} of {planted} bursts are found")
