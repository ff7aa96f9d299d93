"""What can be wrong with the data itself. Each check queries the warehouse and judges the result.

An outcome has the figures behind it and the coordinates of a few offending rows, but nothing personal. A blocking check
fails with ERROR, and nothing is built from such data. The others warn: a person should look. For them new data is the
last hour of loading, counted back from the latest row, so a check gives the same result whenever it runs. A blocking
check looks at every batch that it has not passed yet, so that no verdict lapses.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from music_platform.contracts import events
from music_platform.orchestration.keys import GOLD, RAW_EVENTS, SILVER, model_of
from music_platform.settings import Settings
from music_platform.warehouse.checked_batches import Batches, note, passed_up_to
from music_platform.warehouse.connection import execute_all, rows_of
from music_platform.warehouse.schema import BUILDS, literal, note_verdict

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Maximum number of offending rows that a check lists.
MAX_LISTED = 5
#: Characters of a producer's field name that a check shows.
NAME_LENGTH = 40
#: Complete hours that are compared with the same hours of the four weeks before.
HOURS = 24
#: Minimum number of listens of a meaningful baseline.
MIN_PLAYS = 1000
#: Maximum score, in deviations from the baseline. A deviation is at least this share of the baseline: large numbers
#: hardly vary by chance, but late events are missing and weeks differ.
MAX_SCORE, MIN_DEVIATION = 4.0, 0.1
#: Maximum share of the listens that may move between states.
MAX_MOVED = 0.3

Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Outcome:
    """Whether the data passes, in words, with figures and coordinates."""

    passed: bool
    summary: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    samples: Sequence[str] = ()
    #: Statements that note in OPS which rows the verdict is about.
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class DataCheck:
    """A check of one asset."""

    name: str
    asset: dg.AssetKey
    description: str
    judge: Callable[[Ask, Settings], Outcome]
    blocking: bool = False
    #: Whether it reads whole tables, so that it is evaluated at night only.
    nightly: bool = False

    @property
    def key(self) -> dg.AssetCheckKey:
        """The check's key for Dagster."""
        return dg.AssetCheckKey(self.asset, self.name)

    def spec(self) -> dg.AssetCheckSpec:
        """The check's spec for Dagster."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description, blocking=self.blocking)

    def result(self, session: "SnowflakeConnection", settings: Settings) -> dg.AssetCheckResult:
        """Query and judge."""

        def ask(statement: str) -> list[tuple[Any, ...]]:
            return rows_of(session, statement)

        outcome = self.judge(ask, settings)
        verdict = note_verdict(model_of(self.asset), self.name, outcome.passed, outcome.summary)
        execute_all(session, [*outcome.notes, *verdict])
        metadata: dict[str, Any] = dict(outcome.figures)
        if outcome.samples:
            metadata["samples"] = dg.MetadataValue.json(list(outcome.samples[:MAX_LISTED]))
        return dg.AssetCheckResult(
            asset_key=self.asset,
            check_name=self.name,
            passed=outcome.passed,
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            description=outcome.summary,
            metadata=metadata,
        )


#: Where a row came from, in one text.
COORDINATES = (
    "COALESCE(kafka_topic || '/' || kafka_partition || '/' || kafka_offset, source_file || ':' || source_line)"
)


def last_hour(ask: Ask) -> str:
    """The rows of RAW that were loaded in the last hour of loading, as a FROM clause that AND can follow.

    The time is asked for first, which costs the warehouse nothing, and is written into the statement: with a query in
    its place every partition of RAW would be read.
    """
    ((newest,),) = ask("SELECT MAX(loaded_at) FROM RAW.EVENTS")
    if newest is None:
        return "RAW.EVENTS WHERE FALSE"
    return f"RAW.EVENTS WHERE loaded_at > {_at(newest - timedelta(hours=1))}"


def quarantine(ask: Ask, settings: Settings) -> Outcome:
    """Share of quarantined records in the last hour, by reason."""
    loaded = last_hour(ask)
    ((records,),) = ask(f"SELECT COUNT(*) FROM {loaded}")
    rows = ask(
        f"SELECT quarantine_reason, COUNT(*), MIN({COORDINATES}) FROM {loaded} AND quarantine_reason IS NOT NULL "
        "GROUP BY quarantine_reason ORDER BY 2 DESC"
    )
    return quarantine_outcome(records, rows, settings.quarantine_limit)


def quarantine_outcome(records: int, reasons: Sequence[tuple[str, int, str]], limit: float) -> Outcome:
    """`reasons`: each with its number of records and the coordinates of one of them."""
    bad = sum(count for _, count, _ in reasons)
    share = bad / records if records else 0.0
    summary = f"{bad:,} of {records:,} records in the last hour are quarantined ({share:.2%}; the limit is {limit:.2%})"
    figures = {"records": records, "quarantined": bad, "share": share, "limit": limit}
    return Outcome(share <= limit, summary, figures, [f"{at}: {reason} ({n:,} like it)" for reason, n, at in reasons])


#: Name of the check below, in Dagster and in OPS.
REQUIRED_COLUMNS = "required_columns"


def required_columns(ask: Ask, _: Settings) -> Outcome:
    """NULLs in columns that the contract requires, among valid rows of the batches that have not passed yet."""
    ((after,),) = ask(passed_up_to(REQUIRED_COLUMNS))
    ((newest,),) = ask("SELECT MAX(batch_id) FROM RAW.EVENTS")
    if newest is None or newest <= after:
        return Outcome(True, "every batch was checked before", {"rows": 0, "nulls": 0})
    batches = Batches(int(after) + 1, int(newest))
    valid = f"RAW.EVENTS WHERE batch_id >= {batches.first} AND batch_id <= {batches.last} AND quarantine_reason IS NULL"
    wanted = [(kind, f.column) for f in events.FIELDS for kind in sorted(f.required_in)]
    wanted += [(kind, "event_id") for kind in events.TOPICS] + [(kind, "event_time") for kind in events.TOPICS]
    columns = sorted({column for _, column in wanted})
    nulls = ", ".join(f"SUM(CASE WHEN {column} IS NULL THEN 1 ELSE 0 END)" for column in columns)
    rows = ask(f"SELECT event_kind, COUNT(*), {nulls} FROM {valid} GROUP BY 1")
    counts = {kind: dict(zip(columns, found, strict=True)) for kind, _, *found in rows}
    wrong = [(kind, column, int(counts[kind][column])) for kind, column in wanted if counts.get(kind, {}).get(column)]
    judged = sum(int(row[1]) for row in rows)
    if not wrong:
        summary = f"none of the {judged:,} valid rows in {batches} lacks a required column"
        notes = note(REQUIRED_COLUMNS, batches, passed=True)
        return Outcome(True, summary, {"rows": judged, "nulls": 0}, notes=notes)
    lacking = [f"(event_kind = '{kind}' AND {column} IS NULL)" for kind, column, _ in wrong]
    ((first, last),) = ask(f"SELECT MIN(batch_id), MAX(batch_id) FROM {valid} AND ({' OR '.join(lacking)})")
    refused = Batches(int(first), int(last))
    samples = [
        f"{at}: {kind} without {column}"
        for (kind, column, _), condition in list(zip(wrong, lacking, strict=True))[:MAX_LISTED]
        for (at,) in ask(f"SELECT {COORDINATES} FROM {valid} AND {condition} LIMIT 1")
    ]
    found = ", ".join(f"{count:,} {kind} rows without {column}" for kind, column, count in wrong)
    return Outcome(
        False,
        f"{found}, in {refused}. Fix them and rebuild RAW (music-platform rebuild), or let builds take them in: "
        "music-platform accept-rows",
        {"rows": judged, "nulls": sum(count for *_, count in wrong)},
        samples,
        note(REQUIRED_COLUMNS, refused, passed=False),
    )


def schema_drift(ask: Ask, settings: Settings) -> Outcome:
    """Fields that the contract does not know, and columns of RAW that are not the contract's."""
    loaded = last_hour(ask)
    ((records,),) = ask(f"SELECT COUNT(*) FROM {loaded}")
    names = ask(
        f"SELECT ARRAY_TO_STRING(OBJECT_KEYS(extra), ', '), COUNT(*), MIN({COORDINATES}) FROM {loaded} "
        "AND quarantine_reason IS NULL AND extra IS NOT NULL GROUP BY 1 ORDER BY 2 DESC"
    )
    columns = ask(
        "SELECT LOWER(column_name) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'EVENTS'"
    )
    return drift_outcome(records, names, {name for (name,) in columns}, settings.drift_limit)


