"""The marts of docs/reference/marts.md, computed the slow and obvious way from the lines that a run wrote.

Nothing of the simulator or the platform is used but the shape of the contract: lines are parsed, checked and counted
with plain Python, so that the truth file is held against a second pair of eyes.
"""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from music_platform.contracts.events import TOPICS
from tests.support.contract import breach, parsed

Row = dict[str, Any]
HALF_HOUR, DAY = timedelta(minutes=30), timedelta(days=1)
#: Users that a place must have to be named.
MIN_CELL_USERS = 5
#: Seconds of a song that must be heard for a stream, and the longest that a song plays.
STREAM_SECONDS, LONGEST_PLAY = 30, timedelta(hours=12)
#: Streams of a song by a user on a date that count in charts and royalties.
MOST_STREAMS = 50
#: Places of a chart; streams that are worth a point in one, of paying users and of others, from a date on.
CHART_SIZE = 40
WEIGHTS = [(date(2000, 1, 1), 1250, 3750), (date(2026, 1, 2), 1000, 2500)]
#: What is distributed for each month, country and plan, and days after the month when it is closed.
POOL_CENTS, CLOSE_DAYS = 1_000_000, 1
#: Streams of the last twelve months that a song needs to get a share.
LEAST_STREAMS = 10
#: Monthly prices in cents: (plan, country) → first date and price.
PRICES = {("paid", "All"): [(date(2000, 1, 1), 1099)], ("paid", "US"): [(date(2026, 2, 1), 1299)]}
#: Dates of the last 28 with a listen from which a listener of an artist is super, or moderate.
SUPER_DAYS, MODERATE_DAYS = 5, 2
#: Plays of the last 28 dates from which a user is heavy, or regular.
HEAVY_PLAYS, REGULAR_PLAYS = 200, 20
#: How far a right clock may be ahead of the record, and behind it.
CLOCK_AHEAD, CLOCK_BEHIND = timedelta(minutes=10), timedelta(days=730)
#: Pages that end a song → what ended it.
STOPS = {"Skip": "skip", "Logout": "logout", "Cancel": "logout", "Playback End": "end"}


@dataclass
class Event:
    """A valid event with what the marts ask of it."""

    kind: str
    id: str
    ts: datetime
    raw: Row
    user: str | None
    session: tuple[str, int, datetime] | None = None
    date_session: tuple[str, int, datetime] | None = None
    busy_until: datetime | None = None
    recorded: datetime | None = None
    heard: Decimal = Decimal(0)
    is_estimated: bool = True
    ended_by: str = "unknown"
    device: tuple[str, str] = ("", "")

    @property
    def day(self) -> date:
        return self.ts.date()

    @property
    def page(self) -> str | None:
        return self.raw.get("page") if self.kind == "page_view" else None

    @property
    def starts_a_song(self) -> bool:
        return self.kind == "listen" or self.page == "NextSong"

    @property
    def place(self) -> tuple[datetime, int]:
        """Place in its session number."""
        return self.ts, self.raw["itemInSession"]

    def text(self, name: str) -> str:
        return self.raw.get(name) or "Unknown"


