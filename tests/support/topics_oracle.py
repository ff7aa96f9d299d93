"""A second reading of docs/reference/marts.md, computed by DuckDB straight from the JSON of the topics.

Streams, subscription movements, charts, royalties and restatements. It shares no code with the marts, with the truth of
the simulator or with the brute-force oracle. It reads what a simulation wrote to files: records and their times.
Devices, and what comes from the catalogue, are not computed here.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from music_platform.contracts.events import TOPICS
from tests.support.contract import breach, parsed
from tests.support.truth import KEYS, differences, plain
from tests.support.warehouse import PROJECT, Rows, TestWarehouse

SQL = Path(__file__).parent / "topics_oracle_sql"


def royalties(streams: Rows, pool: int, least: int) -> Rows:
    """Statements from eligible streams, each with the month that was `open` when it was recorded.

    A song needs at least `least` streams in the twelve months that end with the statement's month.
    """
    rows: Rows = []
    told = Counter((s["month"], max(s["month"], s["open"]), s["song"]) for s in streams)
    for cell in sorted({(s["month"], s["country"], s["plan"]) for s in streams}):
        of_cell = [s for s in streams if (s["month"], s["country"], s["plan"]) == cell]
        given: dict[str, tuple[int, int, int]] = {}
        for statement in sorted({max(s["month"], s["open"]) for s in of_cell}):
            year: Counter[str] = Counter()
            for (month, open_month, song), n in told.items():
                age = (cell[0].year - month.year) * 12 + cell[0].month - month.month
                year[song] += n if 0 <= age < 12 and open_month <= statement else 0
            known = [s for s in of_cell if max(s["month"], s["open"]) <= statement and year[s["song"]] >= least]
            by_song: dict[str, list[str]] = {}
            by_user: dict[str, int] = {}
            for s in known:
                by_song.setdefault(s["song"], []).append(s["user"])
                by_user[s["user"]] = by_user.get(s["user"], 0) + 1
            counts = {song: len(users) for song, users in by_song.items()}
            parts = {
                song: sum(1_000_000_000 * users.count(u) // by_user[u] for u in set(users))
                for song, users in by_song.items()
            }
            plain, centric = cents(counts, pool), cents(parts, pool)
            for song in counts:
                total = (counts[song], plain[song], centric[song])
                before = given.get(song, (0, 0, 0))
                if total != before:
                    rows.append(
                        dict(zip(("activity_month", "country", "plan"), cell, strict=True))
                        | {"statement_month": statement, "song_key": song, "streams": total[0] - before[0]}
                        | {"pro_rata_cents": total[1] - before[1], "user_centric_cents": total[2] - before[2]}
                    )
                given[song] = total
    return rows


def cents(weights: dict[str, int], pool: int) -> dict[str, int]:
    """The pool in whole cents by weight; what is left goes to the largest remainders."""
    whole = sum(weights.values())
    shares = {song: divmod(pool * weight, whole) for song, weight in weights.items()}
    left = pool - sum(cent for cent, _ in shares.values())
    lucky = set(sorted(shares, key=lambda song: (-shares[song][1], song))[:left])
    return {song: cent + (song in lucky) for song, (cent, _) in shares.items()}


def marts_of_topics(folder: Path) -> dict[str, Rows]:
    """Rows of the four marts, without what comes from dimensions, for a simulation in a folder."""
    limits: dict[str, Any] = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.register("line", _valid_lines(folder))
        db.execute("create table record as select * replace (doc::json as doc) from line")
        db.execute(_statement("events", limits))
        db.execute(f"create table price as select * from read_csv('{PROJECT / 'seeds' / 'plan_prices.csv'}')")
        db.execute(f"create table weight as select * from read_csv('{PROJECT / 'seeds' / 'chart_weights.csv'}')")
        days = limits["royalty_close_days"]
        eligible = _rows(
            db,
            "select date_trunc('month', activity_date)::date as month, country, level as plan, user_id as user, "
            f"date_trunc('month', recorded_at - interval {days} day)::date as open, song_key as song "
            "from fact where ineligible_reason is null",
        )
        return {
            "streams": _rows(db, "select * from fact"),
            "subscription_movements_daily": _rows(db, _statement("movements", limits)),
            "restatements": _rows(db, _statement("restatements", limits)),
            "charts_weekly": _rows(db, _statement("charts", limits)),
            "royalty_shares_monthly": royalties(
                eligible, limits["royalty_pool_cents"], limits["royalty_least_streams"]
            ),
        }


def assert_topics(warehouse: TestWarehouse, folder: Path) -> None:
    """The four marts equal this reading, in all columns and charts that it has."""
    keys = KEYS | {"streams": ("event_id",), "restatements": ("activity_date", "recorded_on")}
    wrong: list[str] = []
    for mart, wanted in marts_of_topics(folder).items():
        assert wanted, mart
        found = warehouse.query(
            f"select {', '.join(wanted[0])} from {'OPS' if mart == 'restatements' else 'GOLD'}.{mart}"
            + (" where genre = 'All'" if mart == "charts_weekly" else "")
        )
        differing = differences(
            mart, found, [{name: plain(x) for name, x in row.items()} for row in wanted], keys[mart]
        )
        wrong += differing[:3] + ([f"{mart}: {len(differing)} differences"] if differing else [])
    assert not wrong, "\n".join(wrong)


def _valid_lines(folder: Path) -> pa.Table:
    """The records that keep the contract, with their places and times."""
    rows: Rows = []
    for kind, topic in TOPICS.items():
        for file in sorted((folder / topic).glob("*.jsonl")):
            times = file.with_suffix(".times").read_text().split()
            for line, at in zip(file.read_bytes().splitlines(), times, strict=True):
                body = parsed(line)
                if body is not None and not breach(body, kind):
                    rows.append({"kind": kind, "place": len(rows), "recorded": int(at), "doc": json.dumps(body)})
    return pa.Table.from_pylist(rows)


def _statement(name: str, limits: dict[str, Any]) -> str:
    """A file of SQL, with the variables that dbt_project.yml has."""
    statement = (SQL / f"{name}.sql").read_text()
    for name in sorted(limits, key=len, reverse=True):
        statement = statement.replace(f"${name}", str(limits[name]))
    return statement


def _rows(db: duckdb.DuckDBPyConnection, statement: str) -> Rows:
    cursor = db.execute(statement)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
