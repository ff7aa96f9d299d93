"""A record is valid if and only if it is one JSON object in UTF-8 that keeps the contract; none stops the stream."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from music_platform.contracts import events as contract
from tests.unit.spark.conftest import KAFKA_TIMESTAMP

TS = int(KAFKA_TIMESTAMP.timestamp() * 1000) - 3_600_000
LISTEN = {"ts": TS, "sessionId": 7, "itemInSession": 0, "level": "free", "userId": 352, "artist": "A", "song": "S"}

RowsOf = Callable[..., list[Any]]


def listen(**changes: Any) -> dict[str, Any]:
    merged = {**LISTEN, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


def test_valid_records_fill_the_contracts_columns(rows_of: RowsOf) -> None:
    (row,) = rows_of([listen(duration=3, eventId="e-1", device={"type": "mobile", "os": "iOS"}, gender=None)])
    assert row.quarantine_reason is None
    assert (row.event_id, row.user_id, row.duration, row.session_id) == ("e-1", "352", 3.0, 7)
    assert (row.device_type, row.device_os, row.gender) == ("mobile", "iOS", None)
    assert (row.event_time.timestamp() * 1000, row.event_kind, row.schema_version) == (TS, "listen", 1)
    assert row.payload is None
    assert row.extra is None


def test_an_event_without_an_id_gets_its_records_coordinates(rows_of: RowsOf) -> None:
    first, second = rows_of([listen(), listen()])
    assert (first.event_id, second.event_id) == ("topic-id/1/0", "topic-id/1/1")


def test_a_redriven_record_keeps_the_id_of_its_origin(rows_of: RowsOf) -> None:
    (row,) = rows_of([listen()], redrive_of="topic-id/3/99")
    assert (row.event_id, row.redrive_of) == ("topic-id/3/99", "topic-id/3/99")


def test_unknown_fields_are_carried_in_extra(rows_of: RowsOf) -> None:
    top, nested = rows_of(
        [listen(mood="calm", tags=[1, {"a": None}]), listen(device={"type": "tv", "os": "x", "v": 3})]
    )
    assert json.loads(top.extra) == {"mood": "calm", "tags": [1, {"a": None}]}
    assert json.loads(nested.extra) == {"device": {"v": 3}}
    assert nested.device_type == "tv"


INVALID: dict[str, tuple[Any, str]] = {
    "tombstone": (None, "payload: none (tombstone)"),
    "empty": (b"", "payload: not exactly one JSON object"),
    "not utf-8": (b'{"ts": "\xff\xfe"}', "payload: not UTF-8"),
    "truncated": ('{"ts": 1', "payload: not exactly one JSON object"),
    "single quotes": ("{'ts': 1}", "payload: not exactly one JSON object"),
    "two objects": ('{"ts": 1}{"ts": 2}', "payload: not exactly one JSON object"),
    "trailing text": ('{"ts": 1} x', "payload: not exactly one JSON object"),
    "trailing bracket": ('{"ts": 1}]', "payload: not exactly one JSON object"),
    "array": ("[1]", "payload: not exactly one JSON object"),
    "scalar": ("7", "payload: not exactly one JSON object"),
    "null": ("null", "payload: not exactly one JSON object"),
    "NaN": ('{"ts": NaN}', "payload: not exactly one JSON object"),
    "byte order mark": ("\ufeff{}", "payload: not exactly one JSON object"),
    "no ts": (listen(ts=...), "ts: missing"),
    "ts null": (listen(ts=None), "ts: missing"),
    "ts text": (listen(ts=str(TS)), "ts: expected integer, found string"),
    "ts float": (listen(ts=TS + 0.5), "ts: expected integer, found number"),
    "ts whole float": (listen(ts=float(TS)), "ts: expected integer, found number"),
    "ts extreme": (listen(ts=9223372036854775807), "ts: above 253402300799999"),
    "ts beyond 64 bits": (listen(ts=2**64), "ts: above 253402300799999"),
    "ts too early": (listen(ts=1_104_537_599_999), "ts: below 1104537600000"),
    "ts too late": (listen(ts=int(KAFKA_TIMESTAMP.timestamp() * 1000) + 86_400_001), "ts: more than 24 h after"),
    "level number": (listen(level=1), "level: expected string, found integer"),
    "song object": (listen(song={"a": 1}), "song: expected string, found object"),
    "song list": (listen(song=["a"]), "song: expected string, found array"),
    "userId boolean": (listen(userId=True), "userId: expected integer, found boolean"),
    "duration NaN text": (listen(duration="NaN"), "duration: expected number, found string"),
    "duration huge": ('{"duration": 1e400}', "payload: not exactly one JSON object"),
    "duration negative": (listen(duration=-0.5), "duration: below 0"),
    "device text": (listen(device="phone"), "device: expected object, found string"),
    "device.type number": (listen(device={"type": 1}), "device.type: expected string, found integer"),
    "no user": (listen(userId=...), "userId: missing"),
    "no song": (listen(song=...), "songId: missing, and artist and song"),
    "empty id": (listen(eventId=""), "eventId: empty"),
}


def test_invalid_records_are_quarantined_with_reason_and_content(rows_of: RowsOf) -> None:
    payloads = [payload for payload, _ in INVALID.values()]
    for (name, (payload, reason)), row in zip(INVALID.items(), rows_of(payloads), strict=True):
        assert row.quarantine_reason is not None, name
        assert row.quarantine_reason.startswith(reason), (name, row.quarantine_reason)
        assert row.event_time is None
        assert row.ts is None
        if isinstance(payload, bytes) and payload:
            assert base64.b64decode(row.payload_base64) == payload
        elif isinstance(payload, str):
            assert row.payload == payload


@pytest.mark.parametrize(
    "text",
    [
        ' \t\r\n{"ts": TS, "userId": 1, "songId": "s"} \n',
        '{"ts": "x", "ts": TS, "userId": 1, "songId": "s"}',
        '{"ts": TS, "userId": 1, "songId": "s", "lat": null}',
        '{"ts": TS, "userId": 1, "songId": "\\u00e9"}',
        '{"ts": TS, "userId": 1, "songId": "s", "lat": 1, "lon": -0.1e1}',
    ],
)
def test_what_rfc_8259_allows_is_valid(rows_of: RowsOf, text: str) -> None:
    (row,) = rows_of([text.replace("TS", str(TS))])
    assert row.quarantine_reason is None


KAFKA_MS = int(KAFKA_TIMESTAMP.timestamp() * 1000)
#: What producers write who take seconds, micro- or nanoseconds for milliseconds, or know no time.
WRONG_UNITS = {"seconds": KAFKA_MS // 1000, "microseconds": KAFKA_MS * 1000, "none": -1, "negative": -KAFKA_MS}


def test_a_record_whose_own_timestamp_is_no_time_is_one_quarantined_row(rows_of: RowsOf) -> None:
    """In seconds it was an alert about an age of 498,269 hours; in microseconds the year 58,869 in every statement."""
    written = [*WRONG_UNITS.values(), KAFKA_MS]
    *wrong, good = rows_of([listen()] * len(written), written=written, key=b"k")
    assert (good.quarantine_reason, good.kafka_timestamp, good.key_base64) == (None, KAFKA_TIMESTAMP, None)
    for unit, row in zip(WRONG_UNITS, wrong, strict=True):
        assert re.match("the record's Kafka timestamp: (below|above) ", row.quarantine_reason), unit
        assert (row.kafka_timestamp, row.ts, row.event_kind) == (None, None, "listen"), unit
        assert json.loads(row.payload) == LISTEN
        assert base64.b64decode(row.key_base64) == b"k"
    first, last = rows_of([listen()] * 2, written=[contract.EARLIEST_TS, contract.END_OF_TIME_MS])
    assert first.quarantine_reason == "ts: more than 24 h after the record's Kafka timestamp"
    assert last.quarantine_reason is None


def test_a_value_or_key_that_no_column_holds_is_cut_and_described(rows_of: RowsOf) -> None:
    limit = contract.MAX_RECORD_BYTES
    text, binary = b'{"a": "' + b"\xc3\xa9" * (limit // 2) + b'"}', b"\xff" * (limit + 1)
    fits = b"\xff" * limit
    long_text, long_binary, longest = rows_of([text, binary, fits])
    for row, value in ((long_text, text), (long_binary, binary)):
        assert row.quarantine_reason == f"payload: longer than {limit:,} bytes"
        assert len(row.payload.encode()) <= 4 << 20
        assert row.payload_base64 is None
        assert json.loads(row.extra) == {"payload": {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}}
    assert (longest.quarantine_reason, longest.extra) == ("payload: not UTF-8", None)
    assert len(longest.payload_base64) == contract.MAX_TEXT_BYTES
    (row,) = rows_of([b"no json"], key=binary)
    assert (row.payload, row.key_base64, list(json.loads(row.extra))) == ("no json", None, ["key"])


def test_unknown_fields_that_grow_when_they_are_written_out_are_cut_too(rows_of: RowsOf) -> None:
    numbers = "[" + ",".join(["1e15"] * 1_500_000) + "]"
    (row,) = rows_of([json.dumps(listen())[:-1] + f', "x": {numbers}}}'])
    assert row.quarantine_reason == f"payload: unknown fields longer than {contract.MAX_TEXT_BYTES:,} bytes"
    assert row.extra is None


BLANK = " \t\u2003"


def test_blank_is_no_value(rows_of: RowsOf) -> None:
    """A producer that writes blanks made one giant user and one giant song."""
    many = [listen() for _ in range(3)]
    blank, empty = (rows_of([listen(level=text, device={"type": text}, songId=text), *many]) for text in (BLANK, ""))
    for row in (blank[0], empty[0]):
        assert (row.quarantine_reason, row.level, row.device_type, row.song_id) == (None, None, None, None)
    assert {row.level for row in blank[1:]} == {"free"}
    (text,) = rows_of([listen(song=" a ", city=f"{BLANK}x")])
    assert (text.song, text.city) == (" a ", f"{BLANK}x"), "text is kept as it is written"


@pytest.mark.parametrize("text", ["", BLANK])
def test_a_required_field_is_not_fulfilled_by_a_blank(rows_of: RowsOf, text: str) -> None:
    refused = {
        "page_view_events": ({"ts": TS, "page": text}, "page: blank"),
        "status_change_events": ({"ts": TS, "level": text}, "level: blank"),
        "listen_events": (listen(song=text), "songId: missing, and artist and song"),
        "playback": ({"user_id": text, "song_id": "S1", "timestamp": "2026-11-01T00:00:00"}, "user_id: blank"),
        "user_event": (
            {"user_id": "U1", "song_id": text, "event_type": "play", "timestamp": "2026-11-01T00:00:00"},
            "song_id: missing",
        ),
    }
    for topic, (record, reason) in refused.items():
        (row,) = rows_of([record], topic)
        assert row.quarantine_reason is not None, topic
        assert row.quarantine_reason.startswith(reason), (topic, row.quarantine_reason)
    (row,) = rows_of([listen(eventId=text)])
    assert row.quarantine_reason == "eventId: empty"
