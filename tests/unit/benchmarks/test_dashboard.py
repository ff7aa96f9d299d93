"""What the benchmark of the dashboard makes of what it sees."""

from benchmarks.dashboard import latencies, p95


def test_each_play_has_the_time_at_which_the_broker_got_it() -> None:
    # 100 records and 40 plays were there; then two records a second arrive, and the page sees them in two steps.
    produced = [(100 + 2 * second, float(second)) for second in range(10)]
    shown = [(40, 0.0), (44, 5.0), (48, 8.0)]
    assert latencies(produced, shown) == [4.0, 4.0, 3.0, 3.0, 5.0, 5.0, 4.0, 4.0]


def test_a_page_that_never_changes_says_nothing() -> None:
    assert latencies([(100, 0.0)], [(40, 0.0)]) == []


def test_the_second_largest_of_twenty_is_within_p95() -> None:
    assert 18 < p95([float(n) for n in range(20)]) < 19
