"""What can be wrong with the data itself: a question to the warehouse for each check, and a outcome on its answer.

Each outcome has the figures that it rests on and the coordinates of a few offending rows; nothing personal. A check
that blocks fails with ERROR: nothing is built from such data. The others warn: a person should look. What is new is
judged by the last hour that was loaded, reckoned from the newest row: a check tells the same whenever it is asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from music_platform.contracts import events
from music_platform.orchestration.keys import GOLD, RAW_EVENTS, SILVER
from music_platform.settings import Settings
from music_platform.warehouse.schema import BUILDS

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Offending rows that a check names.
SHOWN = 5
#: Complete hours that are held against the four same hours of the weeks before.
HOURS = 24
#: A baseline says something from this many listens on.
LEAST_PLAYS = 1000
#: Deviations from the baseline that are surprising; a deviation is at least this part of the baseline, for many listens
#: hardly scatter by chance, but late events are missing and weeks differ.
SURPRISING, LEAST_DEVIATION = 4.0, 0.1
#: Part of the listens that may have moved between the states.
MOVED = 0.3

Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Outcome:
    """Whether the data passes, in words, with figures and coordinates."""

    passed: bool
    said: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    samples: Sequence[str] = ()


@dataclass(frozen=True)
class DataCheck:
    """A check of one asset."""

    name: str
    asset: dg.AssetKey
    description: str
    judge: Callable[[Ask, Settings], Outcome]
    blocking: bool = False

    def spec(self) -> dg.AssetCheckSpec:
        """The check as Dagster shows it."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description, blocking=self.blocking)

    def result(self, session: "SnowflakeConnection", settings: Settings) -> dg.AssetCheckResult:
        """Ask and judge."""

        def ask(statement: str) -> list[tuple[Any, ...]]:
            rows: Any = session.cursor().execute(statement).fetchall()  # type: ignore[union-attr]
            return list(rows)

        outcome = self.judge(ask, settings)
        metadata: dict[str, Any] = dict(outcome.figures)
        if outcome.samples:
            metadata["samples"] = dg.MetadataValue.json(list(outcome.samples[:SHOWN]))
        return dg.AssetCheckResult(
            asset_key=self.asset,
            check_name=self.name,
            passed=outcome.passed,
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            description=outcome.said,
            metadata=metadata,
        )


#: Rows of RAW that were loaded in the last hour of loading.
LAST_HOUR = "RAW.EVENTS WHERE loaded_at > (SELECT DATEADD('hour', -1, MAX(loaded_at)) FROM RAW.EVENTS)"
#: Where a row came from, in one text.
COORDINATES = (
    "COALESCE(kafka_topic || '/' || kafka_partition || '/' || kafka_offset, source_file || ':' || source_line)"
)


def quarantine(ask: Ask, settings: Settings) -> Outcome:
    """Share of the records of the last hour that are quarantined, by reason."""
    ((records,),) = ask(f"SELECT COUNT(*) FROM {LAST_HOUR}")
    rows = ask(
        f"SELECT quarantine_reason, COUNT(*), MIN({COORDINATES}) FROM {LAST_HOUR} AND quarantine_reason IS NOT NULL "
        "GROUP BY quarantine_reason ORDER BY 2 DESC"
    )
    return quarantine_outcome(records, rows, settings.quarantine_limit)


def quarantine_outcome(records: int, reasons: Sequence[tuple[str, int, str]], limit: float) -> Outcome:
    """`reasons`: each with its records and the coordinates of one of them."""
    bad = sum(count for _, count, _ in reasons)
    share = bad / records if records else 0.0
    said = f"{bad:,} of {records:,} records of the last hour are quarantined ({share:.2%}; the limit is {limit:.2%})"
    figures = {"records": records, "quarantined": bad, "share": share, "limit": limit}
    return Outcome(share <= limit, said, figures, [f"{at}: {reason} ({n:,} like it)" for reason, n, at in reasons])