def _short(fields: str) -> str:
    """The first names of a list, shortened: producers choose their number and length."""
    names = fields.split(", ")
    shown = [name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}…" for name in names[:MAX_LISTED]]
    return ", ".join(shown) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")


def drift_outcome(records: int, unknown: Sequence[tuple[str, int, str]], columns: set[str], limit: float) -> Outcome:
    """`unknown`: names of unknown fields, with their number of records and the coordinates of one. `columns`: RAW's."""
    contract = {column.column for column in events.raw_columns()}
    differ = sorted(contract ^ columns)
    strange = sum(count for _, count, _ in unknown)
    share = strange / records if records else 0.0
    summary = (
        f"{strange:,} of {records:,} records in the last hour have unknown fields ({share:.2%}, limit {limit:.2%})"
    )
    if differ:
        summary += f"; RAW.EVENTS and the contract differ in the columns {', '.join(differ)}"
    samples = [f"{at}: {_short(fields)} ({count:,} like it)" for fields, count, at in unknown]
    figures = {"records": records, "with_unknown_fields": strange, "share": share, "limit": limit}
    return Outcome(share <= limit and not differ, summary, figures, samples)


#: Columns in which copies of an event may differ: where it came from, when, and what the reference data said by then.
_OWN = {
    c.column
    for c in (*events.ORIGIN_COLUMNS, *events.OUTCOME_COLUMNS, *events.ENRICHMENT_COLUMNS, *events.LOAD_COLUMNS)
} - {"event_kind"}


