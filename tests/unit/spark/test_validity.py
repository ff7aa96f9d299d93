"""A record is valid if and only if it is one JSON object in UTF-8 that keeps the contract; none stops the stream."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

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
