"""Conservation: every committed record, identified by Kafka's topic id, is exactly one row of RAW. So is every line of
every ingested file.

Not counted: losses that someone has accepted, and offsets that never held a record, which are the markers and aborted
records of transactional producers. The broker is asked about the latter, but only where rows seem to be missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_platform.ingestion.forgotten_files import NOTHING_FORGOTTEN, Forgotten, read_forgotten
from music_platform.ingestion.gaps import Gap, Partition
from music_platform.ingestion.intake import ended_files
from music_platform.lake.progress import read_progress
from music_platform.settings import Settings
from music_platform.topics import TopicMissingError, TopicOffsets, offsets_with_record, topic_offsets
from music_platform.warehouse.schema import GAPS, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor


@dataclass(frozen=True)
class Rows:
    """Rows of a partition in RAW: their number, the number of distinct offsets, the lowest and the highest offset."""

    count: int
    offsets: int
    lowest: int
    highest: int


def committed_partitions(settings: Settings) -> dict[Partition, int]:
    """Offset after the last committed record of each partition, including topics under earlier ids."""
    progress = read_progress(settings.lake_root)
    found = {
        Partition(topic, number, progress.topic_ids.get(topic, "")): end
        for topic, ends in progress.committed().items()
        for number, end in ends.items()
    }
    for old in (*progress.retired, *progress.set_aside):
        found |= {Partition(old.topic, number, old.topic_id): end for number, end in old.committed.items()}
    return found


def taken_in(settings: Settings) -> dict[str, int]:
    """Lines of each ingested file that is not forgotten."""
    return {file.coordinate: file.lines for file in ended_files(settings, read_forgotten(settings).number)}


def raw_partitions(session: "SnowflakeConnection") -> dict[Partition, Rows]:
    """The rows in RAW of each partition."""
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


@dataclass(frozen=True)
class Audit:
    """Result of the comparison: the rows of each partition and file, and what is wrong."""

    rows: dict[Partition, Rows]
    wrong: list[tuple[Partition, str]]
    file_rows: dict[str, Rows]
    wrong_files: list[tuple[str, str]]


#: `accepted_by` of ranges in OPS.GAPS at which the broker holds no record.
NO_RECORD = "no record: a transaction marker or an aborted record"


def audit(session: "SnowflakeConnection", settings: Settings) -> Audit:
    """Compare RAW with what was committed and ingested. Records transaction markers in OPS.GAPS.

    Raises BrokerUnreachableError if the broker is needed to distinguish markers from losses.
    """
    committed, found, gaps = committed_partitions(settings), raw_partitions(session), accepted_gaps(session)
    wrong = imbalances(committed, found, gaps)
    both = found.keys() & committed.keys()
    suspects = {partition: committed[partition] for partition, _ in wrong if partition in both}
    missing = [part for gap in _missing(session, suspects) for part in _without(gap, gaps)]
    if empty := list(_without_record(settings, missing)):
        _record(session, empty)
        wrong = imbalances(committed, found, [*gaps, *empty])
    files = raw_files(session, read_forgotten(settings))
    return Audit(found, wrong, files, file_imbalances(taken_in(settings), files))


def _missing(session: "SnowflakeConnection", ends: Mapping[Partition, int]) -> list[Gap]:
    """Ranges of offsets without a row, between a partition's first row and its committed end."""
    missing = []
    for partition, end in ends.items():
        rows = _rows(
            session,
            "SELECT kafka_offset + 1, following - 1 FROM (SELECT kafka_offset, COALESCE(LEAD(kafka_offset) OVER "
            f"(ORDER BY kafka_offset), {end}) AS following FROM RAW.EVENTS WHERE source = 'kafka' "
            f"AND kafka_topic = {literal(partition.topic)} AND kafka_partition = {partition.number} "
            f"AND kafka_topic_id = {literal(partition.topic_id)}) AS rows_of WHERE following > kafka_offset + 1",
        )
        missing += [Gap(partition, int(first), int(last)) for first, last in rows]
    return missing


