"""Other producers' shapes: mapped to the contract's columns by a file, held to the contract's rules."""

import json
from typing import Any

import pytest

from music_platform.contracts.events import EARLIEST_TS
from music_platform.contracts.shapes import MappingError, mapped, parse
from tests.unit.spark.conftest import KAFKA_TIMESTAMP, lake_rows

PLAYBACK = {"user_id": "U001", "song_id": "S001", "timestamp": "2025-04-09T10:00:00", "device": "mobile"}
USER_EVENT = {
    "event_id": "e-1", "user_id": "U001", "song_id": "S001", "artist_name": "A", "song_name": "S", "event_type": "play",
    "device_type": "desktop", "country": "NO", "timestamp": "2025-04-09T12:00:00.250+02:00",
}  # fmt: skip
TS = 1_744_192_800_000


def test_a_playback_is_a_listen() -> None:
    (row,) = lake_rows([PLAYBACK], "playback")
    assert (row.quarantine_reason, row.event_kind, row.schema_version, row.extra) == (None, "listen", 1, None)
    assert (row.user_id, row.song_id, row.ts, row.device_type) == ("U001", "S001", TS, "mobile")
    assert row.event_time.timestamp() * 1000 == TS
    assert row.event_id == "topic-id/1/0"


def test_a_user_event_is_of_the_kind_that_its_type_says() -> None:
    types = ["play", "pause", "skip", "add_to_playlist"]
    rows = lake_rows([{**USER_EVENT, "event_type": name, "event_id": name} for name in types], "user_event")
    assert [row.event_kind for row in rows] == ["listen", "page_view", "page_view", "page_view"]
    assert [row.page for row in rows] == [None, "Pause", "Skip", "Add to Playlist"]
    assert {(row.ts, row.artist, row.song, row.device_type) for row in rows} == {(TS + 250, "A", "S", "desktop")}
    assert [row.event_id for row in rows] == types
    assert {row.extra for row in rows} == {'{"country":"NO"}'}, "what the shape does not map is carried"


def test_both_ways_through_the_rules_agree() -> None:
    """An unknown field sends a record the slow way; what it means stays the same."""
    plain = {name: value for name, value in USER_EVENT.items() if name != "country"}
    fast, slow = lake_rows([plain, {**plain, "mood": "calm", "userId": 7}], "user_event")
    assert json.loads(slow.extra) == {"mood": "calm", "userId": 7}, "a name of the contract is none of the shape's"
    differing = {"kafka_offset", "extra"}
    assert {k: v for k, v in vars(fast).items() if k not in differing} == {
        k: v for k, v in vars(slow).items() if k not in differing
    }


@pytest.mark.parametrize(
    ("shape", "changes", "reason"),
    [
        ("playback", {"user_id": 7}, "user_id: expected string, found integer"),
        ("playback", {"user_id": None}, "user_id: missing"),
        ("playback", {"song_id": None}, "song_id: missing"),
        ("playback", {"timestamp": None}, "timestamp: missing"),
        ("playback", {"timestamp": TS}, "timestamp: expected time, found integer"),
        ("playback", {"timestamp": "yesterday"}, "timestamp: no time of ISO 8601"),
        ("playback", {"timestamp": "9999-12-31T23:59:59-23:59"}, "timestamp: above 253402300799999"),
        ("playback", {"timestamp": "0001-01-01T00:00:00+23:59"}, f"timestamp: below {EARLIEST_TS}"),
        ("playback", {"timestamp": "1999-01-01T00:00:00"}, f"timestamp: below {EARLIEST_TS}"),
        (
            "playback",
            {"timestamp": "2026-11-03T00:00:01"},
            "timestamp: more than 24 h after the record's Kafka timestamp",
        ),
        ("user_event", {"event_type": "sing"}, "event_type: none of add_to_playlist, pause, play, skip"),
        ("user_event", {"event_type": None}, "event_type: missing"),
        ("user_event", {"event_type": 7}, "event_type: expected string, found integer"),
        ("user_event", {"event_type": {"a": 1}}, "event_type: expected string, found object"),
        ("user_event", {"event_id": ""}, "event_id: empty"),
        ("user_event", {"song_id": None, "song_name": None}, "song_id: missing, and artist_name and song_name do not"),
    ],
)
def test_a_record_that_breaks_a_rule_is_quarantined_in_its_own_words(
    shape: str, changes: dict[str, Any], reason: str
) -> None:
    record = {**(PLAYBACK if shape == "playback" else USER_EVENT), **changes}
    assert KAFKA_TIMESTAMP.isoformat() == "2026-11-02T00:00:00+00:00"
    for payload in (record, {**record, "unknown": 1}):
        (row,) = lake_rows([payload], shape)
        assert row.quarantine_reason.startswith(reason), row.quarantine_reason
        assert json.loads(row.payload) == payload