def same_id(ask: Ask, _: Settings) -> Outcome:
    """Ids in the last hour with more than one content. Each id counts once: the earliest record wins."""
    content = ", ".join(c.column for c in events.raw_columns() if c.column not in _OWN and c.column != "event_id")
    recent = f"{last_hour(ask)} AND quarantine_reason IS NULL"
    rows = ask(
        f"SELECT MIN({COORDINATES}), MAX({COORDINATES}), COUNT(*) FROM RAW.EVENTS WHERE {_batches_of(recent, ask)} "
        f"AND quarantine_reason IS NULL AND event_id IN (SELECT event_id FROM {recent}) "
        f"GROUP BY event_id HAVING COUNT(DISTINCT HASH({content})) > 1"
    )
    summary = f"{len(rows):,} ids in the last hour have different content; only the earliest record of each id counts"
    samples = [f"{first} and {last} ({count} records)" for first, last, count in rows]
    return Outcome(not rows, summary, {"ids": len(rows)}, samples)


#: How silver.event_dates notes an id: as a number, so that a lookup reads 8 bytes per past event.
ID_HASH = "mod(hash(event_id), 4611686018427387904)"
#: Maximum number of batches that a statement names. Of more, all from the first on are read.
MOST_BATCHES = 1_000


def _batches_of(recent: str, ask: Ask) -> str:
    """The batches of RAW that have records with the ids of these rows, as a condition with literals: RAW lies in the
    order of its batches, so the warehouse reads these alone. What silver has not read yet is among them."""
    ((first,),) = ask(f"SELECT MIN(batch_id) FROM {recent}")
    ((built,),) = ask(
        f"SELECT COALESCE(MAX(version), -1) FROM {BUILDS} WHERE model = 'event_dates' AND built_at IS NOT NULL"
    )
    if first is None:
        return "FALSE"
    if built < 0:
        return "TRUE"
    since = min(int(first), int(built) + 1)
    found = ask(
        "SELECT DISTINCT earlier.batch_id FROM SILVER.EVENT_DATES AS earlier "
        f"JOIN (SELECT DISTINCT {ID_HASH} AS id_hash FROM {recent}) AS recent ON recent.id_hash = earlier.id_hash "
        f"WHERE earlier.batch_id < {since}"
    )
    earlier = sorted(int(batch) for (batch,) in found)
    if not earlier:
        return f"batch_id >= {since}"
    if len(earlier) > MOST_BATCHES:
        return f"batch_id >= {earlier[0]}"
    return f"(batch_id >= {since} OR batch_id IN ({', '.join(map(str, earlier))}))"


