"""The three first marts, computed straight from what the brokers hold: no code of the platform's, plain dictionaries.

Follows docs/reference/marts.md. Reads every partition from its first to its end offset, parses with Python's own JSON
parser and keeps the earliest record of each event id.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.support import slowdown

ACTIONS = {"Skip": "skips", "Pause": "pauses", "Add to Playlist": "playlist_adds"}
THUMBS = {"Thumbs Up": "thumbs_up", "Thumbs Down": "thumbs_down"}
HALF_HOUR_MS = 30 * 60 * 1000


@dataclass(frozen=True)
class Record:
    """A record of the broker's."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


def consume(client: dict[str, str], topics: list[str]) -> list[Record]:
    """Every record that the topics hold."""
    consumer = Consumer({**client, "group.id": "oracle", "enable.auto.commit": False})
    found: list[Record] = []
    try:
        ends: dict[tuple[str, int], int] = {}
        for topic in topics:
            for number in consumer.list_topics(topic, timeout=slowdown.seconds(20)).topics[topic].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=slowdown.seconds(20))
                if high > low:
                    ends[topic, number] = high
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in ends])
        while ends:
            for message in consumer.consume(10_000, timeout=slowdown.seconds(10)):
                assert message.error() is None, message.error()
                place = (message.topic(), message.partition())
                found.append(Record(*place, message.offset(), message.timestamp()[1], message.value()))
                if ends.get(place) == message.offset() + 1:
                    del ends[place]
    finally:
        consumer.close()
    return found