@dataclass
class Stream:
    """All distinct valid events of a folder, with the reference data beside them."""

    folder: Path
    patterns: Path
    reference: Path | None = None
    events: list[Event] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        folder = self.reference or self.folder / "reference"
        with (folder / "songs.csv").open(encoding="utf-8", newline="") as file:
            self.songs = {row["song_id"]: row for row in csv.DictReader(file)}
        with (folder / "artists.csv").open(encoding="utf-8", newline="") as file:
            self.artists = {row["artist_id"]: row["name"] for row in csv.DictReader(file)}
        with self.patterns.open(encoding="utf-8", newline="") as file:
            self.devices = sorted(csv.DictReader(file), key=lambda row: int(row["priority"]))
        self._read()
        self._sessions()
        self._endings()
        self.listens = [event for event in self.events if event.kind == "listen"]
        days = [event.day for event in self.listens]
        self.spine = [min(days) + timedelta(days=n) for n in range((max(days) - min(days)).days + 1)] if days else []

    def _read(self) -> None:
        seen: set[tuple[str, str]] = set()
        for kind, topic in TOPICS.items():
            count = self.counts[topic] = dict.fromkeys(
                ("records", "valid_records", "malformed", "invalid", "events"), 0
            )
            for part in sorted((self.folder / topic).glob("*.jsonl")):
                file = part.with_suffix(".times")
                lines = part.read_bytes().split(b"\n")[:-1]
                times = [int(time) for time in file.read_text().split()] if file.exists() else [None] * len(lines)
                for line, time in zip(lines, times, strict=True):
                    count["records"] += 1
                    raw = parsed(line)
                    if raw is None:
                        count["malformed"] += 1
                    elif breach(raw, kind):
                        count["invalid"] += 1
                    else:
                        count["valid_records"] += 1
                        if (kind, raw["eventId"]) not in seen:
                            seen.add((kind, raw["eventId"]))
                            count["events"] += 1
                            self.events.append(self._event(kind, raw, time))

    def _event(self, kind: str, raw: Row, time: int | None) -> Event:
        ts = datetime.fromtimestamp(raw["ts"] / 1000, UTC).replace(tzinfo=None)
        recorded = None
        if time is not None:
            recorded = datetime.fromtimestamp(time / 1000, UTC).replace(tzinfo=None)
            self.as_of = max(recorded, self.as_of or recorded)
            if not recorded - CLOCK_BEHIND <= ts <= recorded + CLOCK_AHEAD:
                ts = recorded
        user = str(raw["userId"]) if "userId" in raw else None
        return Event(kind, raw["eventId"], ts, raw, user, device=self._device(raw), recorded=recorded or ts)

    def _device(self, raw: Row) -> tuple[str, str]:
        if "device" in raw:
            return raw["device"].get("type", "Other"), raw["device"].get("os", "Other")
        for row in self.devices:
            at, rest = 0, row["pattern"].strip("%").split("%")
            for piece in rest:
                at = raw["userAgent"].find(piece, at)
                if at < 0:
                    break
                at += len(piece)
            else:
                return row["device_type"], row["os"]
        return "Other", "Other"

    def _visitor(self, event: Event) -> str:
        if event.user:
            return event.user
        number = event.raw["sessionId"]
        found = self.users_of[number]
        return next(iter(found)) if len(found) == 1 else f"guest-{number}"

    def _sessions(self) -> None:
        self.users_of: dict[int, set[str]] = defaultdict(set)
        for event in self.events:
            if event.user:
                self.users_of[event.raw["sessionId"]].add(event.user)
        groups: dict[tuple[str, int], list[Event]] = defaultdict(list)
        for event in self.events:
            number = event.raw["sessionId"]
            groups[self._visitor(event), number].append(event)
        for (visitor, number), events in groups.items():
            events.sort(key=lambda e: (*e.place, e.kind))
            for begin, event in _runs(events):
                event.session = (visitor, number, begin.ts)
            for day in group(events, lambda e: e.day).values():
                for begin, event in _runs(day):
                    event.date_session = (visitor, number, begin.ts)
            self._busy(events)

    def _busy(self, events: list[Event]) -> None:
        """Until when each event leaves the session busy: its own time, or the end of what plays."""
        plays = datetime.min
        for event in events:
            plays = _plays_until(event, plays)
            event.busy_until = max(event.ts, plays)

    def _endings(self) -> None:
        """What ended each listen, and how much of it was heard."""
        for events in group(self.events, lambda e: e.raw["sessionId"]).values():
            marks = [e for e in events if e.starts_a_song or e.page in (*STOPS, "Pause", "Resume")]
            at = group(marks, lambda e: e.place)
            order = sorted(at)
            for number, place in enumerate(order):
                listens = [e for e in at[place] if e.kind == "listen"]
                paused, since, end = timedelta(0), None, None
                for later in order[number + 1 :] if listens else ():
                    paused += later[0] - since if since else timedelta(0)
                    since = None
                    if any(e.starts_a_song or e.page in STOPS for e in at[later]):
                        end = later
                        break
                    if any(e.page == "Pause" for e in at[later]):
                        since = later[0]
                for listen in listens:
                    self._heard(listen, at[end] if end else [], paused)

    def _heard(self, listen: Event, end: list[Event], paused: timedelta) -> None:
        length = round(Decimal(str(listen.raw["duration"])), 6)
        if not end:
            listen.heard = length
            return
        starts = any(e.starts_a_song for e in end)
        listen.ended_by = "next" if starts else next(STOPS[e.page] for e in end if e.page in STOPS)
        said = [e.raw["listenedSeconds"] for e in end if "listenedSeconds" in e.raw]
        named = [e.raw["songId"] for e in end if e.page in ("Skip", "Playback End") and "songId" in e.raw]
        if said and not (named and named[0] != listen.raw["songId"]):
            listen.heard, listen.is_estimated = round(Decimal(str(said[0])), 6), False
        else:
            listen.heard = min(length, Decimal(str((end[0].ts - listen.ts - paused).total_seconds())))

    def complete(self, next_date: date) -> bool:
        """Whether the time up to this date is over, by the latest record."""
        return self.over(datetime(next_date.year, next_date.month, next_date.day))

    def over(self, instant: datetime) -> bool:
        """Whether the latest record is as late as this. Records without a time were sent today."""
        return instant <= (self.as_of or datetime.now(UTC).replace(tzinfo=None))

    def song(self, event: Event) -> tuple[str, str, str, str]:
        row = self.songs[event.raw["songId"]]
        return row["song_id"], row["title"], row["artist_id"], self.artists[row["artist_id"]]


def group(events: Iterable[Event], key: Callable[[Event], Any]) -> dict[Any, list[Event]]:
    groups: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


def _plays_until(event: Event, before: datetime) -> datetime:
    """Until when a song plays after the event, if it played until `before`."""
    if event.starts_a_song:
        length = (Decimal(str(event.raw["duration"])) * 1000).quantize(Decimal(1), ROUND_HALF_UP)
        return event.ts + min(timedelta(milliseconds=int(length)), LONGEST_PLAY)
    return event.ts if event.page in STOPS else before


def _runs(events: list[Event]) -> Iterator[tuple[Event, Event]]:
    """Each event with the first of its run: half an hour in which nothing happens or plays ends one."""
    begin, busy, plays = events[0], events[0].ts, datetime.min
    for event in events:
        if event.ts - busy >= HALF_HOUR:
            begin = event
        plays = _plays_until(event, plays)
        busy = max(event.ts, plays)
        yield begin, event


def users(events: Iterable[Event]) -> int:
    return len({event.user for event in events if event.user})


def heard(events: Iterable[Event]) -> dict[str, float]:
    listens = [e for e in events if e.kind == "listen"]
    nominal = sum((round(Decimal(str(e.raw["duration"])), 6) for e in listens), Decimal(0))
    return {"heard_seconds": float(sum((e.heard for e in listens), Decimal(0))), "nominal_seconds": float(nominal)}


def streams(events: Iterable[Event]) -> int:
    return sum(event.kind == "listen" and event.heard >= STREAM_SECONDS for event in events)


def pages(events: Iterable[Event], page: str) -> int:
    return sum(event.page == page for event in events)


def plays(events: Iterable[Event]) -> int:
    return sum(event.kind == "listen" for event in events)


def ratio(a: float, b: float) -> float | None:
    return a / b if b else None


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def hour(ts: datetime) -> datetime:
    return ts.replace(minute=0, second=0, microsecond=0)