def _at(moment: datetime) -> str:
    """A time as a literal: with a query in its place the warehouse would read every partition."""
    return f"{literal(str(moment))}::TIMESTAMP_NTZ"


def volume(ask: Ask, _: Settings) -> Outcome:
    """Listens of the last complete hours, compared with the same hours of the four weeks before."""
    ((latest,),) = ask("SELECT MAX(activity_hour) FROM GOLD.HOURLY_METRICS WHERE plays > 0")
    if latest is None:
        return volume_outcome({})
    rows = ask(
        f"SELECT activity_hour, plays FROM GOLD.HOURLY_METRICS WHERE activity_hour < {_at(latest)} "
        f"AND activity_hour >= {_at(latest - timedelta(hours=4 * 168 + HOURS))}"
    )
    return volume_outcome({round((latest - hour).total_seconds() / 3600): int(plays) for hour, plays in rows})


def volume_outcome(plays: Mapping[int, int]) -> Outcome:
    """`plays` by hours before the latest hour, which is not complete. The sum of the last `HOURS` is compared with the
    sums of the same hours one to four weeks before."""

    def total(weeks: int) -> int:
        return sum(plays.get(ago + weeks * 168, 0) for ago in range(1, HOURS + 1))

    now, before = total(0), [total(week) for week in range(1, 5)]
    if max(plays, default=0) < 4 * 168 + HOURS or sum(before) / 4 < MIN_PLAYS:
        return Outcome(True, "no baseline yet: four weeks of listens are needed", {"plays": now})
    mean = sum(before) / 4
    deviation = max((sum((x - mean) ** 2 for x in before) / 4) ** 0.5, mean**0.5, MIN_DEVIATION * mean)
    score = (now - mean) / deviation
    summary = f"{now:,} listens in the last {HOURS} complete hours, {mean:,.0f} on average in the four weeks before"
    figures = {"plays": now, "mean": mean, "deviation": deviation, "score": score}
    return Outcome(abs(score) <= MAX_SCORE, f"{summary} (score {score:.1f}, limit {MAX_SCORE})", figures)


def distribution(ask: Ask, _: Settings) -> Outcome:
    """Distribution of listens over states in the last complete hours, compared with the eight weeks before."""
    ((latest,),) = ask("SELECT MAX(activity_hour) FROM GOLD.TRAFFIC_ANOMALIES")
    if latest is None:
        return distribution_outcome({})
    rows = ask(
        "SELECT state, SUM(plays), COALESCE(SUM(expected_plays), 0) FROM GOLD.TRAFFIC_ANOMALIES "
        f"WHERE activity_hour > {_at(latest - timedelta(hours=HOURS))} GROUP BY state"
    )
    return distribution_outcome({str(state): (float(plays), float(mean)) for state, plays, mean in rows})


