"""How long records have waited in Kafka, and which partitions a transaction holds back, by what was seen before.

A record's own timestamp is no measure of that. Producers that stamp records with the event's time (replays, Flink,
Connect) would look days late at once. So a backlog is as old as the time since its first unread offset was seen to
exist. That is exact but for one interval between two looks, and needs no consumer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from music_platform.lake.checkpoint import Offsets

#: Maximum number of end offsets that are kept of a partition. Beyond it every other one goes, which makes ages coarser.
MAX_SEEN = 100

#: Topic and partition, as `topic/number`.
Partition = str


@dataclass(frozen=True)
class Seen:
    """What was seen of the partitions: end offsets above the committed one with the time of the look that saw each
    first, oldest first; and the last stable offset of those that a transaction holds back, and since when."""

    unread: Mapping[Partition, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    held: Mapping[Partition, tuple[int, float]] = field(default_factory=dict)

    def waiting_seconds(self, now: float) -> float:
        """Seconds for which the oldest unread record has waited; 0 if there is none."""
        return max((now - ends[0][1] for ends in self.unread.values()), default=0.0)

    def moved(self, to: Callable[[float], float]) -> "Seen":
        """The same by another clock: `to` gives what it shows for a moment of this one."""
        return Seen(
            {where: tuple((at, to(when)) for at, when in ends) for where, ends in self.unread.items()},
            {where: (at, to(since)) for where, (at, since) in self.held.items()},
        )

    def held_longer_than(self, seconds: float, now: float) -> dict[Partition, tuple[int, float]]:
        """Partitions whose last stable offset has not moved for that long, although there are records after it."""
        return {where: (at, since) for where, (at, since) in sorted(self.held.items()) if now - since > seconds}


def look(seen: Seen, first: Offsets, end: Offsets, committed: Offsets, high: Offsets, now: float) -> Seen:
    """What is seen now. `end` are last stable offsets, `high` high watermarks; topics that could not be read are left
    out of `end`, and nothing new is known about them."""
    unread = {where: ends for where, ends in seen.unread.items() if where.rpartition("/")[0] not in end}
    held = {where: since for where, since in seen.held.items() if where.rpartition("/")[0] not in end}
    for topic, ends in end.items():
        for number, stable in ends.items():
            where = f"{topic}/{number}"
            done = max(committed.get(topic, {}).get(number, 0), first[topic][number])
            kept = [(at, when) for at, when in seen.unread.get(where, ()) if done < at <= stable]
            if stable > done and (not kept or kept[-1][0] < stable):
                kept.append((stable, now))
            if kept:
                unread[where] = tuple(kept if len(kept) <= MAX_SEEN else [kept[0], *kept[2::2]])
            if high.get(topic, {}).get(number, stable) > stable:
                before = seen.held.get(where)
                held[where] = before if before and before[0] == stable else (stable, now)
    return Seen(unread, held)