def top_songs_daily(s: Stream) -> list[Row]:
    counted = ("Skip", "Pause", "Add to Playlist", "Thumbs Up", "Thumbs Down")
    events = [e for e in s.events if e.kind == "listen" or (e.page in counted and "songId" in e.raw)]
    return [
        dict(zip(("song_key", "song_title", "artist_id", "artist_name"), song, strict=True))
        | {
            "activity_date": day,
            "plays": plays(group),
            "skips": pages(group, "Skip"),
            "pauses": pages(group, "Pause"),
            "playlist_adds": pages(group, "Add to Playlist"),
            "thumbs_up": pages(group, "Thumbs Up"),
            "thumbs_down": pages(group, "Thumbs Down"),
            "unique_listeners": users(e for e in group if e.kind == "listen"),
            "streams": streams(group),
            **heard(group),
            "is_complete": s.complete(day + DAY),
        }
        for (day, song), group in group_by_song(s, events).items()
    ]


def group_by_song(s: Stream, events: Iterable[Event]) -> dict[Any, list[Event]]:
    return group(events, lambda e: (e.day, s.song(e)))


def top_artists_daily(s: Stream) -> list[Row]:
    return [
        {
            "activity_date": day, "artist_id": artist, "artist_name": name, "plays": plays(events),
            "unique_listeners": users(events), "streams": streams(events), **heard(events),
            "is_complete": s.complete(day + DAY),
        }
        for (day, artist, name), events in group(s.listens, lambda e: (e.day, *s.song(e)[2:])).items()
    ]  # fmt: skip


def top_genres_daily(s: Stream) -> list[Row]:
    groups = group(s.listens, lambda e: (e.day, s.songs[e.raw["songId"]]["genre"] or "Unknown"))
    return [
        {
            "activity_date": day,
            "genre": genre,
            "plays": plays(events),
            "unique_listeners": users(events),
            "streams": streams(events),
            "is_complete": s.complete(day + DAY),
        }
        for (day, genre), events in groups.items()
    ]


def user_engagement_daily(s: Stream) -> list[Row]:
    counted = [e for e in s.events if e.user and (e.kind == "listen" or e.page in ("Skip", "Pause", "Add to Playlist"))]
    return [
        {
            "activity_date": day, "user_id": user, "device_type": device, "state": state,
            "plays": plays(events), "skips": pages(events, "Skip"), "pauses": pages(events, "Pause"),
            "playlist_adds": pages(events, "Add to Playlist"), "sessions": len({e.date_session for e in events}),
            "streams": streams(events), **heard(events), "is_complete": s.complete(day + DAY),
        }
        for (day, user, device, state), events in group(
            counted, lambda e: (e.day, e.user, e.device[0], e.text("state"))
        ).items()
    ]  # fmt: skip


def active_users_daily(s: Stream) -> list[Row]:
    rows = []
    seen = group(s.listens, lambda e: e.day)
    for day in s.spine:
        counts = [users(e for back in range(n) for e in seen.get(day - timedelta(days=back), ())) for n in (1, 7, 30)]
        full, over = day - timedelta(days=29) >= s.spine[0], s.complete(day + DAY)
        names = ("daily_active_users", "active_users_7d", "active_users_30d")
        row = dict(zip(names, counts, strict=True))
        sticky = ratio(counts[0], counts[2]) if full and over else None
        rows.append({"activity_date": day, **row, "stickiness": sticky, "is_complete": over})
    return rows


def daily_summary(s: Stream) -> list[Row]:
    listens, events = group(s.listens, lambda e: e.day), group(s.events, lambda e: e.day)
    days = [
        {
            "plays": len(listens[day]),
            "active_users": users(listens[day]),
            "sessions": len({e.date_session for e in events[day]}),
        }
        for day in s.spine
    ]
    rows = []
    for at, (day, counts) in enumerate(zip(s.spine, days, strict=True)):
        over = s.complete(day + DAY)
        row: Row = {"activity_date": day, **counts, "streams": streams(listens[day]), "is_complete": over}
        for name, count in counts.items():
            row[f"{name}_change"] = count - days[at - 1][name] if at and over else None
            row[f"{name}_7d_avg"] = sum(d[name] for d in days[at - 6 : at + 1]) / 7 if at >= 6 and over else None
        rows.append(row)
    return rows


def hourly_metrics(s: Stream) -> list[Row]:
    listens = group(s.listens, lambda e: hour(e.ts))
    hours = [datetime(d.year, d.month, d.day, h) for d in s.spine for h in range(24)]
    return [
        {
            "activity_hour": at, "plays": len(listens.get(at, ())), "users": users(listens.get(at, ())),
            "streams": streams(listens.get(at, ())),
            "plays_previous_day": len(listens.get(at - timedelta(days=1), ())) if n >= 24 else None,
            "is_complete": s.over(at + timedelta(hours=1)),
        }
        for n, at in enumerate(hours) if s.over(at) or at in listens
    ]  # fmt: skip


def location_metrics_daily(s: Stream) -> list[Row]:
    rows = []
    for day, events in group(s.listens, lambda e: e.day).items():
        cells: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
        for country, of_country in group(events, lambda e: e.text("country")).items():
            elsewhere: list[Event] = []
            for state, of_state in group(of_country, lambda e: e.text("state")).items():
                others: list[Event] = []
                for city, of_city in group(of_state, lambda e: e.text("city")).items():
                    if users(of_city) >= MIN_CELL_USERS:
                        cells[country, state, city] += of_city
                    else:
                        others += of_city
                if users(others) >= MIN_CELL_USERS:
                    cells[country, state, "Other"] += others
                else:
                    elsewhere += others
            if elsewhere:
                cells[country if users(elsewhere) >= MIN_CELL_USERS else "Other", "Other", "Other"] += elsewhere
        rows += [
            {
                "activity_date": day,
                "country": country,
                "state": state,
                "city": city,
                "plays": plays(cell),
                "streams": streams(cell),
                "users": users(cell),
                "is_complete": s.complete(day + DAY),
            }
            for (country, state, city), cell in cells.items()
        ]
    return rows


