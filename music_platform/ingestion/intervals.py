"""Ranges of offsets. Each operation sorts once and sweeps once, however many ranges there are."""

from collections.abc import Iterable, Iterator

#: First and last number of a range, both inclusive.
Interval = tuple[int, int]


def without(intervals: Iterable[Interval], known: Iterable[Interval]) -> Iterator[Interval]:
    """The parts of the intervals that are in none of `known`, in order. The intervals do not overlap."""
    others = iter(sorted(known))
    other = next(others, None)
    for first, last in sorted(intervals):
        while other is not None and other[0] <= last:
            if first < other[0]:
                yield first, other[0] - 1
            first = max(first, other[1] + 1)
            if other[1] > last:
                break  # It may cover the next interval too.
            other = next(others, None)
        if first <= last:
            yield first, last


def length(intervals: Iterable[Interval]) -> int:
    """How many numbers the intervals hold. They do not overlap."""
    return sum(last - first + 1 for first, last in intervals)
