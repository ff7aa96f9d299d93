"""Learned assets end to end on a real warehouse: published, kept, refused, taken back, and one alert."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.churn import walk
from benchmarks.learning import START, streams
from benchmarks.suspicion import PLANTED
from benchmarks.suspicion import walk as suspicion_of
from benchmarks.taste import tables
from music_platform.home import Home
from music_platform.learning.listens import day_number
from music_platform.learning.plays import Plays
from music_platform.monitoring.sources import Looker
from music_platform.orchestration.assets.learned import (
    build_learned_assets,
    churn_risk,
    listener_segments,
    songs_heard_together,
    suspicious_streams,
)
from music_platform.orchestration.assets.learned.publication import LearnConfig
from music_platform.orchestration.assets.learned.recommendations import STREAMS, TABLE
from music_platform.orchestration.keys import BEATS_BASELINES, DRIFTS, LEARNED_CHECKS, ML
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.resources import build_resources
from music_platform.settings import Settings
from music_platform.warehouse.connection import connect, rows_of
from music_platform.warehouse.model_versions import KEPT, LEDGER
from music_platform.warehouse.schema import CHECKS, literal, provision_warehouse
from music_platform.warehouse.schema import LEARNED as LEARNED_NOW
from music_simulator.options import Options
from tests.support.stack import running_stack

RUN = Options(seed=9, users=1500, songs=4000, days=28, start=START, growth=0.0)
MODELS = Path(__file__).parents[2] / "dbt_project" / "models"
#: Columns that the queries read of each model.
READ = {
    "gold/streams": {"user_id", "song_key", "song_title", "artist_id", "artist_name", "activity_date", "session_key",
                     "source", "level", "is_stream", "is_eligible", "ended_by", "heard_seconds", "nominal_seconds"},
    "silver/page_views": {"user_id", "activity_date", "page"},
}  # fmt: skip


@dataclass
class Learning:
    """A warehouse with streams, and an instance in which the asset runs."""

    settings: Settings
    instance: dg.DagsterInstance

    def load(self, name: str, types: dict[str, str], rows: pa.Table, scratch: Path) -> None:
        """Make a table of these rows; `types` has the columns and their types."""
        file = scratch / f"rows-{time.monotonic_ns()}.parquet"
        pq.write_table(rows.select(list(types)), file)
        picked = ", ".join(f"$1:{column}::{kind}" for column, kind in types.items())
        with connect(self.settings) as session:
            cursor = session.cursor()
            columns = ", ".join(f"{column} {kind}" for column, kind in types.items())
            cursor.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
            cursor.execute("CREATE STAGE IF NOT EXISTS GOLD.FILLED")
            cursor.execute(f"PUT {literal(f'file://{file}')} @GOLD.FILLED AUTO_COMPRESS = FALSE")
            cursor.execute(
                f"COPY INTO {name} FROM (SELECT {picked} FROM @GOLD.FILLED/) FILES = ({literal(file.name)}) "
                "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            )

    def fill(self, table: pa.Table, scratch: Path) -> None:
        """Replace GOLD.STREAMS by these streams, with the columns of the mart that recommendations read."""
        sources = ["library" if own else "radio" for own in table.column("is_collected").to_pylist()]
        rows = table.append_column("source", pa.array(sources, pa.string()))
        rows = rows.append_column("is_stream", pa.array([True] * table.num_rows, pa.bool_()))
        types = {"user_id": "VARCHAR", "song_key": "VARCHAR", "activity_date": "DATE", "source": "VARCHAR",
                 "is_stream": "BOOLEAN"}  # fmt: skip
        self.load("GOLD.STREAMS", types, rows, scratch)

    def fill_days(self, counts: pa.Table, scratch: Path) -> None:
        """Replace GOLD.STREAMS and SILVER.PAGE_VIEWS by rows that have these counts by user and date."""

        def repeated(of: str) -> tuple[pa.Table, Any]:
            many = counts.column(of).to_numpy()
            rows = counts.take(pa.array(np.repeat(np.arange(counts.num_rows), many)))
            return rows, np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)

        def under(rows: pa.Table, nth: Any, name: str, yes: object, no: object) -> pa.Array:
            return pa.array(np.where(nth < rows.column(name).to_numpy(), yes, no))

        heard, nth = repeated("plays")
        listens = pa.table({
            "user_id": heard.column("user_id"), "activity_date": heard.column("activity_date"),
            "is_stream": under(heard, nth, "streams", True, False),
            "ended_by": under(heard, nth, "skips", "skip", "next"),
            "source": under(heard, nth, "collected", "library", "radio"),
            "level": under(heard, nth, "paid", "paid", "free"),
        })  # fmt: skip
        viewed, nth = repeated("views")
        pages, until = np.full(len(nth), "Home", dtype=object), 0
        for name, page in (("adverts", "Roll Advert"), ("logouts", "Logout"), ("cancels", "Cancellation Confirmation")):
            since, until = until, until + viewed.column(name).to_numpy()
            pages[(nth >= since) & (nth < until)] = page
        views = pa.table({"user_id": viewed.column("user_id"), "activity_date": viewed.column("activity_date"),
                          "page": pages})  # fmt: skip
        texts = dict.fromkeys(("ended_by", "source", "level"), "VARCHAR")
        types = {"user_id": "VARCHAR", "activity_date": "DATE"}
        self.load("GOLD.STREAMS", {**types, "is_stream": "BOOLEAN", **texts}, listens, scratch)
        self.load("SILVER.PAGE_VIEWS", {**types, "page": "VARCHAR"}, views, scratch)

    def fill_plays(self, plays: Plays, scratch: Path) -> None:
        """Replace GOLD.STREAMS by listens that have these counts by user, date and song; all streams are eligible."""
        rows = np.repeat(np.arange(len(plays)), plays.plays)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(plays.plays) - plays.plays, plays.plays)
        cut, stream = nth < plays.cut[rows], nth < plays.streams[rows]
        names = plays.songs[plays.song[rows]]
        listens = pa.table({
            "user_id": plays.users[plays.user[rows]], "song_key": names, "song_title": names, "artist_id": names,
            "artist_name": names, "activity_date": pa.array(plays.day[rows], pa.int32()).cast(pa.date32()),
            "is_stream": stream, "is_eligible": stream, "ended_by": np.where(stream, "next", "skip"),
            "source": np.where(nth < plays.collected[rows], "library", "radio"),
            "heard_seconds": np.where(cut, 35.0, np.where(stream, 200.0, 10.0)), "nominal_seconds": 200.0 + 0 * nth,
        })  # fmt: skip
        types = dict.fromkeys(listens.column_names, "VARCHAR") | {
            "activity_date": "DATE", "is_stream": "BOOLEAN", "is_eligible": "BOOLEAN",
            "heard_seconds": "NUMBER(18,6)", "nominal_seconds": "NUMBER(18,6)",
        }  # fmt: skip
        self.load("GOLD.STREAMS", types, listens, scratch)

    def materialize(self, model: str = "recommendations", republish: str | None = None) -> dict[str, Any]:
        """Materialize a model's asset; its metadata."""
        result = dg.materialize(
            build_learned_assets(self.settings),
            selection=[dg.AssetKey([ML, model])],
            instance=self.instance,
            resources=build_resources(self.settings),
            run_config=dg.RunConfig({f"ml__{model}": LearnConfig(republish=republish)}),
        )
        assert result.success
        (event,) = result.asset_materializations_for_node(f"ml__{model}")
        return {name: value.value for name, value in event.metadata.items()}

    def said(self, view: str = TABLE.view) -> list[tuple[Any, ...]]:
        """What readers see."""
        with connect(self.settings) as session:
            return rows_of(session, f"SELECT * FROM {view} ORDER BY 2, 3")

    def failed(self) -> list[str]:
        """Names of the failed checks, which the watch alerts."""
        return [check.key.name for check in failed_checks(self.instance, LEARNED_CHECKS)]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Four weeks of 1,500 listeners."""
    return streams(RUN)


@pytest.fixture
def learning(tmp_path: Path) -> Iterator[Learning]:
    """A warehouse of its own."""
    with running_stack(tmp_path / "stack", frozenset({"warehouse"})) as stack, dg.instance_for_test() as instance:
        provision_warehouse(stack.settings)
        yield Learning(stack.settings, instance)


def test_from_streams_to_lists_and_back(learning: Learning, table: pa.Table, tmp_path: Path) -> None:
    learning.fill(table.slice(0, 0), tmp_path)
    assert learning.materialize()["published"] is False
    assert learning.said() == []
    assert learning.failed() == []  # nothing to judge yet is no failure

    learning.fill(table, tmp_path)
    first = learning.materialize()
    said = learning.said()
    assert first["published"] is True
    assert first["as_of"] == "2026-03-23"  # the week from then on is complete when the next one has begun
    assert len(said) == first["dagster/row_count"]
    users = {row[1] for row in said}
    assert len(users) > 1000
    by_user: dict[str, list[tuple[Any, ...]]] = {}
    for row in said:
        by_user.setdefault(row[1], []).append(row)
    for rows in by_user.values():
        assert [row[2] for row in rows] == list(range(1, 21))
        assert len({row[3] for row in rows}) == 20
        assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    assert {row[5] for row in said} == {"again", "taste"}
    assert {row[0] for row in said} == {first["version"]}
    assert learning.failed() == []

    # The same rows: the same version, and not a row is loaded again.
    with connect(learning.settings) as session:
        before = rows_of(session, f"SELECT version, published_at FROM {LEDGER}")
    again = learning.materialize()
    with connect(learning.settings) as session:
        assert rows_of(session, f"SELECT version, published_at FROM {LEDGER}") == before
    assert again["version"] == first["version"]
    assert learning.said() == said

    # Other rows: another version. The first can be made current again, row for row.
    learning.fill(table.slice(0, table.num_rows * 9 // 10), tmp_path)
    second = learning.materialize()
    assert second["version"] != first["version"]
    assert learning.said() != said
    assert learning.materialize(republish=first["version"])["version"] == first["version"]
    assert learning.said() == said
    # That stands, until there are new rows to learn from.
    assert learning.materialize()["version"] == first["version"]
    assert learning.said() == said
    with pytest.raises(Exception, match=r"has no version nonsense\. Kept are"):
        learning.materialize(republish="nonsense")

    # Streams without tastes: refused, the last version stays, and one check fails, once.
    learning.fill(streams(replace(RUN, classic=True)), tmp_path)
    refused = learning.materialize()
    assert refused["published"] is False
    assert refused["version"] == first["version"]
    assert learning.said() == said
    assert learning.failed() == [BEATS_BASELINES]
    learning.materialize()
    found = list(Looker(learning.settings, lambda: _Store(learning.instance)).failed_checks(time.time()))  # type: ignore[arg-type, return-value]
    assert [problem.key for problem in found] == [f"check ml/recommendations:{BEATS_BASELINES}"]
    # Readers, such as the dashboard, see the verdicts and the version, and have been told to look.
    with connect(learning.settings) as session:
        verdicts = dict(rows_of(session, f"SELECT check_name, passed FROM {CHECKS} WHERE model = 'recommendations'"))
        assert rows_of(session, f"SELECT model, version FROM {LEARNED_NOW}") == [("recommendations", first["version"])]
    assert verdicts.keys() == {BEATS_BASELINES, DRIFTS}
    assert verdicts[BEATS_BASELINES] is False
    assert Home(learning.settings.home).changed.exists()


class _Store:
    """The part of the watch's store that reads failed checks."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def failed_checks(self) -> Any:
        return failed_checks(self._instance, LEARNED_CHECKS)