def demographics_daily(s: Stream) -> list[Row]:
    groups = group(s.listens, lambda e: (e.day, e.text("gender"), e.text("level"), e.text("state")))
    return [
        {
            "activity_date": d,
            "gender": g,
            "level": lv,
            "state": st,
            "users": users(events),
            "plays": plays(events),
            "streams": streams(events),
            "is_complete": s.complete(d + DAY),
        }
        for (d, g, lv, st), events in groups.items()
    ]


def device_metrics_daily(s: Stream) -> list[Row]:
    return [
        {
            "activity_date": day,
            "device_type": kind,
            "device_os": os,
            "plays": plays(events),
            "users": users(events),
            "streams": streams(events),
            "is_complete": s.complete(day + DAY),
        }
        for (day, kind, os), events in group(s.listens, lambda e: (e.day, *e.device)).items()
    ]


def conversion_funnel_daily(s: Stream) -> list[Row]:
    month = timedelta(days=30)
    sessions = [(key, events) for key, events in group(s.events, lambda e: e.session).items()]
    of_user = group((e for e in s.events if e.user), lambda e: e.user)
    rows = []
    for day in s.spine:
        visitors, guests, registered = set[str](), set[int](), set[int]()
        joined: dict[str, datetime] = {}
        for (visitor, number, start), events in sessions:
            views = [e for e in events if e.kind == "page_view"]
            if start.date() != day or not views:
                continue
            visitors.add(visitor)
            as_guest = [e.ts for e in views if e.raw["auth"] == "Guest"]
            submitted = [e.ts for e in views if e.page == "Submit Registration"]
            if as_guest:
                guests.add(number)
                if submitted and max(submitted) > min(as_guest):
                    registered.add(number)
                    joined[visitor] = min(joined.get(visitor, datetime.max), max(submitted))
        viewers = buyers = 0
        for user, at in joined.items():
            seen = [e.ts for e in of_user[user] if e.page == "Upgrade" and at <= e.ts <= at + month]
            viewers += bool(seen)
            buyers += any(
                e.kind == "status_change" and e.raw["level"] == "free" and min(seen) <= e.ts <= at + month
                for e in of_user[user] if seen
            )  # fmt: skip
        complete = s.complete(day + month + DAY)
        rows.append(
            {
                "activity_date": day, "visitors": len(visitors), "guests": len(guests),
                "registrations": len(registered), "upgrade_viewers_30d": viewers, "upgraders_30d": buyers,
                "is_complete": complete, "registration_rate": ratio(len(registered), len(guests)),
                "upgrade_view_rate": ratio(viewers, len(registered)) if complete else None,
                "conversion_rate": ratio(buyers, len(registered)) if complete else None,
            }
        )  # fmt: skip
    return rows


def _plan(state: dict[str, Any]) -> tuple[str, str] | None:
    """What a user in this state subscribes to."""
    if state["level"] in (None, "free") or state["cancelled"]:
        return None
    return state["level"], state["country"]


def _subscriptions(s: Stream) -> dict[str, list[tuple[date, tuple[str, str] | None, str]]]:
    """Changes of what each user subscribes to: date, plan and country from then on, and how it came about."""
    found: dict[str, list[tuple[date, tuple[str, str] | None, str]]] = defaultdict(list)
    for user, events in group((e for e in s.events if e.user), lambda e: e.user).items():
        events.sort(key=lambda e: (e.ts, e.raw["sessionId"], e.raw["itemInSession"], e.kind))
        state: dict[str, Any] = {"level": None, "country": "Unknown", "cancelled": False}
        before: tuple[str, str] | None = None
        had, first = False, True
        for day, of_day in group(events, lambda e: e.day).items():
            for event in of_day:
                level = event.raw.get("level")
                if event.kind == "status_change":
                    level = "paid" if level == "free" else "free"
                state["level"] = level or state["level"]
                state["country"] = event.raw.get("country", state["country"])
                state["cancelled"] = event.page == "Cancellation Confirmation"
            now = _plan(state)
            if now != before:
                began = first and events[0].raw["level"] != "free"
                came = "moved" if before else "reactivated" if had else "first_seen" if began else "new"
                went = "cancelled" if state["cancelled"] else "downgraded"
                found[user].append((day, now, came if now else went))
            before, had, first = now, had or now is not None, False
    return found


def _price(plan: str, country: str, day: date) -> int:
    """Cents of a month that hold on the day."""
    for place in (country, "All"):
        known = [cents for since, cents in PRICES.get((plan, place), []) if since <= day]
        if known:
            return known[-1]
    raise LookupError(plan)


def subscription_movements_daily(s: Stream) -> list[Row]:
    names = ("first_seen", "new", "reactivated", "moved_in", "moved_out", "downgraded", "cancelled")
    counts: dict[tuple[date, tuple[str, str]], Counter[str]] = defaultdict(Counter)
    for changes in _subscriptions(s).values():
        before: tuple[str, str] | None = None
        for day, now, how in changes:
            if how == "moved":
                counts[day, before or ("", "")]["moved_out"] += 1
                counts[day, now or ("", "")]["moved_in"] += 1
            else:
                counts[day, now or before or ("", "")][how] += 1
            before = now
    rows = []
    for cell in {cell for _, cell in counts}:
        begun = min(day for day, c in counts if c == cell)
        balance = 0
        for day in sorted({*(d for d, c in counts if c == cell), *(d for d in s.spine if d >= begun)}):
            n = counts.get((day, cell), Counter())
            came = n["first_seen"] + n["new"] + n["reactivated"] + n["moved_in"]
            went = n["moved_out"] + n["downgraded"] + n["cancelled"]
            if s.spine[0] <= day <= s.spine[-1]:
                rows.append(
                    {"activity_date": day, "plan": cell[0], "country": cell[1], "opening": balance}
                    | {name: n[name] for name in names}
                    | {"closing": balance + came - went, "is_complete": s.complete(day + DAY)}
                    | {"mrr_cents": (balance + came - went) * _price(*cell, day)}
                )
            balance += came - went
    return rows