def required_columns(ask: Ask, _: Settings) -> Outcome:
    """NULLs in columns that the contract requires, among valid rows."""
    wanted = [(kind, f.column) for f in events.FIELDS for kind in sorted(f.required_in)]
    wanted += [(kind, "event_id") for kind in events.TOPICS] + [(kind, "event_time") for kind in events.TOPICS]
    columns = sorted({column for _, column in wanted})
    nulls = ", ".join(f"SUM(CASE WHEN {column} IS NULL THEN 1 ELSE 0 END)" for column in columns)
    rows = ask(f"SELECT event_kind, COUNT(*), {nulls} FROM {LAST_HOUR} AND quarantine_reason IS NULL GROUP BY 1")
    counts = {kind: dict(zip(columns, found, strict=True)) for kind, _, *found in rows}
    wrong = [(kind, column, int(counts[kind][column])) for kind, column in wanted if counts.get(kind, {}).get(column)]
    samples = [
        f"{at}: {kind} without {column}"
        for kind, column, _ in wrong[:SHOWN]
        for (at,) in ask(
            f"SELECT {COORDINATES} FROM {LAST_HOUR} AND quarantine_reason IS NULL AND event_kind = '{kind}' "
            f"AND {column} IS NULL LIMIT 1"
        )
    ]
    valid = sum(int(row[1]) for row in rows)
    said = ", ".join(f"{count:,} {kind} rows without {column}" for kind, column, count in wrong)
    return Outcome(
        not wrong,
        said or f"none of {valid:,} valid rows of the last hour lacks a required column",
        {"rows": valid, "nulls": sum(count for *_, count in wrong)},
        samples,
    )


def schema_drift(ask: Ask, settings: Settings) -> Outcome:
    """Fields that the contract does not know, and columns of RAW that are not the contract's."""
    ((records,),) = ask(f"SELECT COUNT(*) FROM {LAST_HOUR}")
    names = ask(
        f"SELECT ARRAY_TO_STRING(OBJECT_KEYS(extra), ', '), COUNT(*), MIN({COORDINATES}) FROM {LAST_HOUR} "
        "AND extra IS NOT NULL GROUP BY 1 ORDER BY 2 DESC"
    )
    columns = ask(
        "SELECT LOWER(column_name) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'EVENTS'"
    )
    return drift_outcome(records, names, {name for (name,) in columns}, settings.drift_limit)


def drift_outcome(records: int, unknown: Sequence[tuple[str, int, str]], columns: set[str], limit: float) -> Outcome:
    """`unknown`: names of unknown fields, with their records and the coordinates of one; `columns`: those of RAW."""
    contract = {column.column for column in events.raw_columns()}
    differ = sorted(contract ^ columns)
    strange = sum(count for _, count, _ in unknown)
    share = strange / records if records else 0.0
    said = f"{strange:,} of {records:,} records of the last hour have unknown fields ({share:.2%}, limit {limit:.2%})"
    if differ:
        said += f"; RAW.EVENTS and the contract differ in {', '.join(differ)}"
    samples = [f"{at}: {fields} ({count:,} like it)" for fields, count, at in unknown]
    figures = {"records": records, "with_unknown_fields": strange, "share": share, "limit": limit}
    return Outcome(share <= limit and not differ, said, figures, samples)


#: Columns that a copy of an event may have of its own: where it came from, and when.
_OWN = {c.column for c in (*events.ORIGIN_COLUMNS, *events.OUTCOME_COLUMNS, *events.LOAD_COLUMNS)} - {"event_kind"}


def same_id(ask: Ask, _: Settings) -> Outcome:
    """Ids of the last hour that stand for different content. Each counts once; the earliest record wins."""
    content = ", ".join(c.column for c in events.raw_columns() if c.column not in _OWN and c.column != "event_id")
    rows = ask(
        f"SELECT MIN({COORDINATES}), MAX({COORDINATES}), COUNT(*) FROM RAW.EVENTS "
        f"WHERE quarantine_reason IS NULL AND event_id IN (SELECT event_id FROM {LAST_HOUR} "
        "AND quarantine_reason IS NULL) "
        f"GROUP BY event_id HAVING COUNT(DISTINCT HASH({content})) > 1"
    )
    said = f"{len(rows):,} ids of the last hour stand for different content; each counts once, as the earliest record"
    samples = [f"{first} and {last} ({count} records)" for first, last, count in rows]
    return Outcome(not rows, said, {"ids": len(rows)}, samples)


