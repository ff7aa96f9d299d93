"""What is learned from gold.streams: recommendations. Without the extra `learning` there are no such assets.

The models themselves are in `music_platform.learning`; here they get their rows, and what they say is published if the
gate lets it.
"""

import hashlib
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pydantic
from dagster_snowflake import SnowflakeResource

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import is_installed
from music_platform.orchestration.assets.columns import table_schema
from music_platform.orchestration.assets.markdown import markdown_table
from music_platform.orchestration.keys import DRIFT, GATE, GOLD, ML, OWNERS, RECOMMENDATIONS
from music_platform.orchestration.resources import sentences, warehouse_session
from music_platform.orchestration.runs import name_process
from music_platform.settings import Settings
from music_platform.warehouse.connection import rows_of
from music_platform.warehouse.model_versions import ModelTable, create_tables, go_back, publish, versions

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from music_platform.learning.listens import Listens
    from music_platform.learning.recommendations import Judged, Model

#: Days after which what was published is too old: a week, and a day to learn.
FRESH_DAYS = 8

T = ColumnType
TABLE = ModelTable(
    "recommendations",
    "Songs for each user, best first. A user's songs are those of the last version that passed its gate.",
    (
        Column("user_id", T.STRING, "Id of the user."),
        Column("rank", T.BIGINT, "Place in the user's list, from 1."),
        Column("song_key", T.STRING, "Key of the song, as in silver.dim_songs."),
        Column("score", T.DOUBLE, "Score of the song for the user; greater is better."),
        Column("reason", T.STRING, "Why: 'again' (the user streamed it), 'taste' (people of that taste stream it), "
               "'popular' (nothing is known of the user)."),
    ),
)  # fmt: skip

#: Rows of the mart that are learned from.
LEARNED_FROM = "FROM GOLD.STREAMS WHERE is_stream AND user_id IS NOT NULL"
STREAMS = f"""
    SELECT user_id, song_key, activity_date, COALESCE(source = 'library', FALSE) OR source = 'Unknown' AS is_collected,
        COUNT(*) AS plays
    {LEARNED_FROM}
    GROUP BY ALL
"""


class LearnConfig(dg.Config):
    """Options in the launchpad, or in `--config-json` on the command line."""

    republish: str | None = pydantic.Field(
        default=None, description="Make this version, which is still kept, the current one again, and learn nothing."
    )


def last_monday(day: date) -> date:
    """The Monday on or before a date: what came before it is complete weeks."""
    return day - timedelta(days=day.weekday())