def churn_monthly(s: Stream) -> list[Row]:
    states = _subscriptions(s)
    rows = []
    for month in sorted({day.replace(day=1) for day in s.spine}):
        following = (month + 31 * DAY).replace(day=1)
        opened, closed = (
            {user for user, changes in states.items() if any([plan for day, plan, _ in changes if day < edge][-1:])}
            for edge in (month, following)
        )
        gone = {
            kind: {
                u
                for u, changes in states.items()
                for day, _, how in changes
                if how == kind and month <= day < following
            }
            for kind in ("cancelled", "downgraded")
        }
        lost, over = len(opened - closed), s.complete(following)
        rows.append(
            {
                "activity_month": month, "opening": len(opened), "lost": lost, "gained": len(closed - opened),
                "closing": len(closed), **{kind: len(who) for kind, who in gone.items()}, "is_complete": over,
                "churn_rate": ratio(lost, len(opened)) if over and s.spine[0] < month else None,
            }
        )  # fmt: skip
    return rows


def registered_on(s: Stream) -> dict[str, date]:
    """Date of each user's registration, the earliest that events carry."""
    return {
        user: datetime.fromtimestamp(min(e.raw["registration"] for e in events) / 1000, UTC).date()
        for user, events in group((e for e in s.events if e.user), lambda e: e.user).items()
    }


def active_days(s: Stream) -> dict[str, set[date]]:
    """Dates on which each user listened."""
    return {user: {e.day for e in events} for user, events in group(s.listens, lambda e: e.user).items()}


def cohorts(s: Stream) -> dict[date, list[tuple[str, date]]]:
    """Users and their dates of registration, by the week of it, if all of the week is in the data."""
    found: dict[date, list[tuple[str, date]]] = defaultdict(list)
    for user, day in registered_on(s).items():
        if s.spine[0] <= monday(day) and day <= s.spine[-1]:
            found[monday(day)].append((user, day))
    return found


