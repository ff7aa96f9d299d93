"""How every learned asset runs: learn, let the gate decide, publish or keep what was there, and say so.

What a model says is a table in GOLD with its last versions (`warehouse.model_versions`).
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pydantic
from dagster_snowflake import SnowflakeResource

from music_platform.learning.evaluation import DRIFT_LIMIT, Verdict
from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.assets.markdown import markdown_table
from music_platform.orchestration.keys import BEATS_BASELINES, DRIFTS, ML, OWNERS, model_of
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.connection import execute_all, rows_of
from music_platform.warehouse.model_versions import ModelTable, create_tables, go_back, publish, versions
from music_platform.warehouse.notice import say_changed
from music_platform.warehouse.schema import note_verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from snowflake.connector import SnowflakeConnection

#: Days after which what was published is too old: a week, and a day to learn.
FRESH_DAYS = 8


class LearnConfig(dg.Config):
    """Options in the launchpad, or in `--config-json` on the command line."""

    republish: str | None = pydantic.Field(
        default=None, description="Make this version, which is still kept, the current one again, and learn nothing."
    )


@dataclass(frozen=True)
class Unjudged:
    """Nothing could be judged, and why: that is no failure."""

    why: str


@dataclass(frozen=True)
class Learned:
    """What a run has learned from what happened before `as_of`.

    `version`: checksum of code and rows. `measures`: by name of the model and its baselines, then by measure. `moved`:
    population stability indices by what was compared. `said`: makes the rows of the table, all but the version.
    """

    version: str
    as_of: date
    verdict: Verdict
    measures: Mapping[str, Mapping[str, float]]
    moved: Mapping[str, float]
    said: Callable[[], pa.Table]
    metadata: Mapping[str, dg.MetadataValue | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Learner:
    """What is particular to one model. `query`: the rows that it learns from, which have an `activity_date`. `learn`:
    learns and judges from these rows, at least one, and the newest of their dates."""

    table: ModelTable
    code_version: str
    deps: tuple[dg.AssetKey, ...]
    description: str
    gate: str
    drift: str
    query: str
    learn: Callable[[pa.Table, date], Learned | Unjudged]


def last_monday(day: date) -> date:
    """The Monday on or before a date: what came before it is complete weeks."""
    return day - timedelta(days=day.weekday())


def read(session: "SnowflakeConnection", query: str) -> pa.Table:
    """The rows of a query, with names in lower case."""
    cursor = session.cursor()
    cursor.execute(query)
    found = cursor.fetch_arrow_all(force_return_table=True)
    return found.rename_columns([name.lower() for name in found.column_names])


def version_of(
    code_version: str,
    as_of: date,
    names: Iterable["npt.NDArray[np.str_]"],
    columns: Iterable["npt.NDArray[np.generic]"],
) -> str:
    """Checksum of the code's version and of the rows, so that the same input has the same version."""
    digest = hashlib.sha256(f"{code_version} {as_of.isoformat()} ".encode())
    for texts in names:
        digest.update("\n".join(texts.tolist()).encode())
    for column in columns:
        digest.update(column.tobytes())
    return digest.hexdigest()[:16]