def _without_record(settings: Settings, missing: list[Gap]) -> Iterator[Gap]:
    """The ranges, or parts of them, at which the broker confirms that there is no record."""
    if not missing:
        return
    known: dict[str, TopicOffsets] = {}
    for topic in {gap.partition.topic for gap in missing}:
        # A retired topic may be gone.
        with suppress(TopicMissingError):
            known[topic] = topic_offsets(settings.kafka_client_config(), [topic])
    for gap in missing:
        where = gap.partition
        if where.topic not in known:
            continue
        offsets = known[where.topic]
        # The broker knows nothing about offsets it has deleted, or about an earlier topic of the same name.
        first = max(gap.first, offsets.first[where.topic].get(where.number, gap.last + 1))
        if offsets.ids[where.topic] != where.topic_id or first > gap.last:
            continue
        held = offsets_with_record(settings.kafka_client_config(), where.topic, where.number, first, gap.last)
        yield from _without(Gap(where, first, gap.last), [Gap(where, offset, offset) for offset in held])


def _without(gap: Gap, known: Iterable[Gap]) -> Iterator[Gap]:
    """The parts of a range that are in none of `known`, in order."""
    first = gap.first
    for other in sorted((other.first, other.last) for other in known if other.partition == gap.partition):
        if first < min(other[0], gap.last + 1):
            yield Gap(gap.partition, first, min(other[0] - 1, gap.last))
        first = max(first, other[1] + 1)
    if first <= gap.last:
        yield Gap(gap.partition, first, gap.last)


def _record(session: "SnowflakeConnection", gaps: list[Gap]) -> None:
    values = ", ".join(
        f"({literal(gap.partition.topic)}, {literal(gap.partition.topic_id)}, {gap.partition.number}, {gap.first}, "
        f"{gap.last}, SYSDATE(), {literal(NO_RECORD)})"
        for gap in gaps
    )
    _execute(
        session,
        f"INSERT INTO {GAPS} (kafka_topic, kafka_topic_id, kafka_partition, first_offset, last_offset, accepted_at, "
        f"accepted_by) SELECT * FROM (VALUES {values})",
    )


def raw_files(session: "SnowflakeConnection", forgotten: Forgotten = NOTHING_FORGOTTEN) -> dict[str, Rows]:
    """The rows in RAW of each intake file that is not forgotten, with line numbers in place of offsets."""
    rows = _rows(
        session,
        "SELECT source_file, COUNT(*), COUNT(DISTINCT source_line), MIN(source_line), MAX(source_line) "
        f"FROM RAW.EVENTS WHERE source = 'file' AND ingested_at > TO_TIMESTAMP_NTZ({forgotten.ended_ms}, 3) "
        "GROUP BY source_file",
    )
    return {file: Rows(int(n), int(d), int(low), int(high)) for file, n, d, low, high in rows}


def file_imbalances(lines: Mapping[str, int], found: Mapping[str, Rows]) -> list[tuple[str, str]]:
    """Each file whose rows do not match its lines, with what is wrong. `lines` are those of the ingested files."""
    wrong: list[tuple[str, str]] = []
    for file in sorted(lines.keys() | found.keys()):
        rows, expected = found.get(file, Rows(0, 0, 0, 0)), lines.get(file)
        if expected is None:
            wrong.append((file, "rows of a file that was never ingested"))
        elif rows.count != rows.offsets:
            wrong.append((file, f"{rows.count - rows.offsets} duplicate rows"))
        elif rows.count != expected:
            wrong.append((file, f"{expected} lines, {rows.count} rows"))
    return wrong


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
    # A loss directly after the last row, or before the first, leaves no hole between rows.
    while tail := [gap for gap in gaps if gap.last == end - 1 and (rows is None or gap.first > rows.highest)]:
        end = tail[0].first
    if rows is None:
        return f"no rows, but offsets up to {end - 1} are committed" if end > 0 else None
    if rows.offsets != rows.count:
        return f"{rows.count - rows.offsets} duplicate rows"
    between = sum(gap.last - gap.first + 1 for gap in gaps if rows.lowest < gap.first and gap.last < rows.highest)
    if missing := rows.highest - rows.lowest + 1 - between - rows.count:
        return f"{missing} rows are missing"
    if rows.highest + 1 != end:
        return f"the last row has offset {rows.highest}, but offsets up to {end - 1} are committed"
    return None


def _rows(session: "SnowflakeConnection", statement: str) -> list[tuple[Any, ...]]:
    rows: Any = _execute(session, statement).fetchall()
    return list(rows)


def _execute(session: "SnowflakeConnection", statement: str) -> "SnowflakeCursor":
    cursor = session.cursor()
    cursor.execute(statement)
    return cursor