@pytest.mark.parametrize("value", [None, b"\xff", b"[1]", b'{"event_type": '])
def test_what_is_no_record_at_all_is_quarantined_in_any_shape(value: bytes | None) -> None:
    for shape in mapped():
        (row,) = lake_rows([value], shape)
        assert row.quarantine_reason.startswith("payload: ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('description = "x"\nkind = "listen"\n[fields]\n', "no field for ts"),
        ('description = "x"\n[fields]\n', "give either kind or kind_field"),
        ('description = "x"\nkind = "listen"\n[fields]\na = { field = "nope" }', "a: the contract has no field nope"),
        (
            'description = "x"\nkind_field = "a.b"\n[kinds]\nplay = { kind = "listen" }\n[fields]\n',
            "kind_field has to be a key of the record itself",
        ),
        ('description = "x"\nkind = "sing"\n[fields]\nt = { field = "ts" }', "sing is not an event kind"),
        ('description = "x"\nkind = "listen"\n[fields]\nt = { field = "ts" }', "a listen event needs userId"),
    ],
)
def test_a_mapping_that_says_too_little_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(MappingError, match=complaint):
        parse("third", text)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.5+00:00", "2017-01-01T00:00:00.5+00:00"),
        ("20161231T235960Z", "2017-01-01T00:00:00Z"),
        ("2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00Z"),
        ("2025-04-09T24:00:00", "2025-04-10T00:00:00"),
        ("2025-04-09 24:00+02:00", "2025-04-09T22:00:00Z"),
        ("20250409T24", "2025-04-10T00:00:00"),
        ("2024-02-28T24:00:00.000Z", "2024-02-29T00:00:00Z"),
    ],
)
def test_leap_seconds_and_the_end_of_a_day_are_times(text: str, same_as: str) -> None:
    rows = lake_rows([{**PLAYBACK, "timestamp": each} for each in (text, same_as)], "playback")
    assert [row.quarantine_reason for row in rows] == [None, None]
    assert rows[0].ts == rows[1].ts


@pytest.mark.parametrize("text", ["2025-04-09T24:00:01", "2025-04-09T24:01", "2025-04-09T25:00", "2025-04-09T10:60:00",
                                  "2025-04-09T23:59:61", "2025-04-09T24:00:00.001", "9999-12-31T24:00"])  # fmt: skip
def test_other_times_out_of_range_are_none(text: str) -> None:
    (row,) = lake_rows([{**PLAYBACK, "timestamp": text}], "playback")
    assert row.quarantine_reason in (
        "timestamp: no time of ISO 8601", "timestamp: above 253402300799999"
    )  # fmt: skip


def test_a_third_shape_needs_no_code() -> None:
    shape = parse(
        "third", 'description = "x"\nkind = "auth"\n[fields]\nt = { field = "ts" }\nok = { field = "success" }'
    )
    assert (shape.cases[""].kind, shape.name_of) == ("auth", {"ts": "t", "success": "ok"})
