"""The wire format: eventsim's fields to the letter, ours beside them."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from music_platform.contracts.events import TOPICS, top_level_names
from music_simulator.behaviour import MOMENTS
from music_simulator.options import Options
from tests.support.contract import breach, parsed
from tests.unit.simulator.conftest import SMALL, Made, make

OURS = ("eventId", "schemaVersion", "songId", "artistId")
SINCE_V2 = ("device", "connection", "listenedSeconds")
SINCE_V3 = ("country", "timeZone", "source", "levelAfter")


def test_fields_types_order_and_absences_are_eventsims(
    small: Made, eventsim: Callable[[str], list[dict[str, Any]]]
) -> None:
    """For each kind: the same key sequences, the same JSON types, absent where eventsim has them absent."""
    for kind, topic in TOPICS.items():
        ours = [orjson.loads(text) for text in small.of(kind)]
        assert ours
        real = eventsim(topic)
        sequences = {tuple(event) for event in real}
        types = {(name, type(value)) for event in real for name, value in event.items()}
        for event in ours:
            plain = tuple(name for name in event if name not in OURS)
            assert plain in sequences, (kind, plain)
            assert {(name, type(event[name])) for name in plain} <= types
            assert {"eventId", "schemaVersion"} <= set(event)
        assert {tuple(n for n in event if n not in OURS) for event in ours} == sequences


def test_values_are_eventsims(small: Made, eventsim: Callable[[str], list[dict[str, Any]]]) -> None:
    """Page names with method, status and auth; whole seconds; zips of five digits, some with a leading zero."""
    real = {(e["page"], e["method"], e["status"], e["auth"]) for e in eventsim("page_view_events")}
    events = [orjson.loads(text) for text in small.of("page_view")]
    ours = {(e["page"], e["method"], e["status"], e["auth"]) for e in events if e["page"] not in MOMENTS}
    rare = {page for page, *_ in ours - real}
    assert rare <= {"Error", "Cancel", "Cancellation Confirmation"}
    assert all(e["ts"] % 1000 == 0 and len(e["zip"]) == 5 for e in events)
    assert any(e["zip"].startswith("0") for e in events)
    assert any('"' in e["userAgent"] for e in events)


def test_each_listen_is_a_page_view_of_next_song(small: Made) -> None:
    def key(event: dict[str, Any]) -> tuple[Any, ...]:
        names = ("ts", "sessionId", "itemInSession", "artist", "song", "duration", "songId", "artistId", "userId")
        return tuple(event[name] for name in names)

    listens = Counter(key(orjson.loads(text)) for text in small.of("listen"))
    views = (orjson.loads(text) for text in small.of("page_view"))
    assert listens == Counter(key(view) for view in views if view["page"] == "NextSong")


def test_status_changes_carry_the_old_level_and_logins_their_outcome() -> None:
    made = make(replace(SMALL, users=2500, growth=0.0))
    views = {
        (view["sessionId"], view["itemInSession"]): view for view in (orjson.loads(t) for t in made.of("page_view"))
    }
    changes = [orjson.loads(text) for text in made.of("status_change")]
    for event in changes:
        page = views[event["sessionId"], event["itemInSession"]]["page"]
        assert page == ("Submit Upgrade" if event["level"] == "free" else "Submit Downgrade")
        after = views.get((event["sessionId"], event["itemInSession"] + 1))
        assert after is None or after["level"] != event["level"]
    logins = [orjson.loads(text) for text in made.of("auth")]
    assert len(changes) > 10
    assert len(logins) > 100
    for event in logins:
        assert event["success"] == ("userId" in event)
        view = views[event["sessionId"], event["itemInSession"]]
        assert (view["auth"] == "Logged In") == event["success"]
    assert sum(event["success"] for event in logins) / len(logins) == pytest.approx(0.9, abs=0.08)


def test_songs_of_moments_and_ids(small: Made) -> None:
    for text in small.of("page_view"):
        event = orjson.loads(text)
        if event["page"] in ("Skip", "Pause", "Resume", "Thumbs Up", "Thumbs Down", "Add to Playlist"):
            assert event["songId"].startswith("S")
            assert "song" not in event
        elif event["page"] != "NextSong":
            assert "songId" not in event


def test_event_ids_are_uuids_of_their_own(small: Made) -> None:
    ids = [orjson.loads(text)["eventId"] for text in small.texts]
    assert len(set(ids)) == len(ids)
    assert all(str(uuid.UUID(one)) == one and uuid.UUID(one).version == 8 for one in ids)


def test_message_keys(small: Made) -> None:
    for text, key in zip(small.texts, small.keys, strict=True):
        event = orjson.loads(text)
        wanted = str(event["userId"]) if "userId" in event else f"guest-{event['sessionId']}"
        assert key == wanted.encode()


def test_every_record_keeps_the_contract(small: Made) -> None:
    for kind, text in zip(small.kinds, small.texts, strict=True):
        event = parsed(text)
        assert event is not None
        assert breach(event, kind) is None
        assert set(event) <= top_level_names()


def test_version_2_adds_fields_session_by_session() -> None:
    made = make(replace(SMALL, v2=0.5))
    versions: dict[int, set[int]] = {}
    heard = 0
    for kind, text in zip(made.kinds, made.texts, strict=True):
        event = orjson.loads(text)
        assert breach(event, kind) is None
        versions.setdefault(event["sessionId"], set()).add(event["schemaVersion"])
        if event["schemaVersion"] == 1:
            assert not set(SINCE_V2) & set(event)
        else:
            assert set(event["device"]) == {"type", "os"}
            assert isinstance(event["connection"], str)
            heard += "listenedSeconds" in event
    assert all(len(found) == 1 for found in versions.values())
    assert sum(found == {2} for found in versions.values()) / len(versions) == pytest.approx(0.5, abs=0.1)
    assert heard > 100


def test_listened_seconds_stand_on_the_event_that_ends_the_song() -> None:
    made = make(replace(SMALL, v2=1.0, users=400))
    sessions: dict[int, list[dict[str, Any]]] = {}
    for text in made.of("page_view"):
        event = orjson.loads(text)
        sessions.setdefault(event["sessionId"], []).append(event)
    pages = Counter[str]()
    for events in sessions.values():
        events.sort(key=lambda e: e["itemInSession"])
        song: dict[str, Any] | None = None
        if events[0]["itemInSession"] > 0:
            continue  # under way at the start of the run
        for event in events:
            if "listenedSeconds" in event:
                pages[event["page"]] += 1
                assert song is not None
                assert 0 <= event["listenedSeconds"] <= song["duration"] + 0.001
                if event["page"] == "NextSong":
                    assert event["listenedSeconds"] == pytest.approx(song["duration"], abs=0.001)
                song = None
            elif event["page"] == "NextSong":
                assert song is None  # nothing, or ended by a skip or a logout
            if event["page"] == "NextSong":
                song = event
    assert pages["NextSong"] > 500
    assert pages["Skip"] > 20
    assert pages["Logout"] > 5


def test_version_3_adds_country_time_zone_source_and_the_level_after_a_change() -> None:
    made = make(replace(SMALL, users=2500, growth=0.0, v2=0.3, v3=0.5))
    changes = sources = 0
    for kind, text in zip(made.kinds, made.texts, strict=True):
        event = orjson.loads(text)
        assert breach(event, kind) is None
        if event["schemaVersion"] < 3:
            assert not set(SINCE_V3) & set(event)
            assert event.get("page") != "Playback End"
            continue
        assert event["country"] == "US"
        assert ZoneInfo(event["timeZone"])
        assert ("source" in event) == ("song" in event)
        sources += "source" in event
        if kind == "status_change":
            changes += 1
            assert {event["level"], event["levelAfter"]} == {"free", "paid"}
    assert changes > 5
    assert sources > 1000
    shares = Counter(orjson.loads(text)["schemaVersion"] for text in made.texts)
    assert set(shares) == {1, 2, 3}


def test_in_version_3_every_song_has_an_end_that_says_how_much_was_heard() -> None:
    made = make(replace(SMALL, v3=1.0, users=400))
    sessions: dict[int, list[dict[str, Any]]] = {}
    for text in made.of("page_view"):
        event = orjson.loads(text)
        sessions.setdefault(event["sessionId"], []).append(event)
    last_day = max(event["ts"] for events in sessions.values() for event in events) - 4 * 3_600_000
    ended, left = 0, 0
    for events in sessions.values():
        events.sort(key=lambda e: e["itemInSession"])
        assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)
        songs = [e for e in events if e["page"] == "NextSong"]
        ends = [e for e in events if "listenedSeconds" in e]
        if events[0]["itemInSession"] == 0 and events[-1]["ts"] < last_day:
            assert len(ends) == len(songs)
        for event in events:
            if event["page"] == "Playback End":
                assert event is events[-1]
                assert event["songId"] == songs[-1]["songId"] if songs else True
                if songs:
                    ended += 1
                    left += event["listenedSeconds"] < songs[-1]["duration"] - 1
                    since = (event["ts"] - songs[-1]["ts"]) / 1000
                    assert 0 <= event["listenedSeconds"] <= since + 1
    assert ended > 100
    assert left / ended == pytest.approx(0.25, abs=0.1)


def test_registration_of_a_guest_is_the_moment_of_submitting(small: Made) -> None:
    first: dict[int, int] = {}
    for text in small.of("page_view"):
        event = orjson.loads(text)
        if event["page"] == "Submit Registration":
            first.setdefault(event["userId"], event["ts"])
    assert len(first) > 2
    for text in small.texts:
        event = orjson.loads(text)
        if event.get("userId") in first:
            assert event["registration"] == first[event["userId"]]
        if "userId" in event:
            assert event["registration"] <= event["ts"]


def test_two_seeds_are_two_populations() -> None:
    def ids(options: Options) -> tuple[set[Any], set[Any], set[Any]]:
        events = [orjson.loads(text) for text in make(options).texts]
        return tuple({e.get(name) for e in events} - {None} for name in ("userId", "sessionId", "songId"))  # type: ignore[return-value]

    one, two = ids(SMALL), ids(replace(SMALL, seed=6))
    assert all(not a & b for a, b in zip(one, two, strict=True))
    based = ids(replace(SMALL, id_base=500))
    assert 501 <= min(based[0]) < max(based[0]) < 2000
