"""Each disturbance at its own rate, and each unmistakable."""

from collections import Counter
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import orjson
import pytest

from music_simulator.clock import DAY
from music_simulator.disturbances import INVALID, KINDS, LATE, MALFORMED, OUT_OF_ORDER, RESET_TO, VALID
from music_simulator.faults import _MALFORMED, _breaks
from music_simulator.generation import Generation, Plan, World
from music_simulator.pace import AtOnce
from music_simulator.run import Run
from music_simulator.sinks import Files
from tests.support.contract import breach, parsed
from tests.unit.simulator.conftest import DISTURBED, SMALL, Made, make


def test_shares(disturbed: Made) -> None:
    """Each within five standard errors."""
    records = disturbed.records
    originals = records[records["copy"] == 0]
    n = len(originals)

    def near(found: int, p: float) -> None:
        assert abs(found - n * p) < 5 * (n * p * (1 - p)) ** 0.5, (found, n * p)

    near(len(records) - n, 0.1)
    near((originals["fault"] == MALFORMED).sum(), 0.05)
    near((originals["fault"] == INVALID).sum(), 0.05)
    near((originals["delay"] == LATE).sum(), 0.1)
    near((originals["delay"] == OUT_OF_ORDER).sum(), 0.1)
    near(originals["unknown"].sum(), 0.1)


def test_duplicates_are_the_same_bytes(disturbed: Made) -> None:
    counts = Counter(disturbed.texts)
    copies = [t for t, copy in zip(disturbed.texts, disturbed.records["copy"].tolist(), strict=True) if copy]
    assert all(counts[text] == 2 for text in copies)
    assert sum(n == 2 for n in counts.values()) == len(copies)
    ids = Counter(
        orjson.loads(t)["eventId"]
        for t, f in zip(disturbed.texts, disturbed.records["fault"], strict=True)
        if f == VALID
    )
    assert max(ids.values()) == 2


def test_faults_are_what_they_say(disturbed: Made) -> None:
    """Valid records keep the contract, invalid ones are JSON that breaks it, malformed ones are no JSON object."""
    for kind, text, fault in zip(disturbed.kinds, disturbed.texts, disturbed.records["fault"].tolist(), strict=True):
        event = parsed(text)
        assert b"\n" not in text
        if fault == MALFORMED:
            assert event is None, text
        else:
            assert event is not None, text
            assert (breach(event, kind) is None) == (fault == VALID), text


@pytest.mark.parametrize("which", range(len(_MALFORMED)))
def test_every_way_to_be_malformed(small: Made, which: int) -> None:
    for kind in KINDS:
        assert parsed(_MALFORMED[which](small.of(kind)[0])) is None


def test_every_way_to_be_invalid(small: Made) -> None:
    for kind in KINDS:
        for text in small.of(kind)[:40]:
            for name, value in _breaks(orjson.loads(text), kind):
                event = orjson.loads(text)
                if value is None:
                    del event[name]
                else:
                    event[name] = value
                assert breach(event, kind) == name


def test_late_and_out_of_order(disturbed: Made) -> None:
    records = disturbed.records
    end = SMALL.days * DAY
    originals = records[records["copy"] == 0]
    delay = originals["due"] - originals["second"]
    at_end = originals["due"] == end
    late = originals["delay"] == LATE
    assert delay[late & ~at_end].min() >= 3600
    assert delay[late].max() <= 3 * DAY
    astray = originals["delay"] == OUT_OF_ORDER
    assert 1 <= delay[astray & ~at_end].min() <= delay[astray].max() <= 301
    assert (delay[~late & ~astray] == 0).all()
    assert (records["due"][1:] >= records["due"][:-1]).all()
    assert (records["second"] < end).all()


def test_unknown_fields_are_added_to_valid_json() -> None:
    made = make(replace(SMALL, unknown_fields=1.0, v2=0.5))
    for kind, text in zip(made.kinds[:500], made.texts[:500], strict=True):
        event = orjson.loads(text)
        assert breach(event, kind) is None
        assert len({"abTest", "client", "tags"} & set(event)) == 1


def test_a_hot_key_is_one_account_with_a_share_of_the_users() -> None:
    made = make(replace(SMALL, users=600, growth=0.0, hot_key=0.3))
    keys = Counter(made.keys)
    (hottest, hits), (_, next_hits) = keys.most_common(2)
    assert 0.15 < hits / len(made.keys) < 0.5
    assert hits > 2 * next_hits
    people = {(e["firstName"], e["lastName"], e["gender"], e["registration"])
              for e in map(orjson.loads, made.texts) if e.get("userId") == int(hottest)}  # fmt: skip
    assert len(people) == 1


def test_without_disturbances_there_are_none(small: Made) -> None:
    assert not small.records["fault"].any()
    assert not small.records["copy"].any()
    assert (small.records["due"] == small.records["second"]).all()
    assert DISTURBED.seed == SMALL.seed


def test_a_wrong_clock_is_that_of_a_session_and_leaves_the_time_of_the_record(tmp_path: Path) -> None:
    options = replace(SMALL, wrong_clocks=0.2)
    made, right = make(options), make(SMALL)
    assert [text.partition(b',"sessionId"')[2] for text in made.of("page_view")] == [
        text.partition(b',"sessionId"')[2] for text in right.of("page_view")
    ]
    shifts = {
        (text["sessionId"], text["ts"] - true["ts"])
        for text, true in zip(map(orjson.loads, made.texts), map(orjson.loads, right.texts), strict=True)
    }
    assert len(shifts) == len({session for session, _ in shifts})
    found = {shift for _, shift in shifts}
    assert found == {0, 22 * 3_600_000, RESET_TO * 1000 - int(SMALL.start.replace(tzinfo=UTC).timestamp() * 1000)}
    assert 0.15 < sum(shift != 0 for _, shift in shifts) / len(shifts) < 0.25
    with Generation(World(options), Plan()) as generation:
        Run(options, generation, Files(tmp_path, "run"), AtOnce(), lambda: False, lambda _: None).carry_out()
    (lines,), (times,) = (list((tmp_path / "listen_events").glob(end)) for end in ("*.jsonl", "*.times"))
    stamps = [int(time) for time in times.read_text().split()]
    sent = [orjson.loads(line)["ts"] for line in lines.read_bytes().splitlines()]
    assert len(stamps) == len(sent)
    assert stamps == sorted(stamps)
    assert {ts - time for ts, time in zip(sent, stamps, strict=True)} == found
