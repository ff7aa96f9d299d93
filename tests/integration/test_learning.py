"""Recommendations end to end on a real warehouse: published, kept, refused, taken back, and one alert."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.learning import START, streams
from music_platform.monitoring.sources import Looker
from music_platform.orchestration.assets.learned import STREAMS, TABLE, LearnConfig, build_learned_assets
from music_platform.orchestration.keys import DRIFT, GATE, RECOMMENDATIONS
from music_platform.orchestration.quality import failed_checks
from music_platform.orchestration.resources import build_resources
from music_platform.settings import Settings
from music_platform.warehouse.connection import connect, rows_of
from music_platform.warehouse.model_versions import KEPT, LEDGER
from music_platform.warehouse.schema import literal, provision_warehouse
from music_simulator.options import Options
from tests.support.stack import running_stack

RUN = Options(seed=9, users=1500, songs=4000, days=28, start=START, growth=0.0)
MODELS = Path(__file__).parents[2] / "dbt_project" / "models" / "gold"


@dataclass
class Learning:
    """A warehouse with streams, and an instance in which the asset runs."""

    settings: Settings
    instance: dg.DagsterInstance

    def fill(self, table: pa.Table, scratch: Path) -> None:
        """Replace GOLD.STREAMS by these streams, with the columns of the mart that the model reads."""
        file = scratch / f"streams-{time.monotonic_ns()}.parquet"
        rows = table.set_column(3, "source", pa.array(
            ["library" if own else "radio" for own in table.column("is_collected").to_pylist()]
        ))  # fmt: skip
        pq.write_table(rows.drop_columns(["plays"]), file)
        with connect(self.settings) as session:
            cursor = session.cursor()
            cursor.execute(
                "CREATE OR REPLACE TABLE GOLD.STREAMS (user_id VARCHAR, song_key VARCHAR, activity_date DATE, "
                "source VARCHAR, is_stream BOOLEAN)"
            )
            cursor.execute("CREATE STAGE IF NOT EXISTS GOLD.FILLED")
            cursor.execute(f"PUT {literal(f'file://{file}')} @GOLD.FILLED AUTO_COMPRESS = FALSE")
            cursor.execute(
                "COPY INTO GOLD.STREAMS FROM (SELECT $1:user_id::VARCHAR, $1:song_key::VARCHAR, "
                f"$1:activity_date::DATE, $1:source::VARCHAR, TRUE FROM @GOLD.FILLED/) FILES = ({literal(file.name)}) "
                "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            )

    def materialize(self, republish: str | None = None) -> dict[str, Any]:
        """Materialize the asset; its metadata."""
        result = dg.materialize(
            build_learned_assets(self.settings),
            instance=self.instance,
            resources=build_resources(self.settings),
            run_config=dg.RunConfig({"ml__recommendations": LearnConfig(republish=republish)}),
        )
        assert result.success
        (event,) = result.asset_materializations_for_node("ml__recommendations")
        return {name: value.value for name, value in event.metadata.items()}

    def said(self) -> list[tuple[Any, ...]]:
        """What readers see."""
        with connect(self.settings) as session:
            return rows_of(session, f"SELECT * FROM {TABLE.view} ORDER BY user_id, rank")

    def failed(self) -> list[str]:
        """Names of the failed checks, which the watch alerts."""
        return [check.key.name for check in failed_checks(self.instance, [GATE, DRIFT])]


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
    assert learning.failed() == [GATE.name]
    learning.materialize()
    found = list(Looker(learning.settings, lambda: _Store(learning.instance)).failed_checks(time.time()))  # type: ignore[arg-type, return-value]
    assert [problem.key for problem in found] == [f"check {RECOMMENDATIONS.to_user_string()}:{GATE.name}"]


class _Store:
    """The part of the watch's store that reads failed checks."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def failed_checks(self) -> Any:
        return failed_checks(self._instance, [GATE, DRIFT])


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


def test_the_mart_has_the_columns_that_are_read() -> None:
    (model,) = yaml.safe_load((MODELS / "streams.yml").read_text())["models"]
    columns = {column["name"] for column in model["columns"]}
    assert {"user_id", "song_key", "activity_date", "source", "is_stream"} <= columns
    assert all(name in STREAMS for name in ("user_id", "song_key", "activity_date", "source", "is_stream"))