def volume(ask: Ask, _: Settings) -> Outcome:
    """Listens of the last complete hours against the four same hours of the weeks before."""
    rows = ask(
        "WITH last_hour AS (SELECT MAX(activity_hour) AS at FROM GOLD.HOURLY_METRICS WHERE plays > 0) "
        "SELECT DATEDIFF('hour', m.activity_hour, l.at), m.plays FROM GOLD.HOURLY_METRICS m CROSS JOIN last_hour l "
        f"WHERE m.activity_hour < l.at AND m.activity_hour >= DATEADD('hour', -{4 * 168 + HOURS}, l.at)"
    )
    return volume_outcome({int(ago): int(plays) for ago, plays in rows})


def volume_outcome(plays: Mapping[int, int]) -> Outcome:
    """`plays` by hours before the newest hour, which is not complete. The sum of the last `HOURS` is held against the
    sums of the same hours one to four weeks before."""

    def total(weeks: int) -> int:
        return sum(plays.get(ago + weeks * 168, 0) for ago in range(1, HOURS + 1))

    now, before = total(0), [total(week) for week in range(1, 5)]
    if max(plays, default=0) < 4 * 168 + HOURS or sum(before) / 4 < LEAST_PLAYS:
        return Outcome(True, "no baseline yet: four weeks of listens are needed", {"plays": now})
    mean = sum(before) / 4
    deviation = max((sum((x - mean) ** 2 for x in before) / 4) ** 0.5, mean**0.5, LEAST_DEVIATION * mean)
    score = (now - mean) / deviation
    said = f"{now:,} listens in the last {HOURS} complete hours, {mean:,.0f} in the same hours of four weeks"
    figures = {"plays": now, "mean": mean, "deviation": deviation, "score": score}
    return Outcome(abs(score) <= SURPRISING, f"{said} (score {score:.1f}, limit {SURPRISING})", figures)


def distribution(ask: Ask, _: Settings) -> Outcome:
    """How the listens of the last complete hours are spread over the states, against the same hours of four weeks."""
    rows = ask(
        "SELECT state, SUM(plays), SUM(mean_plays) FROM GOLD.STREAM_ANOMALIES WHERE activity_hour > "
        f"(SELECT DATEADD('hour', -{HOURS}, MAX(activity_hour)) FROM GOLD.STREAM_ANOMALIES) GROUP BY state"
    )
    return distribution_outcome({str(state): (float(plays), float(mean)) for state, plays, mean in rows})


def distribution_outcome(states: Mapping[str, tuple[float, float]]) -> Outcome:
    """`states`: listens now and by the baseline. The measure is the total variation distance of the two."""
    now, before = (sum(pair[i] for pair in states.values()) for i in (0, 1))
    if min(now, before) < LEAST_PLAYS:
        return Outcome(True, "no baseline yet: four weeks of listens are needed", {"plays": now})
    moved = {state: plays / now - mean / before for state, (plays, mean) in states.items()}
    distance = sum(abs(share) for share in moved.values()) / 2
    most = sorted(moved, key=lambda state: -abs(moved[state]))[:SHOWN]
    said = f"{distance:.1%} of the listens of the last {HOURS} hours are in other states than in the four weeks before"
    samples = [f"{state}: {moved[state]:+.1%}" for state in most]
    return Outcome(distance <= MOVED, f"{said} (limit {MOVED:.0%})", {"moved": distance, "plays": now}, samples)