def build_learned_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group `ml`; none without the extra `learning`."""
    if not is_installed():
        return []
    from music_platform.learning.recommendations import CODE_VERSION

    @dg.asset(
        key=RECOMMENDATIONS,
        group_name=ML,
        deps=[dg.AssetKey([GOLD, "streams"])],
        kinds={"python", "snowflake"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description="Twenty songs for each user, learned from the streams before the last Monday; users who are new "
        "since then are folded in. Published as "
        "GOLD.RECOMMENDATIONS if, trained a week earlier, it would have beaten what is popular and what the user "
        "repeats on the last complete week; otherwise the last version stays.",
        metadata={
            "dagster/column_schema": table_schema(TABLE.columns),
            "dagster/table_name": f"{settings.snowflake_database}.{TABLE.view}",
        },
        check_specs=[
            dg.AssetCheckSpec(
                GATE.name,
                asset=RECOMMENDATIONS,
                description="On the last complete week the model is better than each baseline by more than two "
                "standard errors. Otherwise nothing is published.",
            ),
            dg.AssetCheckSpec(
                DRIFT.name,
                asset=RECOMMENDATIONS,
                description="Population stability index of the last complete week against the four before: streams per "
                "user, and streams by the popularity of the songs. Above 0.25 something else is heard than before.",
            ),
        ],
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(days=FRESH_DAYS), warn_window=timedelta(days=FRESH_DAYS - 0.5)
        ),
    )
    def recommendations(
        context: dg.AssetExecutionContext,
        config: LearnConfig,
        snowflake: SnowflakeResource,
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster compares the annotation
        name_process(context.instance, context.run_id)
        role = settings.snowflake_transform_role
        with sentences(), warehouse_session(snowflake, settings, context.run, context.asset_key, role) as session:
            create_tables(session, TABLE)
            if config.republish is not None:
                go_back(session, TABLE, config.republish)
                why = f"version {config.republish} was put back by hand"
                return _unjudged(why, config.republish)
            return _learn(context, session)

    return [recommendations]


def _learn(context: dg.AssetExecutionContext, session: "SnowflakeConnection") -> dg.MaterializeResult[None]:
    from music_platform.learning import recommendations as learning
    from music_platform.learning.evaluation import DRIFT_LIMIT
    from music_platform.learning.listens import Listens, day_number

    started = time.monotonic()
    ((newest,),) = rows_of(session, f"SELECT MAX(activity_date) {LEARNED_FROM}")
    if newest is None:
        return _unjudged("no user has streamed a song yet")
    as_of = last_monday(newest)
    listens, end = Listens.of(read_streams(session)), day_number(as_of)
    context.log.info(f"{len(listens):,} rows of streams of {len(listens.users):,} users; learning from before {as_of}")
    judged = learning.judge(listens, end)
    if judged.verdict is None:
        return _unjudged(judged.why_not)
    moved = learning.drift(listens, end)
    version = version_of(listens, as_of, learning.CODE_VERSION)
    means = {name: ranking.means() for name, ranking in judged.measures.items()}
    known = versions(session, TABLE)
    current = [one.version for one in known if one.is_current]
    rows = 0
    # A version that was published is current, or somebody went back from it: that stands until there are new rows.
    if judged.verdict.publish and version not in [one.version for one in known]:
        said = said_table(learning.with_newcomers(learning.train(listens, end), day_number(newest) + 1))
        publish(session, TABLE, version, as_of, said, means)
        rows, current = said.num_rows, [version]
    stays = "" if judged.verdict.publish else f"; nothing is published, {_kept(current)}"
    return dg.MaterializeResult(
        metadata={
            "published": judged.verdict.publish,
            "version": current[0] if current else "none",
            "as_of": as_of.isoformat(),
            "dagster/row_count": rows or _rows(session),
            "streams": len(listens),
            "users": len(listens.users),
            "measures": dg.MetadataValue.md(_measures(judged)),
            **{f"{measure} of {name}": value for name, found in means.items() for measure, value in found.items()},
            "seconds": round(time.monotonic() - started, 2),
        },
        data_version=dg.DataVersion(current[0] if current else "none"),
        check_results=[
            dg.AssetCheckResult(
                check_name=GATE.name,
                passed=judged.verdict.publish,
                severity=dg.AssetCheckSeverity.WARN,
                description=judged.verdict.sentence + stays,
            ),
            dg.AssetCheckResult(
                check_name=DRIFT.name,
                passed=all(value <= DRIFT_LIMIT for value in moved.values()),
                severity=dg.AssetCheckSeverity.WARN,
                description=", ".join(f"{name} {value:.3f}" for name, value in moved.items())
                or "there are no five complete weeks to compare yet",
                metadata=dict(moved),
            ),
        ],
    )


def _unjudged(why: str, version: str = "none") -> dg.MaterializeResult[None]:
    """Nothing was judged: that is no failure."""
    return dg.MaterializeResult(
        metadata={"published": False, "version": version, "why": why},
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=True, description=f"no verdict: {why}")
            for name in (GATE.name, DRIFT.name)
        ],
    )


def read_streams(session: "SnowflakeConnection") -> pa.Table:
    """Streams by user, song, date and whether they are from the library."""
    cursor = session.cursor()
    cursor.execute(STREAMS)
    found = cursor.fetch_arrow_all(force_return_table=True)
    return found.rename_columns([name.lower() for name in found.column_names])


def version_of(listens: "Listens", as_of: date, code_version: str) -> str:
    """Checksum of the code's version and of the rows, so that the same input has the same version."""
    digest = hashlib.sha256(f"{code_version} {as_of.isoformat()} ".encode())
    for names in (listens.users, listens.songs):
        digest.update("\n".join(names.tolist()).encode())
    for column in (listens.user, listens.song, listens.day, listens.collected, listens.plays):
        digest.update(column.tobytes())
    return digest.hexdigest()[:16]


def said_table(model: "Model") -> pa.Table:
    """The lists of all users whom the model knows, as rows of the table."""
    import numpy as np

    from music_platform.learning.recommendations import REASONS, lists

    users = np.flatnonzero(np.asarray(model.history.getnnz(axis=1)) > 0)
    parts = []
    for found in lists(model, users):
        length = found.songs.shape[1]
        parts.append(pa.table({
            "user_id": np.repeat(model.listens.users[found.users], length),
            "rank": np.tile(np.arange(1, length + 1, dtype=np.int64), len(found.users)),
            "song_key": model.listens.songs[found.songs.ravel()],
            "score": found.scores.ravel().astype(np.float64),
            "reason": np.array(REASONS)[found.reasons.ravel()],
        }))  # fmt: skip
    return pa.concat_tables(parts)


def _measures(judged: "Judged") -> str:
    names = list(next(iter(judged.measures.values())).means())
    return markdown_table(
        ("", *names),
        [(name, *(f"{value:.4f}" for value in found.means().values())) for name, found in judged.measures.items()],
    )


def _kept(current: list[str]) -> str:
    return f"version {current[0]} stays" if current else "and no version was before"


def _rows(session: "SnowflakeConnection") -> int:
    ((rows,),) = rows_of(session, f"SELECT COUNT(*) FROM {TABLE.view}")
    return int(rows)