def events_of(records: list[Record], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """The distinct events; the earliest record of an id wins. Expects valid records only."""
    chosen: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    for record in records:
        assert record.value is not None
        event = json.loads(record.value)
        own_id = event.get("eventId") or f"{record.topic}/{record.partition}/{record.offset}"
        order = (record.timestamp_ms, record.topic, record.partition, record.offset)
        if own_id not in chosen or order < chosen[own_id][0]:
            chosen[own_id] = (order, {**event, "kind": kinds[record.topic]})
    return [event for _, event in chosen.values()]


@dataclass
class Catalogue:
    """Songs and artists by the simulator's CSVs, and what is inferred where they are silent."""

    songs: dict[str, dict[str, str]]
    artists: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        def rows(name: str) -> Iterator[dict[str, str]]:
            if (folder / name).exists():
                with (folder / name).open(newline="", encoding="utf-8") as lines:
                    yield from csv.DictReader(lines)

        return cls(
            {r["song_id"]: r for r in rows("songs.csv")}, {r["artist_id"]: r["name"] for r in rows("artists.csv")}
        )

    def key(self, event: dict[str, Any]) -> str | None:
        """Key of the event's song; None where it names none."""
        if event.get("songId"):
            return str(event["songId"])
        if event.get("artist") is None or event.get("song") is None:
            return None
        pair = (event["artist"], event["song"])
        named = [s for s, r in self.songs.items() if (self.artists[r["artist_id"]], r["title"]) == pair]
        return named[0] if len(named) == 1 else _sha([*pair])

    def describe(self, key: str, event: dict[str, Any]) -> tuple[str, str, str]:
        """Title, artist id and artist name of a song."""
        if key in self.songs:
            row = self.songs[key]
            return row["title"], row["artist_id"], self.artists[row["artist_id"]]
        same = [artist for artist, name in self.artists.items() if name == event["artist"]]
        return event["song"], same[0] if len(same) == 1 else _sha([event["artist"]]), event["artist"]


def _sha(names: list[str]) -> str:
    return sha256(json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _date(event: dict[str, Any]) -> date:
    return datetime.fromtimestamp(event["ts"] / 1000, UTC).date()


def _seconds(event: dict[str, Any]) -> Decimal:
    return Decimal(repr(event["duration"])).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def top_songs_daily(events: list[dict[str, Any]], catalogue: Catalogue) -> set[tuple[Any, ...]]:
    """Rows of the mart, columns in its order."""
    counts: dict[tuple[date, str], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    listeners: dict[tuple[date, str], set[int]] = defaultdict(set)
    names: dict[str, tuple[str, str, str]] = {}
    keys: dict[tuple[Any, ...], str | None] = {}
    for event in events:
        what = {**ACTIONS, **THUMBS}.get(event.get("page", "")) if event["kind"] == "page_view" else None
        if event["kind"] != "listen" and what is None:
            continue
        named = (event.get("songId"), event.get("artist"), event.get("song"))
        key = keys[named] if named in keys else keys.setdefault(named, catalogue.key(event))
        if key is None:
            continue
        cell = (_date(event), key)
        names[key] = catalogue.describe(key, event)
        if what is not None:
            counts[cell][what] += 1
            continue
        counts[cell]["plays"] += 1
        counts[cell]["seconds"] += _seconds(event)
        listeners[cell].add(event["userId"])
    measures = ("plays", "skips", "pauses", "playlist_adds", "thumbs_up", "thumbs_down")
    return {
        (day, key, *names[key], *(n[m] for m in measures), len(listeners[day, key]), Decimal(n["seconds"]))
        for (day, key), n in counts.items()
    }


def active_users_daily(events: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Rows of the mart; stickiness is left out (a float, checked by its formula)."""
    users: dict[date, set[int]] = defaultdict(set)
    for event in events:
        if event["kind"] == "listen":
            users[_date(event)].add(event["userId"])
    day, last, rows = min(users), max(users), set()
    while day <= last:
        within = {n: set().union(*(users.get(day - timedelta(days=k), set()) for k in range(n))) for n in (1, 7, 30)}
        rows.add((day, *(len(within[n]) for n in (1, 7, 30))))
        day += timedelta(days=1)
    return rows


def user_engagement_daily(events: list[dict[str, Any]], patterns: Path) -> set[tuple[Any, ...]]:
    """Rows of the mart, columns in its order."""
    with patterns.open(newline="") as lines:
        devices = sorted(csv.DictReader(lines), key=lambda row: int(row["priority"]))
    sessions = _date_sessions(events)
    counts: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    seen: dict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for event in events:
        what = "plays" if event["kind"] == "listen" else ACTIONS.get(event.get("page", ""))
        if what is None or event.get("userId") is None or event["kind"] not in ("listen", "page_view"):
            continue
        cell = (_date(event), str(event["userId"]), _device(event, devices), event.get("state", "Unknown"))
        counts[cell][what] += 1
        seen[cell].add(sessions[id(event)])
        if what == "plays":
            counts[cell]["seconds"] += _seconds(event)
    measures = ("plays", "skips", "pauses", "playlist_adds")
    return {(*cell, *(n[m] for m in measures), len(seen[cell]), Decimal(n["seconds"])) for cell, n in counts.items()}


def _device(event: dict[str, Any], devices: list[dict[str, str]]) -> str:
    if event.get("device"):
        return str(event["device"].get("type") or "Other")
    agent = event.get("userAgent", "")
    return next((d["device_type"] for d in devices if fnmatchcase(agent, d["pattern"].replace("%", "*"))), "Other")


def _date_sessions(events: list[dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    """id(event) → its session among those of its date."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    users: dict[int, set[int]] = defaultdict(set)
    for event in events:
        if "userId" in event:
            users[event["sessionId"]].add(event["userId"])
    for event in events:
        found_users = users[event["sessionId"]]
        owner = next(iter(found_users)) if len(found_users) == 1 else f"guest-{event['sessionId']}"
        visitor = event.get("userId", owner)
        groups[_date(event), visitor, event["sessionId"]].append(event)
    found: dict[int, tuple[Any, ...]] = {}
    for group, members in groups.items():
        number, busy, plays = 0, None, 0.0
        for event in sorted(members, key=lambda e: (e["ts"], e.get("itemInSession", 0))):
            number += busy is not None and event["ts"] - busy >= HALF_HOUR_MS
            if event["kind"] == "listen" or event.get("page") == "NextSong":
                plays = event["ts"] + event.get("duration", 0) * 1000
            elif event.get("page") in ("Skip", "Logout", "Cancel", "Playback End"):
                plays = event["ts"]
            busy = max(event["ts"], plays)
            found[id(event)] = (*group, number)
    return found
