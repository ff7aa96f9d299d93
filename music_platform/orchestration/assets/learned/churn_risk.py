"""How likely each user is to be lost in the next 28 days."""

from datetime import date

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from music_platform.contracts.events import Column, ColumnType
from music_platform.learning import churn
from music_platform.learning.daily import COUNTS, UserDays
from music_platform.learning.evaluation import F64, auc, calibration, lift, log_likelihood
from music_platform.learning.listens import day_number
from music_platform.orchestration.assets.learned.plots import line_plot
from music_platform.orchestration.assets.learned.publication import (
    Learned,
    Learner,
    Unjudged,
    last_monday,
    version_of,
)
from music_platform.orchestration.keys import GOLD, SILVER
from music_platform.warehouse.model_versions import ModelTable

T = ColumnType
TABLE = ModelTable(
    "churn_risk",
    "How likely each user who streamed in the 28 days before a date is to stream nothing in the 28 days from it on, or "
    "to cancel in them.",
    (
        Column("user_id", T.STRING, "Id of the user."),
        Column("as_of", T.DATE, "The date: only what happened before it is known."),
        Column("probability", T.DOUBLE, "Chance that the user is lost, calibrated."),
    ),
)

#: What each user did on each date.
DAYS = """
    WITH heard AS (
        SELECT user_id, activity_date, COUNT(*) AS plays, COUNT_IF(is_stream) AS streams,
            COUNT_IF(ended_by = 'skip') AS skips, COUNT_IF(source = 'library') AS collected,
            COUNT_IF(level NOT IN ('free', 'Unknown')) AS paid
        FROM GOLD.STREAMS
        WHERE user_id IS NOT NULL
        GROUP BY user_id, activity_date
    ),
    viewed AS (
        SELECT user_id, activity_date, COUNT(*) AS views, COUNT_IF(page = 'Roll Advert') AS adverts,
            COUNT_IF(page = 'Logout') AS logouts, COUNT_IF(page = 'Cancellation Confirmation') AS cancels
        FROM SILVER.PAGE_VIEWS
        WHERE user_id IS NOT NULL
        GROUP BY user_id, activity_date
    )
    SELECT COALESCE(heard.user_id, viewed.user_id) AS user_id,
        COALESCE(heard.activity_date, viewed.activity_date) AS activity_date,
        ZEROIFNULL(plays) AS plays, ZEROIFNULL(streams) AS streams, ZEROIFNULL(skips) AS skips,
        ZEROIFNULL(collected) AS collected, ZEROIFNULL(paid) AS paid, ZEROIFNULL(adverts) AS adverts,
        ZEROIFNULL(views) AS views, ZEROIFNULL(logouts) AS logouts, ZEROIFNULL(cancels) AS cancels
    FROM heard
    FULL OUTER JOIN viewed ON heard.user_id = viewed.user_id AND heard.activity_date = viewed.activity_date
"""


def learn(rows: pa.Table, newest: date) -> Learned | Unjudged:
    """Judge four weeks ago, and score on the last Monday."""
    as_of = last_monday(newest)
    end = day_number(as_of)
    days = UserDays.of(rows).between(-(1 << 30), end)
    judged = churn.judge(days, end)
    if judged.verdict is None:
        return Unjudged(judged.why_not)
    return Learned(
        version=version_of(
            churn.CODE_VERSION, as_of, (days.users,),
            (days.user, days.day, *(getattr(days, name) for name in COUNTS)),
        ),
        as_of=as_of,
        verdict=judged.verdict,
        measures={name: measures(said, judged.labels) for name, said in judged.said.items()},
        moved=churn.drift(days, end),
        said=lambda: said_table(days, end, as_of),
        metadata={
            "users at risk four weeks ago": len(judged.labels),
            "lost": float(judged.labels.mean()),
            "calibration": dg.MetadataValue.md(calibration_plot(judged)),
        },
    )  # fmt: skip


def measures(said: F64, labels: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How well probabilities do."""
    return {
        "AUC": auc(said, labels),
        "log loss": -float(log_likelihood(said, labels).mean()),
        "lift of the first tenth": lift(said, labels),
    }


def calibration_plot(judged: churn.Judged) -> str:
    """What was said and what was seen, by deciles of what the model said."""
    deciles = calibration(judged.said["model"], judged.labels)
    most = max(one.said for one in deciles)
    return line_plot(
        "Calibration by deciles", "said", "seen",
        {"model": [(one.said, one.seen) for one in deciles], "perfect": [(0.0, 0.0), (most, most)]},
    )  # fmt: skip


def said_table(days: UserDays, end: int, as_of: date) -> pa.Table:
    """The users at risk on the date, as rows of the table."""
    found = churn.score(churn.train(days, end), days, end)
    return pa.table({
        "user_id": days.users[found.users],
        "as_of": pa.array([as_of] * len(found.users), pa.date32()),
        "probability": found.probabilities,
    })  # fmt: skip


LEARNER = Learner(
    table=TABLE,
    code_version=churn.CODE_VERSION,
    deps=(dg.AssetKey([GOLD, "streams"]), dg.AssetKey([SILVER, "page_views"])),
    description="The chance of each user who streamed in the last 28 days to stream nothing in the next 28, or to "
    "cancel in them, as of the last Monday. Published as GOLD.CHURN_RISK if, trained four weeks earlier, it would have "
    "beaten the base rate, the days since the last stream and all habits by themselves; otherwise the last version "
    "stays.",
    gate="On the users at risk four weeks ago the model's log likelihood is better than that of each baseline by more "
    "than two standard errors. Otherwise nothing is published.",
    drift="Population stability index of the users at risk on the last Monday against those four weeks before: days "
    "since the last stream, days with streams, and skips. Above 0.25 other people are at risk than before.",
    query=DAYS,
    learn=learn,
)
