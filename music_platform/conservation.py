"""Conservation: every committed record is exactly one row of RAW, by Kafka's topic id; accepted losses aside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_platform.lake.progress import read_progress
from music_platform.settings import Settings
from music_platform.warehouse.schema import GAPS

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


@dataclass(frozen=True, order=True)
class Partition:
    """A partition of a topic. A topic that was created again has another id, and so other partitions."""

    topic: str
    number: int
    topic_id: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows of a partition in RAW: how many, of how many distinct offsets, from which to which."""

    count: int
    offsets: int
    lowest: int
    highest: int


@dataclass(frozen=True)
class Gap:
    """Offsets of a partition whose loss a person has accepted: `first` to `last`, both lost."""

    partition: Partition
    first: int
    last: int


def committed_partitions(settings: Settings) -> dict[Partition, int]:
    """Offset behind the last committed record of each partition, topics of earlier ids included."""
    progress = read_progress(settings.lake_root)
    found = {
        Partition(topic, number, progress.topic_ids.get(topic, "")): end
        for topic, ends in progress.committed().items()
        for number, end in ends.items()
    }
    for old in progress.retired:
        found |= {Partition(old.topic, number, old.topic_id): end for number, end in old.committed.items()}
    return found


def raw_partitions(session: "SnowflakeConnection") -> dict[Partition, Rows]:
    """What RAW holds of each partition."""
    rows = _rows(
        session,
        "SELECT kafka_topic, kafka_partition, kafka_topic_id, COUNT(*), COUNT(DISTINCT kafka_offset), "
        "MIN(kafka_offset), MAX(kafka_offset) FROM RAW.EVENTS WHERE source = 'kafka' "
        "GROUP BY kafka_topic, kafka_partition, kafka_topic_id",
    )
    return {Partition(t, int(p), i): Rows(int(n), int(d), int(low), int(high)) for t, p, i, n, d, low, high in rows}


def accepted_gaps(session: "SnowflakeConnection") -> list[Gap]:
    """The losses in OPS.GAPS."""
    rows = _rows(session, f"SELECT kafka_topic, kafka_partition, kafka_topic_id, first_offset, last_offset FROM {GAPS}")
    return [Gap(Partition(t, int(p), i), int(first), int(last)) for t, p, i, first, last in rows]


def imbalances(
    committed: Mapping[Partition, int], found: Mapping[Partition, Rows], gaps: Iterable[Gap] = ()
) -> list[tuple[Partition, str]]:
    """Each partition that does not balance, with what is wrong."""
    lost: dict[Partition, list[Gap]] = {}
    for gap in gaps:
        lost.setdefault(gap.partition, []).append(gap)
    wrong: list[tuple[Partition, str]] = []
    for partition, end in sorted(committed.items()):
        complaint = _imbalance(end, found.get(partition), lost.get(partition, []))
        if complaint:
            wrong.append((partition, complaint))
    wrong.extend(
        (partition, "rows of a partition that was never committed")
        for partition in sorted(found.keys() - committed.keys())
    )
    return wrong


def _imbalance(end: int, rows: Rows | None, gaps: list[Gap]) -> str | None:
    # A loss right behind the last row, or one in front of the first, has no row to be missing.
    while tail := [gap for gap in gaps if gap.last == end - 1 and (rows is None or gap.first > rows.highest)]:
        end = tail[0].first
    if rows is None:
        return f"not one row, committed is up to {end - 1}" if end > 0 else None
    if rows.offsets != rows.count:
        return f"{rows.count - rows.offsets} rows are there twice"
    between = sum(gap.last - gap.first + 1 for gap in gaps if rows.lowest < gap.first and gap.last < rows.highest)
    if missing := rows.highest - rows.lowest + 1 - between - rows.count:
        return f"{missing} rows are missing"
    if rows.highest + 1 != end:
        return f"the last row is of offset {rows.highest}, committed is up to {end - 1}"
    return None


def _rows(session: "SnowflakeConnection", statement: str) -> list[tuple[Any, ...]]:
    cursor = session.cursor()
    cursor.execute(statement)
    rows: Any = cursor.fetchall()
    return list(rows)
