"""The age of a backlog is the time since it was seen, whatever the records' own timestamps say."""

from music_platform.ingestion.waiting import MAX_SEEN, Seen, look

FIRST = {"t": {0: 0, 1: 0}}


def at(seen: Seen, now: float, end: int, committed: int, high: int | None = None) -> Seen:
    """A look at partition 0; partition 1 is empty."""
    ends = {"t": {0: end, 1: 0}}
    return look(seen, FIRST, ends, {"t": {0: committed}}, {"t": {0: high or end, 1: 0}}, now)


def test_a_backlog_is_as_old_as_the_first_look_that_saw_its_oldest_record() -> None:
    seen = at(Seen(), 100, end=5, committed=5)
    assert seen.waiting_seconds(100) == 0
    seen = at(seen, 110, end=8, committed=5)
    assert seen.waiting_seconds(110) == 0
    seen = at(seen, 120, end=9, committed=5)
    assert seen.waiting_seconds(130) == 20
    seen = at(seen, 140, end=9, committed=8)
    assert seen.waiting_seconds(150) == 30, "the ninth was first seen at 120"
    seen = at(seen, 160, end=9, committed=9)
    assert (seen.waiting_seconds(160), seen.unread) == (0, {})


def test_a_stream_that_is_read_all_the_time_is_never_old() -> None:
    seen = Seen()
    for now in range(0, 10_000, 10):
        seen = at(seen, now, end=now + 50, committed=now)
        assert seen.waiting_seconds(now) <= 50


def test_what_is_kept_is_bounded_and_the_oldest_stays() -> None:
    seen = Seen()
    for now in range(0, 100_000, 10):
        seen = at(seen, now, end=now + 1, committed=0)
        assert len(seen.unread["t/0"]) <= MAX_SEEN + 1
    assert seen.waiting_seconds(100_000) == 100_000


def test_a_topic_that_was_created_again_starts_over_and_one_that_cannot_be_read_keeps_its_age() -> None:
    seen = at(Seen(), 100, end=50, committed=0)
    unread = look(seen, {}, {}, {}, {}, 200)
    assert unread.waiting_seconds(200) == 100
    assert at(unread, 210, end=3, committed=0).waiting_seconds(210) == 0


def test_a_transaction_hangs_when_the_stable_offset_stays_below_the_high_watermark() -> None:
    seen = at(Seen(), 0, end=5, committed=5, high=9)
    assert seen.held_longer_than(300, 300) == {}
    seen = at(seen, 290, end=5, committed=5, high=20)
    assert seen.held_longer_than(300, 301) == {"t/0": (5, 0)}
    for now in range(310, 2000, 10):
        seen = at(seen, now, end=now, committed=now, high=now + 3)
        assert not seen.held_longer_than(300, now), "another transaction is open each time"
    assert at(seen, 2000, end=2000, committed=2000).held == {}