def retention_cohorts(s: Stream) -> list[Row]:
    weeks = {user: set(map(monday, days)) for user, days in active_days(s).items()}
    rows = []
    for cohort, members in cohorts(s).items():
        for number in range((s.spine[-1] - cohort).days // 7 + 1):
            week = cohort + timedelta(weeks=number)
            returning = sum(week in weeks.get(user, ()) for user, _ in members)
            over = s.complete(week + 7 * DAY)
            rows.append(
                {
                    "cohort_week": cohort, "activity_week": week, "week_number": number, "users": len(members),
                    "returning_users": returning, "retention_rate": ratio(returning, len(members)) if over else None,
                    "is_complete": over,
                }
            )  # fmt: skip
    return rows


def first_country(s: Stream) -> dict[str, str]:
    """Country that each user's events carried first."""
    found = {}
    for user, events in group((e for e in s.events if e.user), lambda e: e.user).items():
        events.sort(key=lambda e: (e.ts, e.raw["sessionId"], e.raw["itemInSession"], e.kind))
        found[user] = next((e.raw["country"] for e in events if "country" in e.raw), "Unknown")
    return found


def retention_by_day(s: Stream) -> list[Row]:
    days, country_of = active_days(s), first_country(s)
    by_country: dict[tuple[date, str], list[tuple[str, date]]] = defaultdict(list)
    for cohort, members in cohorts(s).items():
        for user, day in members:
            by_country[cohort, country_of[user]].append((user, day))
    rows = []
    for (cohort, country), members in by_country.items():
        for number in (1, 7, 14, 28, 90):
            old = [(user, day + number * DAY) for user, day in members if s.complete(day + (number + 1) * DAY)]
            same = sum(day in days.get(user, ()) for user, day in old)
            later = sum(any(seen >= day for seen in days.get(user, ())) for user, day in old)
            over = s.complete(cohort + (7 + number) * DAY)
            rows.append(
                {
                    "cohort_week": cohort, "country": country, "day_number": number, "is_complete": over,
                    "eligible": len(old),
                    "retained": same, "retained_or_later": later,
                    "retention_rate": ratio(same, len(old)) if over else None,
                    "rolling_retention_rate": ratio(later, len(old)) if over else None,
                }
            )  # fmt: skip
    return rows


def activation(s: Stream) -> list[Row]:
    day, month = timedelta(days=1), timedelta(days=30)
    country_of, rows = first_country(s), []
    sessions = {(e.session[0], e.session[2], e.session[1]) for e in s.events if e.session}
    for user, events in group((e for e in s.events if e.user), lambda e: e.user).items():
        at = datetime.fromtimestamp(min(e.raw["registration"] for e in events) / 1000, UTC).replace(tzinfo=None)
        after = sorted((e for e in events if at <= e.ts <= at + month), key=lambda e: e.ts)
        streamed = [e.ts for e in after if e.kind == "listen" and e.heard >= STREAM_SECONDS]
        visits = sorted(start for who, start, _ in sessions if who == user and at < start <= at + 7 * day)
        viewed = next((e.ts for e in after if e.page == "Upgrade"), None)
        bought = [e.ts for e in after if viewed and e.kind == "status_change" and e.raw["level"] == "free"]
        rows.append(
            {
                "user_id": user, "registered_on": at.date(), "country": country_of[user], "registered_at": at,
                "first_stream_at": streamed[0] if streamed else None,
                "streams_24h": sum(ts < at + day for ts in streamed),
                "third_session_at": visits[1] if len(visits) > 1 else None, "upgrade_viewed_at": viewed,
                "upgraded_at": next((ts for ts in bought if viewed and ts >= viewed), None),
            }
        )  # fmt: skip
    return rows


def activation_weekly(s: Stream) -> list[Row]:
    by_user = {row["user_id"]: row for row in activation(s)}
    groups: dict[tuple[date, str], list[Row]] = defaultdict(list)
    for cohort, members in cohorts(s).items():
        for user, _ in members:
            groups[cohort, by_user[user]["country"]].append(by_user[user])
    rows = []
    for (cohort, country), users_of in groups.items():
        over = s.complete(cohort + 37 * DAY)
        activated = [r for r in users_of if r["streams_24h"]]
        n = {
            "users": len(users_of), "activated": len(activated),
            "returned": sum(r["third_session_at"] is not None for r in activated),
            "upgrade_viewers": sum(r["upgrade_viewed_at"] is not None for r in users_of),
            "upgraders": sum(r["upgraded_at"] is not None for r in users_of),
        }  # fmt: skip
        rates = {
            "activation_rate": ratio(n["activated"], n["users"]), "return_rate": ratio(n["returned"], n["activated"]),
            "upgrade_view_rate": ratio(n["upgrade_viewers"], n["users"]),
            "free_to_paid_rate": ratio(n["upgraders"], n["users"]),
        }  # fmt: skip
        for name, step in (("stream", "first_stream_at"), ("upgrade", "upgraded_at")):
            hours = [(r[step] - r["registered_at"]).total_seconds() / 3600 for r in users_of if r[step]]
            rates[f"median_hours_to_{name}"] = median(hours) if hours else None
        row: Row = {"cohort_week": cohort, "country": country, **n, "is_complete": over}
        rows.append(row | {name: rate if over else None for name, rate in rates.items()})
    return rows


def user_activity(s: Stream) -> list[Row]:
    joined, days = registered_on(s), active_days(s)
    rows = []
    for user, events in group(s.listens, lambda e: e.user).items():
        first, last = min(days[user]), max(days[user])
        written = "".join(str(int(first + n * DAY in days[user])) for n in range((last - first).days + 1))
        rows.append(
            {
                "user_id": user, "registered_on": joined[user], "first_active_on": first, "last_active_on": last,
                "active_dates": written, "days_active": len(days[user]), "plays": len(events),
            }
        )  # fmt: skip
    return rows


def growth_accounting_daily(s: Stream) -> list[Row]:
    days = active_days(s)
    rows, before = [], set[str]()
    for number, day in enumerate(s.spine):
        now = {user for user, seen in days.items() if any(day - n * DAY in seen for n in range(28))}
        new = sum(min(seen) == day for seen in days.values())
        came, churned, over = len(now - before), len(before - now), s.complete(day + DAY)
        rows.append(
            {
                "activity_date": day, "opening": len(before), "new": new, "resurrected": came - new,
                "churned": churned, "retained": len(before & now), "closing": len(now),
                "quick_ratio": ratio(came, churned) if over and number >= 28 else None, "is_complete": over,
            }
        )  # fmt: skip
        before = now
    return rows


def user_activity_tiers(s: Stream) -> list[Row]:
    today = (s.as_of or datetime.now(UTC)).date()
    rows = []
    for user, events in group(s.listens, lambda e: e.user).items():
        last = [e for e in events if today - 28 * DAY <= e.day < today]
        bounds = ((HEAVY_PLAYS, "heavy"), (REGULAR_PLAYS, "regular"), (1, "light"), (0, "inactive"))
        rows.append(
            {
                "user_id": user, "plays": len(events), "days_active": len({e.day for e in events}),
                "last_active_on": max(e.day for e in events), "plays_28d": len(last),
                "days_active_28d": len({e.day for e in last}),
                "tier": next(tier for least, tier in bounds if len(last) >= least),
            }
        )  # fmt: skip
    return rows


def listening_sessions(s: Stream) -> list[Row]:
    rows = []
    for session, events in group(s.events, lambda e: e.session).items():
        listens = [e for e in events if e.kind == "listen"]
        if not listens:
            continue
        user, number, start = session
        last = max(events, key=lambda e: (e.ts, e.raw["itemInSession"], e.kind, e.id))
        milliseconds = int(start.replace(tzinfo=UTC).timestamp() * 1000)
        rows.append(
            {
                "session_key": f"{user}/{number}/{milliseconds}", "user_id": user, "session_id": number,
                "session_start": start, "session_end": last.busy_until, "plays": len(listens),
                "streams": streams(listens), **heard(listens),
                "level": last.raw.get("level"),
            }
        )  # fmt: skip
    return rows


def _of_the_year(s: Stream, counts: Counter[Any], rank: str, names: tuple[str, ...]) -> list[Row]:
    rows = []
    for (year, *key), count in counts.items():
        place = 1 + sum(other > count for (y, *_), other in counts.items() if y == year)
        if place <= 10:
            over = s.complete(date(year + 1, 1, 1))
            row = {"activity_year": year, rank: place, **dict(zip(names, key, strict=True)), "plays": count}
            rows.append({**row, "is_complete": over})
    return rows


def song_of_the_year(s: Stream) -> list[Row]:
    counts = Counter((e.day.year, *s.song(e)) for e in s.listens)
    return _of_the_year(s, counts, "song_rank", ("song_key", "song_title", "artist_id", "artist_name"))


def artist_of_the_year(s: Stream) -> list[Row]:
    counts = Counter((e.day.year, *s.song(e)[2:]) for e in s.listens)
    return _of_the_year(s, counts, "artist_rank", ("artist_id", "artist_name"))


def traffic_anomalies(s: Stream) -> list[Row]:
    counts = Counter((hour(e.ts), e.text("state")) for e in s.listens)
    weeks = [timedelta(days=7 * n) for n in range(9)]
    wanted = {(at + week, state) for at, state in counts for week in weeks if s.over(at + week + timedelta(hours=1))}
    rows = []
    for at, state in wanted:
        before = [counts[at - week, state] for week in weeks[1:] if (at - week).date() >= s.spine[0]]
        expected = sum(before) / len(before) if len(before) >= 4 else None
        score = None
        if expected is not None:
            score = (counts[at, state] - expected) / math.sqrt(20**2 + 2 * expected + (expected / 4) ** 2)
        rows.append(
            {
                "activity_hour": at, "state": state, "plays": counts[at, state], "baseline_weeks": len(before),
                "expected_plays": expected, "score": score, "is_anomaly": abs(score or 0) >= 3.9, "is_complete": True,
            }
        )  # fmt: skip
    return rows


def ineligible(s: Stream) -> dict[str, str | None]:
    """Why each listen does not count in charts and royalties."""
    found: dict[str, str | None] = {}
    streamed: Counter[Any] = Counter()
    for event in sorted(s.listens, key=lambda e: (e.ts, e.id)):
        place = (event.day, event.user, event.raw["songId"])
        is_stream = event.heard >= STREAM_SECONDS
        streamed[place] += is_stream
        found[event.id] = "short" if not is_stream else "repeated" if streamed[place] > MOST_STREAMS else None
    return found


def streams_fact(s: Stream) -> list[Row]:
    why = ineligible(s)
    names = ("activity_date", "local_hour", "country", "state", "level", "device_type", "source", "genre", "ended_by",
             "is_estimated", "is_stream", "ineligible_reason")  # fmt: skip

    def cell(e: Event) -> tuple[Any, ...]:
        genre = s.songs[e.raw["songId"]]["genre"] or "Unknown"
        zone = ZoneInfo(e.raw["timeZone"]) if "timeZone" in e.raw else None
        local = e.ts.replace(tzinfo=UTC).astimezone(zone).hour if zone else None
        return (e.day, local, e.text("country"), e.text("state"), e.text("level"), e.device[0], e.text("source"), genre,
                e.ended_by, e.is_estimated, e.heard >= STREAM_SECONDS, why[e.id])  # fmt: skip

    return [
        dict(zip(names, key, strict=True))
        | {
            "plays": len(events), "users": users(events), "sessions": len({e.session for e in events if e.session}),
            **heard(events),
        }
        for key, events in group(s.listens, cell).items()
    ]  # fmt: skip


def song_performance_daily(s: Stream) -> list[Row]:
    def cell(e: Event) -> tuple[Any, ...]:
        song = s.song(e)
        return e.day, *song[:3], e.text("country"), e.text("level")

    added = [e for e in s.events if e.page == "Add to Playlist" and "songId" in e.raw and e.user]
    saved = {key: {e.user for e in events} for key, events in group(added, cell).items()}
    heard_first: dict[tuple[str, str | None], date] = {}
    for e in s.listens:
        place = (e.raw["songId"], e.user)
        heard_first[place] = min(e.day, heard_first.get(place, e.day))
    rows = []
    for key, events in group(s.listens, cell).items():
        listeners = {e.user for e in events}
        known = [e for e in events if not e.is_estimated]
        short = sum(e.heard < STREAM_SECONDS for e in known)
        whole = sum(e.heard * 100 >= round(Decimal(str(e.raw["duration"])), 6) * 95 for e in known)
        savers = len(listeners & saved.get(key, set()))
        names = ("activity_date", "song_key", "song_title", "artist_id", "country", "level")
        rows.append(
            dict(zip(names, key, strict=True))
            | {
                "plays": len(events), "streams": streams(events), "listeners": len(listeners), "savers": savers,
                    "first_time_listeners": sum(heard_first[key[1], user] == key[0] for user in listeners),
                "known_plays": len(known), "skips_before_30s": short, "completed_plays": whole,
                "heard_seconds": heard(events)["heard_seconds"], "skip_30s_rate": ratio(short, len(known)),
                "completion_rate": ratio(whole, len(known)), "save_rate": ratio(savers, len(listeners)),
                "streams_per_listener": ratio(streams(events), len(listeners)),
                "is_complete": s.complete(key[0] + DAY),
            }
        )  # fmt: skip
    return rows


def charts_weekly(s: Stream) -> list[Row]:
    why = ineligible(s)
    streamed: dict[Any, Counter[bool]] = defaultdict(Counter)
    for event in s.listens:
        if why[event.id] is None:
            week = event.day - timedelta(days=(event.day.weekday() - 4) % 7)
            published = datetime(week.year, week.month, week.day) + timedelta(days=7, hours=12)
            genre = s.songs[event.raw["songId"]]["genre"] or "Unknown"
            scopes = product((event.text("country"), "All"), (genre, "All")) if s.over(published) else ()
            for scope in scopes:
                pays = event.raw["level"] != "free"
                streamed[week, scope, "current", s.song(event)][pays] += 1
                if event.recorded and event.recorded < published:
                    streamed[week, scope, "published", s.song(event)][pays] += 1

    def points(week: date, n: Counter[bool]) -> Fraction:
        _, paid, free = max(weight for weight in WEIGHTS if weight[0] <= week)
        return Fraction(n[True], paid) + Fraction(n[False], free)

    weights = {key: points(key[0], n) for key, n in streamed.items()}
    charts: dict[Any, list[Fraction]] = defaultdict(list)
    for key, weight in weights.items():
        charts[key[:3]].append(weight)
    ranks = {key: 1 + sum(other > weight for other in charts[key[:3]]) for key, weight in weights.items()}
    ranks = {key: rank for key, rank in ranks.items() if rank <= CHART_SIZE}
    rows = []
    for (week, scope, edition, song), rank in ranks.items():
        key = (week, scope, edition, song)
        published_key = (week, scope, "published", song)
        before = [r for (w, *rest), r in ranks.items() if rest == [*key[1:]] and w < week]
        reason = None
        if edition == "current" and streamed[key] != streamed.get(published_key):
            reason = "late streams"
        elif edition == "current" and rank != ranks.get(published_key):
            reason = "other songs"
        n = streamed[key]
        rows.append(
            {
                "chart_week": week, **dict(zip(("country", "genre"), scope, strict=True)), "edition": edition,
                **dict(zip(("song_key", "song_title", "artist_id", "artist_name"), song, strict=True)),
                "chart_rank": rank, "previous_rank": ranks.get((week - 7 * DAY, *key[1:])),
                "peak_rank": min([rank, *before]), "weeks_on_chart": 1 + len(before), "is_new": not before,
                "paid_streams": n[True], "free_streams": n[False], "reason": reason, "is_complete": True,
                "points": float(weights[key]),
            }
        )  # fmt: skip
    return rows


def _given_out(weights: dict[str, int]) -> dict[str, int]:
    """The pool in whole cents by these weights; the last cents to the largest remainders."""
    total = sum(weights.values())
    cents = {song: POOL_CENTS * weight // total for song, weight in weights.items()}
    by_rest = sorted(weights, key=lambda song: (-(POOL_CENTS * weights[song] % total), song))
    for song in by_rest[: POOL_CENTS - sum(cents.values())]:
        cents[song] += 1
    return cents


def _months(first: date, second: date) -> int:
    """Months from the first date to the second."""
    return (second.year - first.year) * 12 + second.month - first.month


def royalty_shares_monthly(s: Stream) -> list[Row]:
    why = ineligible(s)
    pools: dict[Any, dict[date, list[Event]]] = defaultdict(lambda: defaultdict(list))
    names = {}
    for event in s.listens:
        if why[event.id] is None and event.recorded:
            month = event.day.replace(day=1)
            statement = max(month, (event.recorded - CLOSE_DAYS * DAY).date().replace(day=1))
            pools[month, event.text("country"), event.text("level")][statement].append(event)
            names[event.raw["songId"]] = s.song(event)
    streamed = [
        (month, statement, event.raw["songId"])
        for (month, *_), statements in pools.items()
        for statement, events in statements.items()
        for event in events
    ]
    rows = []
    for (month, country, plan), statements in pools.items():
        told: list[Event] = []
        before: dict[str, tuple[int, int, int]] = {}
        for statement in sorted(statements):
            told += statements[statement]
            year = Counter(song for m, s_, song in streamed if _months(m, month) in range(12) and s_ <= statement)
            known = [e for e in told if year[e.raw["songId"]] >= LEAST_STREAMS]
            if not known:
                continue
            plain = Counter(e.raw["songId"] for e in known)
            parts: Counter[str] = Counter()
            for events in group(known, lambda e: e.user).values():
                for song, n in Counter(e.raw["songId"] for e in events).items():
                    parts[song] += n * 10**9 // len(events)
            pro_rata, centric = _given_out(plain), _given_out(parts)
            closed = (statement + 31 * DAY).replace(day=1) + CLOSE_DAYS * DAY
            for song in plain:
                now = (plain[song], pro_rata[song], centric[song])
                change = [a - b for a, b in zip(now, before.get(song, (0, 0, 0)), strict=True)]
                before[song] = now
                if any(change):
                    rows.append(
                        {
                            "statement_month": statement, "activity_month": month, "country": country, "plan": plan,
                            **dict(zip(("song_key", "song_title", "artist_id"), names[song][:3], strict=True)),
                            "label": s.songs[song]["label"],
                            "entry": "statement" if statement == month else "adjustment",
                            **dict(zip(("streams", "pro_rata_cents", "user_centric_cents"), change, strict=True)),
                            "is_complete": s.complete(closed),
                        }
                    )  # fmt: skip
    return rows


def artist_audience_daily(s: Stream) -> list[Row]:
    by_artist = group(s.listens, lambda e: s.song(e)[2:])
    rows = []

    def top(events: list[Event], *names: str) -> str | None:
        named = (e for e in events if all(e.raw.get(name) for name in names))
        places = group(named, lambda e: tuple(e.raw[name] for name in names))
        best = sorted(places, key=lambda place: (-users(places[place]), place))[:1]
        return ", ".join(reversed(best[0])) if best and users(places[best[0]]) >= MIN_CELL_USERS else None

    for (artist, name), listens in by_artist.items():
        first = {user: min(e.day for e in events) for user, events in group(listens, lambda e: e.user).items()}
        for day in s.spine:
            events = [e for e in listens if day - 27 * DAY <= e.day <= day]
            if not events:
                continue
            by_user = group(events, lambda e: e.user)
            days = [len({e.day for e in of_user}) for of_user in by_user.values()]
            rows.append(
                {
                    "activity_date": day, "artist_id": artist, "artist_name": name, "listeners_28d": len(days),
                    "streams_28d": streams(events),
                    "new_listeners": sum(first[user] >= day - 27 * DAY for user in by_user),
                    "super_listeners": sum(n >= SUPER_DAYS for n in days),
                    "moderate_listeners": sum(MODERATE_DAYS <= n < SUPER_DAYS for n in days),
                    "light_listeners": sum(n < MODERATE_DAYS for n in days), "top_country": top(events, "country"),
                    "top_state": top(events, "state"), "top_city": top(events, "state", "city"),
                    "is_complete": s.complete(day + DAY),
                }
            )  # fmt: skip
    return rows


MARTS: dict[str, Callable[[Stream], list[Row]]] = {
    make.__name__: make
    for make in (
        top_songs_daily, top_artists_daily, top_genres_daily, user_engagement_daily, active_users_daily, daily_summary,
        hourly_metrics, location_metrics_daily, demographics_daily, device_metrics_daily, conversion_funnel_daily,
        subscription_movements_daily, churn_monthly, retention_cohorts, retention_by_day, activation,
        activation_weekly, user_activity,
        growth_accounting_daily, user_activity_tiers, listening_sessions,
        song_of_the_year, artist_of_the_year, traffic_anomalies, song_performance_daily,
        charts_weekly, royalty_shares_monthly, artist_audience_daily,
    )
} | {"streams": streams_fact}  # fmt: skip