def distribution_outcome(states: Mapping[str, tuple[float, float]]) -> Outcome:
    """`states`: listens now and in the baseline. The measure is the total variation distance between the two."""
    now, before = (sum(pair[i] for pair in states.values()) for i in (0, 1))
    if min(now, before) < MIN_PLAYS:
        return Outcome(True, "no baseline yet: four weeks of listens are needed", {"plays": now})
    moved = {state: plays / now - mean / before for state, (plays, mean) in states.items()}
    distance = sum(abs(share) for share in moved.values()) / 2
    most = sorted(moved, key=lambda state: -abs(moved[state]))[:MAX_LISTED]
    summary = f"{distance:.1%} of the listens in the last {HOURS} hours moved to other states since the weeks before"
    samples = [f"{state}: {moved[state]:+.1%}" for state in most]
    return Outcome(
        distance <= MAX_MOVED, f"{summary} (limit {MAX_MOVED:.0%})", {"moved": distance, "plays": now}, samples
    )


#: Marts whose plays add up to the listens (docs/reference/marts.md), with the date of their rows; None: a row is of no
#: date.
ADDITIVE: dict[str, str | None] = {
    "top_songs_daily": "activity_date",
    "top_artists_daily": "activity_date",
    "top_genres_daily": "activity_date",
    "user_engagement_daily": "activity_date",
    "daily_summary": "activity_date",
    "hourly_metrics": "TO_DATE(activity_hour)",
    "location_metrics_daily": "activity_date",
    "demographics_daily": "activity_date",
    "device_metrics_daily": "activity_date",
    "song_performance_daily": "activity_date",
    "user_activity_tiers": None,
}
#: Name of the check below, in Dagster and in OPS.
TOTALS = "totals"
#: Maximum number of dates that a statement names. Of more, all between the first and the last are read.
MOST_DATES = 400


def totals(ask: Ask, _: Settings) -> Outcome:
    """Plays and listens of the dates that have records in the batches that have not passed yet."""
    ((after,),) = ask(passed_up_to(TOTALS))
    reached = _reached(ask)
    built = reached.get("listens", -1)
    if built <= after:
        return Outcome(True, "every date was compared before", {"listens": 0, "marts": 0, "wrong": 0})
    dates = None
    if after >= 0:
        touched = f"SILVER.EVENT_DATES WHERE batch_id > {after} AND batch_id <= {built}"
        dates = sorted(day for (day,) in ask(f"SELECT DISTINCT activity_date FROM {touched}"))
    outcome = _added_up(ask, reached, dates)
    # A mart that is built less often is compared when it has come as far: until then the batches have not passed.
    if outcome.passed and all(reached.get(mart, -1) == built for mart, column in ADDITIVE.items() if column):
        return replace(outcome, notes=note(TOTALS, Batches(int(after) + 1, built), passed=True))
    return outcome


def all_totals(ask: Ask, _: Settings) -> Outcome:
    """Plays and listens of all dates."""
    return _added_up(ask, _reached(ask), None)


def _reached(ask: Ask) -> dict[str, int]:
    """The version that each model is built from."""
    builds = ask(f"SELECT model, MAX(version) FROM {BUILDS} WHERE built_at IS NOT NULL GROUP BY model")
    return {model: int(version) for model, version in builds}


def _added_up(ask: Ask, reached: Mapping[str, int], dates: Sequence[date] | None) -> Outcome:
    """Plays of the marts that are built from the same version as silver, compared with the listens, of these dates or,
    with None, of all."""
    level = [
        mart
        for mart, column in ADDITIVE.items()
        if reached.get(mart, -1) == reached.get("listens") and (dates is None or column is not None)
    ]
    ((listens,),) = ask(f"SELECT COUNT(*) FROM SILVER.LISTENS{_on(dates, 'activity_date')}")
    found = {
        mart: int(ask(f"SELECT COALESCE(SUM(plays), 0) FROM GOLD.{mart.upper()}{_on(dates, ADDITIVE[mart])}")[0][0])
        for mart in level
    }
    return totals_outcome(int(listens), found)


