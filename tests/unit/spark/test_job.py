"""How often the run looks at its query."""

from music_spark.job import poll_seconds


def test_a_small_micro_batch_is_seen_at_once_and_a_large_one_is_not_asked_for_all_the_time() -> None:
    assert [poll_seconds(waited) for waited in (0, 0.5, 1, 4, 9, 600)] == [0.05, 0.05, 0.05, 0.2, 0.45, 0.5]