def build_asset(learner: Learner, settings: Settings) -> dg.AssetsDefinition:
    """The asset of a model."""
    table, key = learner.table, dg.AssetKey([ML, learner.table.model])

    @dg.asset(
        key=key,
        group_name=ML,
        deps=learner.deps,
        kinds={"python", "snowflake"},
        owners=OWNERS,
        code_version=learner.code_version,
        description=learner.description,
        metadata={
            "dagster/column_schema": table_schema(table.columns),
            "dagster/table_name": f"{settings.snowflake_database}.{table.view}",
        },
        check_specs=[
            dg.AssetCheckSpec(BEATS_BASELINES, asset=key, description=learner.gate),
            dg.AssetCheckSpec(DRIFTS, asset=key, description=learner.drift),
        ],
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(days=FRESH_DAYS), warn_window=timedelta(days=FRESH_DAYS - 0.5)
        ),
    )
    def learned(
        context: dg.AssetExecutionContext,
        config: LearnConfig,
        snowflake: SnowflakeResource,
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster compares the annotation
        name_process(context.instance, context.run_id)
        role = settings.snowflake_transform_role
        with sentences(), warehouse_session(snowflake, settings, context.run, context.asset_key, role) as session:
            create_tables(session, table)
            result = _run(context, config, session, learner)
            execute_all(session, verdicts(key, result))
        say_changed(settings)
        return result

    return learned


def _run(
    context: dg.AssetExecutionContext, config: LearnConfig, session: "SnowflakeConnection", learner: Learner
) -> dg.MaterializeResult[None]:
    table = learner.table
    if config.republish is not None:
        go_back(session, table, config.republish)
        return _unjudged(f"version {config.republish} was put back by hand", config.republish)
    started = time.monotonic()
    rows = read(session, learner.query)
    context.log.info(f"{rows.num_rows:,} rows to learn from")
    newest = pc.max(rows.column("activity_date")).as_py()
    found = Unjudged("nobody has streamed a song yet") if newest is None else learner.learn(rows, newest)
    if isinstance(found, Unjudged):
        return _unjudged(found.why)
    return _published(session, table, found, started)


def verdicts(key: dg.AssetKey, result: dg.MaterializeResult[None]) -> list[str]:
    """Statements that note the checks' results in OPS, where the dashboard reads them."""
    return [
        statement
        for check in result.check_results or ()
        for statement in note_verdict(model_of(key), str(check.check_name), check.passed, check.description or "")
    ]


def _published(
    session: "SnowflakeConnection", table: ModelTable, found: Learned, started: float
) -> dg.MaterializeResult[None]:
    """Publish what was learned if its gate lets it and it is new, and say what is current now."""
    known = versions(session, table)
    current = [one.version for one in known if one.is_current]
    rows = 0
    # A version that was published is current, or somebody went back from it: that stands until there are new rows.
    if found.verdict.publish and found.version not in [one.version for one in known]:
        said = found.said()
        publish(session, table, found.version, found.as_of, said, found.measures)
        rows, current = said.num_rows, [found.version]
    stays = "" if found.verdict.publish else f"; nothing is published, {_kept(current)}"
    return dg.MaterializeResult(
        metadata={
            "published": found.verdict.publish,
            "version": current[0] if current else "none",
            "as_of": found.as_of.isoformat(),
            "dagster/row_count": rows or _rows(session, table),
            "measures": dg.MetadataValue.md(measures_table(found.measures)),
            **{f"{measure} of {name}": value for name, of in found.measures.items() for measure, value in of.items()},
            **found.metadata,
            "seconds": round(time.monotonic() - started, 2),
        },
        data_version=dg.DataVersion(current[0] if current else "none"),
        check_results=[
            dg.AssetCheckResult(
                check_name=BEATS_BASELINES,
                passed=found.verdict.publish,
                severity=dg.AssetCheckSeverity.WARN,
                description=found.verdict.sentence + stays,
            ),
            dg.AssetCheckResult(
                check_name=DRIFTS,
                passed=all(value <= DRIFT_LIMIT for value in found.moved.values()),
                severity=dg.AssetCheckSeverity.WARN,
                description=", ".join(f"{name} {value:.3f}" for name, value in found.moved.items())
                or "there are not enough weeks to compare yet",
                metadata=dict(found.moved),
            ),
        ],
    )


def _unjudged(why: str, version: str = "none") -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        metadata={"published": False, "version": version, "why": why},
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=True, description=f"no verdict: {why}")
            for name in (BEATS_BASELINES, DRIFTS)
        ],
    )


def measures_table(measures: Mapping[str, Mapping[str, float]]) -> str:
    """The measures as a table in Markdown: a row for the model and for each baseline."""
    names = list(next(iter(measures.values())))
    return markdown_table(
        ("", *names), [(name, *(f"{of[measure]:.4f}" for measure in names)) for name, of in measures.items()]
    )


def _kept(current: list[str]) -> str:
    return f"version {current[0]} stays" if current else "and no version was before"


def _rows(session: "SnowflakeConnection", table: ModelTable) -> int:
    ((rows,),) = rows_of(session, f"SELECT COUNT(*) FROM {table.view}")
    return int(rows)