def _on(dates: Sequence[date] | None, column: str | None) -> str:
    """A WHERE clause for these dates, with literals; none for all."""
    if dates is None:
        return ""
    if not dates:
        return " WHERE FALSE"
    if len(dates) > MOST_DATES:
        return f" WHERE {column} BETWEEN '{dates[0]}'::DATE AND '{dates[-1]}'::DATE"
    named = ", ".join(f"'{day}'::DATE" for day in dates)
    return f" WHERE {column} IN ({named})"


def totals_outcome(listens: int, plays: Mapping[str, int]) -> Outcome:
    """`plays` by mart."""
    wrong = {mart: found for mart, found in plays.items() if found != listens}
    summary = f"{len(plays) - len(wrong)} of {len(plays)} marts add up to {listens:,} listens"
    samples = [f"{mart}: {found:,} plays, {found - listens:+,}" for mart, found in sorted(wrong.items())]
    return Outcome(not wrong, summary, {"listens": listens, "marts": len(plays), "wrong": len(wrong)}, samples)


def inferred(ask: Ask, settings: Settings) -> Outcome:
    """Songs that only events name: the catalogue lacks them or has them under another name."""
    ((songs, members),) = ask("SELECT COUNT(*), COALESCE(SUM(IFF(is_inferred, 1, 0)), 0) FROM SILVER.DIM_SONGS")
    keys = ask(f"SELECT song_key FROM SILVER.DIM_SONGS WHERE is_inferred ORDER BY 1 LIMIT {MAX_LISTED}")
    return inferred_outcome(int(songs), int(members), [str(key) for (key,) in keys], settings.inferred_limit)


def inferred_outcome(songs: int, members: int, keys: Iterable[str], limit: float) -> Outcome:
    """`members` of `songs` are inferred; `keys` are some of them."""
    share = members / songs if songs else 0.0
    summary = f"{members:,} of {songs:,} songs are missing from the catalogue ({share:.2%}; the limit is {limit:.2%})"
    return Outcome(share <= limit, summary, {"songs": songs, "inferred": members, "share": share}, list(keys))


RAW_CHECKS = (
    DataCheck(REQUIRED_COLUMNS, RAW_EVENTS, "No valid row lacks a column that the contract requires.",
              required_columns, blocking=True),
    DataCheck("quarantine_share", RAW_EVENTS, "The share of quarantined records is at most QUARANTINE_LIMIT.",
              quarantine),
    DataCheck("schema_drift", RAW_EVENTS, "The share of records with unknown fields is at most DRIFT_LIMIT, and RAW "
              "has the contract's columns.", schema_drift),
    DataCheck("same_id_different_content", RAW_EVENTS, "No event id has more than one content.", same_id),
)  # fmt: skip
MART_CHECKS = (
    DataCheck(TOTALS, dg.AssetKey([GOLD, "daily_summary"]), "The plays of every additive mart add up to the listens, "
              "on the dates that have new records.", totals, blocking=True),
    DataCheck("all_totals", dg.AssetKey([GOLD, "daily_summary"]), "The plays of every additive mart add up to the "
              "listens, over all dates. Compared at night.", all_totals, blocking=True, nightly=True),
    DataCheck("volume", dg.AssetKey([GOLD, "hourly_metrics"]),
              "The number of listens in the last day is in the usual range of the four weeks before.", volume),
    DataCheck("distribution", dg.AssetKey([GOLD, "traffic_anomalies"]),
              "The listens of the last day are spread over the states as in the eight weeks before.", distribution),
    DataCheck("inferred_members", dg.AssetKey([SILVER, "dim_songs"]),
              "The share of songs missing from the catalogue is at most INFERRED_LIMIT.", inferred),
)  # fmt: skip
#: Keys of the checks that read whole tables.
NIGHTLY = [check.key for check in (*RAW_CHECKS, *MART_CHECKS) if check.nightly]