def test_only_some_versions_are_kept(learning: Learning, table: pa.Table, tmp_path: Path) -> None:
    seen = []
    for tenth in (10, 9, 8, 7):
        learning.fill(table.slice(0, table.num_rows * tenth // 10), tmp_path)
        seen.append(learning.materialize()["version"])
    assert len(set(seen)) == 4
    with connect(learning.settings) as session:
        kept = rows_of(session, f"SELECT DISTINCT version FROM {TABLE.versions}")
        ledger = rows_of(session, f"SELECT version FROM {LEDGER}")
    assert {version for (version,) in kept} == {version for (version,) in ledger} == set(seen[-KEPT:])


def test_from_days_to_the_risk_of_each_user(learning: Learning, tmp_path: Path) -> None:
    counts, _, _ = walk(replace(RUN, users=9000, days=91), 63)
    learning.fill_days(counts.slice(0, 0), tmp_path)
    assert learning.materialize("churn_risk")["published"] is False
    learning.fill_days(counts, tmp_path)
    first = learning.materialize("churn_risk")
    assert first["published"] is True
    said = learning.said(churn_risk.TABLE.view)
    assert len(said) == first["dagster/row_count"] > 3000
    assert {(row[0], row[2].isoformat()) for row in said} == {(first["version"], "2026-05-25")}
    assert len({row[1] for row in said}) == len(said)
    assert all(0 < row[3] < 1 for row in said)
    assert first["AUC of model"] > first["AUC of habits"] > first["AUC of recency"] > first["AUC of base rate"] == 0.5
    assert first["calibration"].startswith("![Calibration by deciles](data:image/svg+xml;base64,")
    assert learning.failed() == []
    again = learning.materialize("churn_risk")
    assert again["version"] == first["version"]
    assert learning.said(churn_risk.TABLE.view) == said

    # Nothing is planted: refused, and what was published stays.
    learning.fill_days(walk(replace(RUN, users=9000, days=91, classic=True), 63)[0], tmp_path)
    refused = learning.materialize("churn_risk")
    assert refused["published"] is False
    assert learning.said(churn_risk.TABLE.view) == said
    assert BEATS_BASELINES in learning.failed()


def test_charts_and_royalties_with_and_without_suspicious_streams(learning: Learning, tmp_path: Path) -> None:
    run = suspicion_of(replace(RUN, scenarios=PLANTED, users=3000, days=21))
    plays, artificial = run.plays, run.artificial
    learning.fill_plays(plays, tmp_path)
    first = learning.materialize("suspicious_streams")
    assert first["published"] is True
    assert first["share of made-up plays found of model"] > first["share of made-up plays found of cap of streams"]
    before = plays.day < plays.day.max()
    with connect(learning.settings) as session:
        rows = rows_of(session, f"SELECT streams, rule, score, sentence FROM {suspicious_streams.TABLE.view}")
        charts = rows_of(session, "SELECT chart_week, song_key, streams, organic_streams, organic_rank, chart_rank "
                         "FROM GOLD.CHARTS_WITHOUT_SUSPICIOUS ORDER BY 1, 2")  # fmt: skip
        shares = rows_of(session, "SELECT song_key, share::FLOAT, organic_share::FLOAT FROM "
                         "GOLD.ROYALTIES_WITHOUT_SUSPICIOUS ORDER BY 1")  # fmt: skip
        songs = rows_of(session, "SELECT song_key, streams, suspicious_streams, accounts, sentence FROM "
                        "GOLD.SUSPICIOUS_SONGS ORDER BY suspicious_streams DESC")  # fmt: skip
    assert sum(row[0] for row in rows) == pytest.approx(artificial[before].sum(), rel=0.05)
    assert {row[1] for row in rows} == {"cut", "loop", "habit"}
    assert all(0 < row[2] <= 1 and row[3].endswith(".") for row in rows)

    # The chart of the second week, which was judged whole: the organic one.
    week = date(2026, 3, 13)
    inside = (plays.day >= day_number(week)) & (plays.day < day_number(week) + 7)
    truth = np.bincount(plays.song[inside], (plays.streams - artificial)[inside], len(plays.songs))
    ranks = {song: rank for at, song, _, _, rank, _ in charts if at == week}
    order = np.argsort(-truth, kind="stable")
    for song in order[:40].tolist():
        assert ranks[plays.songs[song]] == 1 + (truth > truth[song]).sum()
    assert any(chart_rank <= 40 < (organic_rank or 1000) for at, *_, organic_rank, chart_rank in charts if at == week)
    assert sum(streams for _, _, streams, *_ in charts) == plays.streams.sum()
    assert sum(share for _, share, _ in shares) == pytest.approx(1.0)
    assert sum(share for _, _, share in shares) == pytest.approx(1.0)
    assert (
        songs[0][4]
        == f"{songs[0][2]} of {songs[0][1]} streams of this song are suspicious, from {songs[0][3]} accounts."
    )


def test_segments_and_pairs(learning: Learning, tmp_path: Path) -> None:
    of_artists, of_sessions = tables(replace(RUN, users=3000, days=35))
    artists = of_artists.rename_columns(["user_id", "artist_name", "activity_date", "is_collected", "plays"])
    artists = artists.append_column("is_stream", pa.array([True] * artists.num_rows))
    types = {"user_id": "VARCHAR", "artist_name": "VARCHAR", "activity_date": "DATE", "is_stream": "BOOLEAN"}
    learning.load("GOLD.STREAMS", types, artists, tmp_path)
    first = learning.materialize("listener_segments")
    assert first["published"] is True
    with connect(learning.settings) as session:
        said = rows_of(session, f"SELECT segment, name, COUNT(*), MAX(closeness) FROM {listener_segments.TABLE.view} "
                       "GROUP BY 1, 2 ORDER BY 1")  # fmt: skip
    assert [row[0] for row in said] == list(range(1, len(said) + 1))
    assert [row[2] for row in said] == sorted((row[2] for row in said), reverse=True)
    assert all(row[1].count(" · ") == 2 and row[3] <= 1 for row in said)

    sessions = of_sessions.append_column("is_stream", pa.array([True] * of_sessions.num_rows))
    types = {"session_key": "VARCHAR", "song_key": "VARCHAR", "activity_date": "DATE", "is_stream": "BOOLEAN"}
    learning.load("GOLD.STREAMS", types, sessions, tmp_path)
    pairs = learning.materialize("songs_heard_together")
    assert pairs["published"] is True
    with connect(learning.settings) as session:
        found = rows_of(session, "SELECT song_key, rank, other_song_key, score, sessions, lift FROM "
                        f"{songs_heard_together.TABLE.view}")  # fmt: skip
    assert len(found) == pairs["dagster/row_count"] > 1000
    assert all(row[0] != row[2] and 1 <= row[1] <= 20 and 0 < row[3] <= 1 and row[4] >= 1 for row in found)
    assert learning.failed() == []


@pytest.mark.parametrize(
    ("mart", "query"),
    [
        ("gold/streams", STREAMS), ("gold/streams", churn_risk.DAYS), ("silver/page_views", churn_risk.DAYS),
        ("gold/streams", suspicious_streams.PLAYS), ("gold/streams", listener_segments.ARTISTS),
        ("gold/streams", songs_heard_together.SESSIONS),
        *(("gold/streams", view.query) for view in suspicious_streams.VIEWS),
    ],
)  # fmt: skip
def test_the_models_have_the_columns_that_are_read(mart: str, query: str) -> None:
    """Every name in lower case that is no column of ours is one of the mart's."""
    (model,) = yaml.safe_load((MODELS / f"{mart}.yml").read_text())["models"]
    columns = {column["name"] for column in model["columns"]}
    read = READ[mart] & set(re.findall(r"[a-z_]+", query))
    assert read <= columns
    assert read
