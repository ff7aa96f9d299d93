"""Whatever bytes come: one row each, no error, and valid exactly if Python's strict parser and the contract say so."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_platform.contracts import events as contract
from music_platform.contracts import shapes
from music_spark.parse import flatten
from music_spark.shape import _single
from music_spark.validate import is_blank, violation
from tests.support.payloads import ACCEPTED, REFUSED, TS
from tests.unit.spark.conftest import KAFKA_TIMESTAMP, lake_rows

KAFKA_MS = int(KAFKA_TIMESTAMP.timestamp() * 1000)
#: Levels of nesting that Python's own parser takes for certain.
DEPTH = 900


def strictly(value: bytes) -> dict[str, Any] | None:
    """RFC 8259 by Python's own parser, less what no column could hold (see music_spark.parse)."""

    def refuse(_: str) -> None:
        raise ValueError

    try:
        parsed = json.loads(value.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) and _fits(parsed) else None


def _fits(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 10**308
    if isinstance(value, dict):
        return all(_fits(key) and _fits(inner) for key, inner in value.items())
    return all(map(_fits, value)) if isinstance(value, list) else True


def depth(value: bytes) -> int:
    return max(value.count(b"["), value.count(b"{"))


def check(payloads: list[bytes], topic: str = "listen_events") -> None:
    rows = lake_rows(payloads, topic)
    assert len(rows) == len(payloads)
    shape = shapes.own({t: k for k, t in contract.TOPICS.items()}[topic])
    for value, row in zip(payloads, rows, strict=True):
        parsed = strictly(value)
        if depth(value) < DEPTH:
            wrong = parsed is None or violation(flatten(dict(parsed), shape.holders), shape, KAFKA_MS) is not None
            assert (row.quarantine_reason is not None) == wrong, (value[:200], row.quarantine_reason)
        slowly = _single(value, shape, KAFKA_MS)
        assert row.quarantine_reason == slowly.get("quarantine_reason")
        for field in contract.FIELDS:
            if field.column not in ("event_id", "schema_version"):
                assert getattr(row, field.column) == slowly.get(field.column), field.column
        assert row.extra == slowly.get("extra")


names = st.sampled_from([f.path.split(".")[0] for f in contract.FIELDS] + ["x", "", "é"])
numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([TS, 0, -1, 2**63 - 1, 2**63, -(2**63), 10**300])
)
blanks = st.text(st.sampled_from(contract.BLANKS + "\u200b\ufeffa"), max_size=3)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=20) | blanks
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(names, values, max_size=8)
listens = objects.map(lambda more: {**more, "ts": TS, "userId": 1, "songId": "s"})
spelled = (objects | listens).map(
    lambda record: json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
)
torn = st.tuples(spelled, st.integers(0, 200), st.binary(max_size=3)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200) | spelled | torn, min_size=1, max_size=12))
def test_any_bytes_make_one_row_each_and_validity_is_the_strict_parsers(payloads: list[bytes]) -> None:
    check(payloads)


@settings(max_examples=100, deadline=None)
@given(st.lists(spelled, min_size=1, max_size=12), st.sampled_from(sorted(contract.TOPICS.values())))
def test_the_way_by_shapes_and_the_way_one_by_one_agree(payloads: list[bytes], topic: str) -> None:
    check(payloads, topic)


@given(st.characters(categories=["Zs", "Zl", "Zp", "Cc"]) | st.characters())
def test_what_is_blank_is_what_unicode_calls_white_space(character: str) -> None:
    assert is_blank(character) == character.isspace()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(spelled, st.integers(-(2**62) // 1000, 2**62 // 1000)), min_size=1, max_size=6))
def test_any_timestamp_of_a_record_makes_one_row_and_both_ways_agree(records: list[tuple[bytes, int]]) -> None:
    shape = shapes.own(contract.LISTEN)
    rows = lake_rows([value for value, _ in records], written=[written for _, written in records])
    assert len(rows) == len(records)
    for (value, written), row in zip(records, rows, strict=True):
        assert row.quarantine_reason == _single(value, shape, written).get("quarantine_reason")
        in_range = contract.EARLIEST_TS <= written <= contract.END_OF_TIME_MS
        assert (row.kafka_timestamp is not None) == in_range
        assert in_range or row.quarantine_reason is not None


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(rows_of: Callable[..., list[Any]], name: str) -> None:
    (row,) = rows_of([ACCEPTED[name]])
    assert row.quarantine_reason is None


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_json_becomes_an_all_null_row(rows_of: Callable[..., list[Any]], name: str) -> None:
    value = REFUSED[name]
    (row,) = rows_of([value])
    assert row.quarantine_reason
    assert (row.payload is None) == (row.payload_base64 is not None or value is None)