#: Marts whose plays add up to the listens (docs/marts.md), with the column that holds them.
ADDITIVE = {
    "top_songs_daily": "plays",
    "top_artists_daily": "plays",
    "top_genres_daily": "plays",
    "user_engagement_daily": "plays",
    "daily_summary": "plays",
    "hourly_metrics": "plays",
    "location_metrics_daily": "plays",
    "demographics_daily": "plays",
    "device_metrics_daily": "plays",
    "user_activity_tiers": "plays",
}


def totals(ask: Ask, _: Settings) -> Outcome:
    """Plays of the marts that are as far as silver is, against the listens."""
    builds = ask(f"SELECT model, MAX(version) FROM {BUILDS} WHERE built_at IS NOT NULL GROUP BY model")
    reached = {model: int(version) for model, version in builds}
    ((listens,),) = ask("SELECT COUNT(*) FROM SILVER.LISTENS")
    level = [mart for mart in ADDITIVE if reached.get(mart, -1) == reached.get("listens")]
    found = {
        mart: int(ask(f"SELECT COALESCE(SUM({ADDITIVE[mart]}), 0) FROM GOLD.{mart.upper()}")[0][0]) for mart in level
    }
    return totals_outcome(int(listens), found)


def totals_outcome(listens: int, plays: Mapping[str, int]) -> Outcome:
    """`plays` by mart."""
    wrong = {mart: found for mart, found in plays.items() if found != listens}
    said = f"{len(plays) - len(wrong)} of {len(plays)} marts add up to {listens:,} listens"
    samples = [f"{mart}: {found:,} plays, {found - listens:+,}" for mart, found in sorted(wrong.items())]
    return Outcome(not wrong, said, {"listens": listens, "marts": len(plays), "wrong": len(wrong)}, samples)


def inferred(ask: Ask, settings: Settings) -> Outcome:
    """Songs that only events name: the catalogue lacks them, or has them under another name."""
    ((songs, members),) = ask("SELECT COUNT(*), COALESCE(SUM(IFF(is_inferred, 1, 0)), 0) FROM SILVER.DIM_SONGS")
    keys = ask(f"SELECT song_key FROM SILVER.DIM_SONGS WHERE is_inferred ORDER BY 1 LIMIT {SHOWN}")
    return inferred_outcome(int(songs), int(members), [str(key) for (key,) in keys], settings.inferred_limit)


def inferred_outcome(songs: int, members: int, keys: Iterable[str], limit: float) -> Outcome:
    """`members` of `songs` are inferred; `keys` are some of them."""
    share = members / songs if songs else 0.0
    said = f"{members:,} of {songs:,} songs are in no catalogue ({share:.2%}; the limit is {limit:.2%})"
    return Outcome(share <= limit, said, {"songs": songs, "inferred": members, "share": share}, list(keys))


RAW_CHECKS = (
    DataCheck("required_columns", RAW_EVENTS, "No valid row lacks a column that the contract requires.",
              required_columns, blocking=True),
    DataCheck("quarantine_share", RAW_EVENTS, "Share of quarantined records, by reason; QUARANTINE_LIMIT.", quarantine),
    DataCheck("schema_drift", RAW_EVENTS, "Fields that the contract does not know; DRIFT_LIMIT. Columns of RAW.",
              schema_drift),
    DataCheck("same_id_different_content", RAW_EVENTS, "No id stands for two different events.", same_id),
)  # fmt: skip
MART_CHECKS = (
    DataCheck("totals", dg.AssetKey([GOLD, "daily_summary"]), "Marts whose plays have to add up to the listens do.",
              totals, blocking=True),
    DataCheck("volume", dg.AssetKey([GOLD, "hourly_metrics"]), "Listens of a day against the same hours of four weeks.",
              volume),
    DataCheck("distribution", dg.AssetKey([GOLD, "stream_anomalies"]), "Listens by state against the weeks before.",
              distribution),
    DataCheck("inferred_members", dg.AssetKey([SILVER, "dim_songs"]), "Songs that only events name; INFERRED_LIMIT.",
              inferred),
)  # fmt: skip
