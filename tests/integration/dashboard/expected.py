"""What each tile must show, computed in plain Python from the simulator's truth and from the topics' own lines.

A function of the truth and a view for each tile, named after it. It shares no SQL with the dashboard.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from tests.integration.dashboard.conftest import Truth
from tests.integration.dashboard.learned import as_of
from tests.support.warehouse import Rows

Row = dict[str, Any]
#: Listeners with which a place is named.
LEAST_USERS = 5


@dataclass(frozen=True)
class Seen:
    """What a page is looked at for. Dates are ISO texts, as in the truth file."""

    truth: Truth
    start: str
    end: str
    last: str
    hour: datetime
    narrowed: dict[str, str] = field(default_factory=dict)
    artist: str = ""
    period: str = "day"
    week: str = ""
    edition: str = "current"
    month: str = ""
    song: str = ""

    def mart(self, name: str) -> Rows:
        """The rows of a mart."""
        return self.truth.marts[name]

    def dated(self, name: str) -> Rows:
        """Its rows of the dates of the page, in their order, of what the page is narrowed to."""
        rows = (row for row in self.mart(name) if self.start <= row["activity_date"] <= self.end)
        return sorted(filter(self.fits, rows), key=lambda row: str(row["activity_date"]))

    def fits(self, row: Row) -> bool:
        """Whether a row is of what the page is narrowed to, as far as it says so."""
        plan = {"level": row["plan"]} if "plan" in row else {}
        return all(({**row, **plan}).get(name, value) == value for name, value in self.narrowed.items())

    def listens(self) -> Rows:
        """Single listens of what the page is narrowed to."""
        return [row for row in self.truth.listens if self.fits(row)]


def usual(truth: Truth, **changes: Any) -> Seen:
    """The view of an address that says nothing: 28 days to the last date, the latest of everything."""
    days = [row["activity_date"] for row in truth.marts["daily_summary"]]
    last = max(days)
    start = max(min(days), (date.fromisoformat(last) - timedelta(days=27)).isoformat())
    hour = max(row["activity_hour"] for row in truth.marts["hourly_metrics"] if row["plays"])
    audience = [row for row in truth.marts["artist_audience_daily"] if row["activity_date"] == last]
    best = min(audience, key=lambda row: (-row["streams_28d"], row["artist_name"], row["artist_id"]))
    seen = Seen(
        truth, start, last, last, datetime.fromisoformat(hour), artist=best["artist_id"],
        week=max(row["chart_week"] for row in truth.marts["charts_weekly"]),
        month=max(row["statement_month"] for row in truth.marts["royalty_shares_monthly"]),
    )  # fmt: skip
    return replace(seen, **changes)


def total(rows: Iterable[Row], *names: str) -> Row:
    """The sums of these columns."""
    found = list(rows)
    return {name: sum(row[name] or 0 for row in found) for name in names}


def grouped(rows: Iterable[Row], by: tuple[str, ...], *names: str) -> Rows:
    """The sums of these columns for each value of others."""
    groups: dict[tuple[Any, ...], Rows] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in by)].append(row)
    return [dict(zip(by, key, strict=True)) | total(found, *names) for key, found in groups.items()]


def counted(listens: Iterable[Row], *by: str) -> Rows:
    """Plays and streams of single listens, for each value of some columns."""
    return grouped(({**row, "plays": 1, "streams": int(row["is_stream"])} for row in listens), by, "plays", "streams")


def named(seen: Seen) -> dict[str, Row]:
    """Title and artist of each song."""
    return {row["song_key"]: row for row in seen.mart("top_songs_daily")}


# --- Now --------------------------------------------------------------------------------------------------------------


def minutes(seen: Seen) -> Rows:
    first = seen.hour - timedelta(hours=1)
    rows = [
        {**row, "minute": row["started_at"].replace(second=0, microsecond=0)}
        for row in seen.listens()
        if first <= row["started_at"] < seen.hour + timedelta(hours=1)
    ]
    return sorted(counted(rows, "minute"), key=lambda row: row["minute"])


def hours(seen: Seen) -> Rows:
    rows = sorted(
        (row for row in seen.mart("hourly_metrics") if row["activity_hour"].startswith(seen.last)),
        key=lambda row: str(row["activity_hour"]),
    )
    if not seen.narrowed:
        return [
            {
                "activity_hour": row["activity_hour"], "plays": row["plays"], "streams": row["streams"],
                "plays_previous_day": row["plays_previous_day"], "listeners": row["users"],
                "is_complete": row["is_complete"],
            }
            for row in rows
        ]  # fmt: skip
    by_hour: dict[datetime, Rows] = defaultdict(list)
    for listen in seen.listens():
        by_hour[listen["started_at"].replace(minute=0, second=0, microsecond=0)].append(listen)

    def at(row: Row, days: int = 0) -> Rows:
        return by_hour[datetime.fromisoformat(row["activity_hour"]) - timedelta(days=days)]

    return [
        {
            "activity_hour": row["activity_hour"], "plays": len(at(row)), "plays_previous_day": len(at(row, 1)),
            "streams": sum(listen["is_stream"] for listen in at(row)),
            "listeners": len({listen["user_id"] for listen in at(row)} - {None}), "is_complete": row["is_complete"],
        }
        for row in rows
    ]  # fmt: skip


def hour_songs(seen: Seen) -> Rows:
    songs = named(seen)
    rows = counted(
        (r for r in seen.listens() if seen.hour <= r["started_at"] < seen.hour + timedelta(hours=1)), "song_key"
    )
    rows.sort(key=lambda r: (-r["plays"], -r["streams"], songs[r["song_key"]]["song_title"], r["song_key"]))
    return [{**_names(songs[row["song_key"]]), "plays": row["plays"], "streams": row["streams"]} for row in rows[:10]]


def _names(song: Row) -> Row:
    return {name: song[name] for name in ("song_title", "artist_id", "artist_name")}


def places(seen: Seen) -> Rows:
    if seen.narrowed.keys() - {"state", "level"}:
        found = counted((r for r in seen.listens() if str(r["activity_date"]) == seen.last), "state")
    else:
        rows = (r for r in seen.mart("demographics_daily") if r["activity_date"] == seen.last and seen.fits(r))
        found = grouped(rows, ("state",), "plays", "streams")
    return sorted(found, key=lambda row: (-row["plays"], row["state"]))


# --- Charts -----------------------------------------------------------------------------------------------------------


def _periods(seen: Seen) -> tuple[tuple[str, str], tuple[str, str]]:
    end = date.fromisoformat(seen.end)
    first, before = end, end - timedelta(days=1)
    last, before_last = end, end - timedelta(days=1)
    if seen.period == "week":
        first = end - timedelta(days=end.isoweekday() - 1)
        last, before, before_last = first + timedelta(6), first - timedelta(7), first - timedelta(1)
    if seen.period == "year":
        first, last = end.replace(month=1, day=1), end.replace(month=12, day=31)
        before, before_last = first.replace(year=end.year - 1), last.replace(year=end.year - 1)
    return (str(first), str(last)), (str(before), str(before_last))


def _ranked(seen: Seen, rows: Rows, key: str, names: tuple[str, ...], order: str) -> Rows:
    (first, last), (before, before_last) = _periods(seen)
    now = grouped((r for r in rows if first <= str(r["activity_date"]) <= last), (key,), "plays", "streams")
    earlier = (r for r in rows if before <= str(r["activity_date"]) <= before_last)
    then = {r[key]: r["plays"] for r in grouped(earlier, (key,), "plays")}
    known = {r[key]: r for r in rows}
    # Of songs that are in both periods, those with more plays before come first; the new ones are behind them.
    ranked = []
    for row in now:
        if row["plays"] > 0:
            place = 1 + sum(other["plays"] > row["plays"] for other in now)
            had = then.get(row[key], 0)
            previous = 1 + sum(plays > had for plays in then.values()) if had else None
            ranked.append(
                {"chart_rank": place, "previous_rank": previous, **{n: known[row[key]][n] for n in (*names, key)},
                 "plays": row["plays"], "streams": row["streams"]}
            )  # fmt: skip
    ranked.sort(key=lambda r: (r["chart_rank"], r[order], r[key]))
    return [{name: value for name, value in row.items() if name != key or key in names} for row in ranked[:40]]


def songs(seen: Seen) -> Rows:
    rows = _of_songs(seen) if seen.narrowed else seen.mart("top_songs_daily")
    return _ranked(seen, rows, "song_key", ("song_title", "artist_id", "artist_name"), "song_title")


def artists(seen: Seen) -> Rows:
    rows = _of_songs(seen) if seen.narrowed else seen.mart("top_artists_daily")
    return _ranked(seen, rows, "artist_id", ("artist_id", "artist_name"), "artist_name")


def _of_songs(seen: Seen) -> Rows:
    found = named(seen)
    return [{**_names(found[row["song_key"]]), **row} for row in counted(seen.listens(), "activity_date", "song_key")]


def genres(seen: Seen) -> Rows:
    (first, last), (before, before_last) = _periods(seen)
    rows = []
    for genre in {row["genre"] for row in seen.mart("top_genres_daily")}:
        of_it = [row for row in seen.mart("top_genres_daily") if row["genre"] == genre]
        now = [row for row in of_it if first <= row["activity_date"] <= last]
        then = [row for row in of_it if before <= row["activity_date"] <= before_last]
        if now or then:
            rows.append(
                {"genre": genre, **total(now, "plays", "streams"), "plays_before": total(then, "plays")["plays"]}
            )
    return sorted(rows, key=lambda row: (-row["plays"], row["genre"]))


def _chart(seen: Seen, edition: str) -> Rows:
    country = seen.narrowed.get("country", "All")
    rows = [r for r in seen.mart("charts_weekly") if (r["chart_week"], r["country"], r["genre"], r["edition"])
            == (seen.week, country, "All", edition)]  # fmt: skip
    return sorted(rows, key=lambda r: (r["chart_rank"], r["song_title"], r["song_key"]))


def weekly_chart(seen: Seen) -> Rows:
    names = ("chart_rank", "previous_rank", "song_title", "artist_id", "artist_name", "points", "paid_streams",
             "free_streams", "peak_rank", "weeks_on_chart", "is_new")  # fmt: skip
    return [{name: row[name] for name in names} for row in _chart(seen, seen.edition)]


def corrections(seen: Seen) -> Rows:
    published = {row["song_key"]: row for row in _chart(seen, "published")}
    rows = []
    for row in _chart(seen, "current"):
        if row["reason"] is not None:
            was = published.get(row["song_key"])
            rows.append({
                "song_title": row["song_title"], "artist_name": row["artist_name"],
                "published_rank": was and was["chart_rank"], "current_rank": row["chart_rank"],
                "published_streams": was and was["paid_streams"] + was["free_streams"],
                "current_streams": row["paid_streams"] + row["free_streams"], "reason": row["reason"],
            })  # fmt: skip
    return rows


def songs_of_years(seen: Seen) -> Rows:
    rows = sorted(
        seen.mart("song_of_the_year"),
        key=lambda r: (-r["activity_year"], r["song_rank"], r["song_title"], r["song_key"]),
    )
    names = ("activity_year", "song_rank", "song_title", "artist_id", "artist_name", "plays", "is_complete")
    return [{name: row[name] for name in names} for row in rows]


def artists_of_years(seen: Seen) -> Rows:
    return sorted(
        seen.mart("artist_of_the_year"),
        key=lambda r: (-r["activity_year"], r["artist_rank"], r["artist_name"], r["artist_id"]),
    )


# --- Artist -----------------------------------------------------------------------------------------------------------


def artist_days(seen: Seen) -> Rows:
    return [
        {
            "activity_date": row["activity_date"], "plays": row["plays"], "streams": row["streams"],
            "listeners": row["unique_listeners"], "heard_seconds": row["heard_seconds"],
            "is_complete": row["is_complete"],
        }
        for row in replace(seen, narrowed={}).dated("top_artists_daily")
        if row["artist_id"] == seen.artist
    ]  # fmt: skip


def artist_audience(seen: Seen) -> Rows:
    names = ("activity_date", "artist_name", "listeners_28d", "streams_28d", "super_listeners", "moderate_listeners",
             "light_listeners", "top_country", "top_state", "is_complete")  # fmt: skip
    rows = (row for row in replace(seen, narrowed={}).dated("artist_audience_daily"))
    return [{name: row[name] for name in names} for row in rows if row["artist_id"] == seen.artist]


def _of_artist(seen: Seen) -> Rows:
    found = named(seen)
    return [row for row in seen.listens() if found[row["song_key"]]["artist_id"] == seen.artist]


def artist_places(seen: Seen) -> Rows:
    rows = [row for row in _of_artist(seen) if seen.start <= str(row["activity_date"]) <= seen.end]
    users: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        users[row["state"]] |= {row["user_id"]} - {None}
    placed = [{**row, "state": row["state"] if len(users[row["state"]]) >= LEAST_USERS else "Other"} for row in rows]
    return sorted(counted(placed, "state"), key=lambda row: (-row["plays"], row["state"]))


def artist_returning(seen: Seen) -> Rows:
    weeks: dict[str, set[date]] = defaultdict(set)
    for row in _of_artist(seen):
        if row["user_id"] is not None and str(row["activity_date"]) <= seen.end:
            weeks[row["user_id"]].add(row["activity_date"] - timedelta(days=row["activity_date"].weekday()))
    start = date.fromisoformat(seen.start)
    first = start - timedelta(days=start.weekday())
    new = Counter(min(found) for found in weeks.values())
    all_of = Counter(week for found in weeks.values() for week in found)
    return [
        {"activity_week": week, "new_listeners": new[week], "returning_listeners": all_of[week] - new[week]}
        for week in sorted(all_of)
        if week >= first
    ]


def artist_songs(seen: Seen) -> Rows:
    of_songs = replace(seen, narrowed={k: v for k, v in seen.narrowed.items() if k in ("country", "level")})
    rows = [row for row in of_songs.dated("song_performance_daily") if row["artist_id"] == seen.artist]
    titles = {row["song_key"]: row["song_title"] for row in rows}
    found = grouped(
        rows, ("song_key",), "plays", "streams", "savers", "known_plays", "skips_before_30s", "completed_plays"
    )
    for row in found:
        row["song_title"] = titles[row["song_key"]]
        known = row["known_plays"]
        row["skip_rate"] = row["skips_before_30s"] / known if known else None
        row["completion_rate"] = row["completed_plays"] / known if known else None
    return sorted(found, key=lambda row: (-row["streams"], row["song_title"], row["song_key"]))[:50]


# --- Listeners --------------------------------------------------------------------------------------------------------


def actives(seen: Seen) -> Rows:
    return seen.dated("active_users_daily")


def lifecycle(seen: Seen) -> Rows:
    return seen.dated("growth_accounting_daily")


def cohorts(seen: Seen) -> Rows:
    names = ("cohort_week", "week_number", "users", "returning_users", "retention_rate")
    rows = [row for row in seen.mart("retention_cohorts") if row["is_complete"] and row["users"]]
    return [{n: row[n] for n in names} for row in sorted(rows, key=lambda r: (r["cohort_week"], r["week_number"]))]


def retention_days(seen: Seen) -> Rows:
    rows = (row for row in seen.mart("retention_by_day") if row["is_complete"])
    found = grouped(rows, ("day_number",), "eligible", "retained", "retained_or_later")
    for row in found:
        row["retention_rate"] = row["retained"] / row["eligible"] if row["eligible"] else None
        row["rolling_retention_rate"] = row["retained_or_later"] / row["eligible"] if row["eligible"] else None
    return sorted(found, key=lambda row: row["day_number"])


def funnel(seen: Seen) -> Rows:
    rows = replace(seen, narrowed={}).dated("conversion_funnel_daily")
    steps = ("visitors", "guests", "registrations", "upgrade_viewers_30d", "upgraders_30d")
    return [{**total(rows, *steps), "running_dates": sum(not row["is_complete"] for row in rows)}]


def movements(seen: Seen) -> Rows:
    rows = seen.dated("subscription_movements_daily")
    found = grouped(rows, ("activity_date",), "opening", "first_seen", "new", "reactivated", "moved_in", "moved_out",
                    "downgraded", "cancelled", "closing")  # fmt: skip
    return [
        {
            **{n: row[n] for n in ("activity_date", "opening", "first_seen", "new", "reactivated", "closing")},
            "downgraded": -row["downgraded"], "cancelled": -row["cancelled"],
            "moved": row["moved_in"] - row["moved_out"],
        }
        for row in found
    ]  # fmt: skip


def devices(seen: Seen) -> Rows:
    found = grouped(seen.dated("device_metrics_daily"), ("device_type", "device_os"), "plays", "streams")
    return sorted(found, key=lambda row: (-row["plays"], row["device_type"], row["device_os"]))


def demographics(seen: Seen) -> Rows:
    found = grouped(seen.dated("demographics_daily"), ("gender", "level"), "plays", "streams")
    return sorted(found, key=lambda row: (row["gender"], row["level"]))


# --- Money ------------------------------------------------------------------------------------------------------------


def _statement(seen: Seen) -> Rows:
    rows = seen.mart("royalty_shares_monthly")
    return [row for row in rows if row["statement_month"] == seen.month and seen.fits(row)]


def royalty_totals(seen: Seen) -> Rows:
    rows = []
    for cell in sorted({(row["country"], row["plan"]) for row in _statement(seen)}):
        of_it = [row for row in _statement(seen) if (row["country"], row["plan"]) == cell]
        own = [row for row in of_it if row["entry"] == "statement"]
        adjusted = [row for row in of_it if row["entry"] == "adjustment"]
        rows.append({
            "country": cell[0], "plan": cell[1], **total(own, "streams", "pro_rata_cents", "user_centric_cents"),
            "adjusted_streams": total(adjusted, "streams")["streams"], "adjusted_rows": len(adjusted),
            "is_closed": any(row["is_complete"] for row in of_it),
        })  # fmt: skip
    return rows


def _shares(seen: Seen) -> Rows:
    own = [row for row in _statement(seen) if row["entry"] == "statement"]
    titles = {row["song_key"]: row["song_title"] for row in own}
    found = grouped(own, ("song_key",), "streams", "pro_rata_cents", "user_centric_cents")
    return [
        {**row, "song_title": titles[row["song_key"]],
         "difference_cents": row["user_centric_cents"] - row["pro_rata_cents"]}
        for row in found
    ]  # fmt: skip


def royalty_songs(seen: Seen) -> Rows:
    return sorted(_shares(seen), key=lambda r: (-r["pro_rata_cents"], r["song_title"], r["song_key"]))[:25]


def royalty_moves(seen: Seen) -> Rows:
    rows = sorted(_shares(seen), key=lambda r: (-r["difference_cents"], r["song_title"], r["song_key"]))
    lost = sorted(rows, key=lambda r: (r["difference_cents"], r["song_title"], r["song_key"]))[:8]
    keys = {row["song_key"] for row in (*rows[:8], *lost)}
    names = ("song_key", "song_title", "difference_cents")
    return [{name: row[name] for name in names} for row in rows if row["song_key"] in keys]


def plans(seen: Seen) -> Rows:
    found = grouped(seen.dated("subscription_movements_daily"), ("activity_date", "plan"), "closing")
    rows = [{"activity_date": r["activity_date"], "plan": r["plan"], "subscribers": r["closing"]} for r in found]
    return sorted(rows, key=lambda row: (row["activity_date"], row["plan"]))


def churn(seen: Seen) -> Rows:
    return sorted(seen.mart("churn_monthly"), key=lambda row: str(row["activity_month"]), reverse=True)


# --- Quality ----------------------------------------------------------------------------------------------------------


def anomalies(seen: Seen) -> Rows:
    rows = [
        {name: row[name] for name in ("activity_hour", "state", "plays", "expected_plays", "score")}
        for row in seen.mart("traffic_anomalies")
        if row["is_anomaly"] and seen.start <= row["activity_hour"][:10] <= seen.end
    ]
    rows.sort(key=lambda row: row["state"])
    rows.sort(key=lambda row: (row["activity_hour"], abs(row["score"])), reverse=True)
    return rows[:200]


def restatements(seen: Seen) -> Rows:
    by_day: dict[date, Rows] = defaultdict(list)
    for row in seen.truth.restatements:
        if seen.start <= str(row["activity_date"]) <= seen.end:
            by_day[row["activity_date"]].append(row)
    return [
        {
            "activity_date": day, "plays_at_first": min(r["plays_before"] for r in rows),
            "plays": max(r["plays_after"] for r in rows),
            "plays_added": max(r["plays_after"] for r in rows) - min(r["plays_before"] for r in rows),
            "streams_added": max(r["streams_after"] for r in rows) - min(r["streams_before"] for r in rows),
            "last_recorded_on": max(r["recorded_on"] for r in rows),
        }
        for day, rows in sorted(by_day.items())
    ]  # fmt: skip


#: Tile → what it must show. Those that are missing here are about the platform itself, not about the events.
# --- For you ----------------------------------------------------------------------------------------------------------


def _grouped(rows: Rows, by: str) -> dict[Any, Rows]:
    groups: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    return groups


def recommended_songs(seen: Seen) -> Rows:
    said, songs = seen.truth.learned["recommendations"], named(seen)
    lists = len({row["user_id"] for row in said})
    found = [
        {
            **_names(songs[key]), "song_key": key, "users": len(rows), "users_with_a_list": lists,
            **{f"{reason}_share": sum(row["reason"] == reason for row in rows) / len(rows)
               for reason in ("again", "taste", "popular")},
        }
        for key, rows in _grouped(said, "song_key").items()
        if len(rows) >= LEAST_USERS
    ]  # fmt: skip
    return sorted(found, key=lambda row: (-row["users"], row["song_title"], row["song_key"]))[:40]


def churn_bands(seen: Seen) -> Rows:
    bands: list[list[float]] = [[] for _ in range(10)]
    for row in seen.truth.learned["churn_risk"]:
        bands[int(row["probability"] * 10)].append(row["probability"])
    few = [chance for band in bands if len(band) < LEAST_USERS for chance in band]
    found = [(10 * n, band) for n, band in enumerate(bands) if len(band) >= LEAST_USERS]
    return [
        {"percent_from": low, "users": len(chances), "expected_lost": sum(chances)}
        for low, chances in [*found, *([(None, few)] if few else [])]
    ]


def segments(seen: Seen) -> Rows:
    found = [
        {"segment": number, "name": rows[0]["name"], "users": len(rows),
         "closeness": sum(row["closeness"] for row in rows) / len(rows)}
        for number, rows in _grouped(seen.truth.learned["listener_segments"], "segment").items()
        if len(rows) >= LEAST_USERS
    ]  # fmt: skip
    return sorted(found, key=lambda row: int(row["segment"]))


def songs_together(seen: Seen) -> Rows:
    songs, pairs = named(seen), _grouped(seen.truth.learned["songs_heard_together"], "song_key")
    song = seen.song or max(pairs, key=lambda key: max(row["sessions"] for row in pairs[key]))
    return [
        {**_names(songs[row["other_song_key"]]), "place": row["rank"], "sessions": row["sessions"],
         "lift": row["lift"], "score": row["score"]}
        for row in pairs[song]
        if row["sessions"] >= LEAST_USERS
    ]  # fmt: skip


def suspicious_songs(seen: Seen) -> Rows:
    said, songs, end = seen.truth.learned["suspicious_streams"], named(seen), as_of(seen.truth.listens)
    streams = Counter(row["song_key"] for row in seen.truth.listens if row["is_stream"] and row["activity_date"] < end)
    found = []
    for key, rows in _grouped(said, "song_key").items():
        accounts, suspicious = len({row["user_id"] for row in rows}), sum(row["streams"] for row in rows)
        by_rule = Counter(dict.fromkeys(("cut", "loop", "habit"), 0))
        for row in rows:
            by_rule[row["rule"]] += row["streams"]
        if accounts >= LEAST_USERS:
            found.append({
                **_names(songs[key]), "song_key": key, "streams": streams[key], "suspicious_streams": suspicious,
                "suspicious_share": suspicious / streams[key], "accounts": accounts, "cut_streams": by_rule["cut"],
                "looped_streams": by_rule["loop"], "habit_streams": by_rule["habit"],
                "all_suspicious_streams": sum(row["streams"] for row in said), "all_streams": sum(streams.values()),
            })  # fmt: skip
    return sorted(found, key=lambda row: (-row["suspicious_streams"], row["song_title"], row["song_key"]))


EXPECTED: dict[str, Callable[[Seen], Rows]] = {
    "minutes": minutes, "hours": hours, "hour_songs": hour_songs, "places": places, "songs": songs, "artists": artists,
    "genres": genres, "weekly_chart": weekly_chart, "corrections": corrections, "songs_of_years": songs_of_years,
    "artists_of_years": artists_of_years, "artist_days": artist_days, "artist_audience": artist_audience,
    "artist_places": artist_places, "artist_returning": artist_returning, "artist_songs": artist_songs,
    "actives": actives, "stickiness": actives, "lifecycle": lifecycle, "cohorts": cohorts,
    "retention_days": retention_days, "funnel": funnel, "movements": movements, "devices": devices,
    "demographics": demographics, "royalty_totals": royalty_totals, "royalty_songs": royalty_songs,
    "royalty_moves": royalty_moves, "plans": plans, "churn": churn, "anomalies": anomalies,
    "restatements": restatements, "recommended_songs": recommended_songs, "churn_bands": churn_bands,
    "segments": segments, "songs_together": songs_together, "suspicious_songs": suspicious_songs,
}  # fmt: skip
