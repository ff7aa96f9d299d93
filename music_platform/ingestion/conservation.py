"""Conservation: every committed record, identified by Kafka's topic id, is exactly one row of RAW. So is every line of
every ingested file.

Only what came since the last comparison is counted; OPS.RECONCILED says what balanced until then. The total number of
rows is compared with the ledger each time, which costs nothing on Snowflake, and everything is counted again where it
differs, or where RAW was rebuilt.

Not counted: losses that someone has accepted, and offsets that never held a record, which are the markers and aborted
records of transactional producers. The broker is asked about the latter, but only where rows seem to be missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from music_platform.errors import PlatformError
from music_platform.ingestion.backlog import lake_backlog
from music_platform.ingestion.forgotten_files import Forgotten, read_forgotten
from music_platform.ingestion.gaps import Gap, Partition
from music_platform.ingestion.intake import Batch, accept_lines, is_taken_in, last_batch, read_batches
from music_platform.ingestion.intervals import Interval, length, without
from music_platform.ingestion.reconciled import Ledger, Reconciled, read_ledger, statements
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.lake.progress import read_progress
from music_platform.settings import Settings
from music_platform.topics import offsets_with_record, readable_offsets
from music_platform.warehouse.connection import execute_all, rows_of
from music_platform.warehouse.loader import loaded_version
from music_platform.warehouse.schema import GAPS, RECONCILED, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Ranges of missing offsets that a complaint names.
MAX_NAMED = 3
#: How a failure ends.
REMEDY = "If the lake has the rows: music-platform rebuild. If they are lost: music-platform accept-loss"


class NotReconciledError(PlatformError):
    """RAW cannot be compared now."""


@dataclass(frozen=True)
class Rows:
    """Rows of a partition in RAW: their number, the number of distinct offsets, the lowest and the highest offset."""

    count: int
    offsets: int
    lowest: int = 0
    highest: int = -1


NO_ROWS = Rows(0, 0)


@dataclass(frozen=True)
class FileRows:
    """Rows of a file in RAW: their number, the number of distinct lines, and whether the file is not forgotten yet."""

    count: int
    lines: int
    is_recent: bool = True


@dataclass(frozen=True)
class Counted:
    """Rows of a partition in RAW: those before the end of the ledger, and later ones. Where only new batches are
    counted, the first are rows of offsets that have their row already."""

    before: Rows = NO_ROWS
    after: Rows = NO_ROWS


@dataclass(frozen=True)
class Read:
    """What was read of a partition: the offsets from `began` (None if that was not noted) up to `end`, exclusive."""

    began: int | None
    end: int


def read_partitions(settings: Settings, table: DeltaTable) -> dict[Partition, Read]:
    """What was read of each partition, according to the lake, including topics under earlier ids."""
    progress = read_progress(settings.lake_root)
    began = progress.beginnings()
    found = {
        Partition(topic, number, progress.topic_ids.get(topic, "")): Read(began.get(topic, {}).get(number), end)
        for topic, ends in progress.committed_in_lake(table).items()
        for number, end in ends.items()
    }
    for old in (*progress.retired, *progress.set_aside):
        for number, end in old.committed.items():
            found[Partition(old.topic, number, old.topic_id)] = Read(old.began.get(number), end)
    return found


def accepted_gaps(session: "SnowflakeConnection") -> dict[Partition, list[Interval]]:
    """The losses in OPS.GAPS."""
    rows = rows_of(
        session, f"SELECT kafka_topic, kafka_partition, kafka_topic_id, first_offset, last_offset FROM {GAPS}"
    )
    found: dict[Partition, list[Interval]] = {}
    for topic, number, topic_id, first, last in rows:
        found.setdefault(Partition(topic, int(number), topic_id), []).append((int(first), int(last)))
    return found


@dataclass(frozen=True)
class Judged:
    """A partition: its new state in the ledger if it balances, else what is wrong, and how a person may accept it."""

    state: Reconciled
    complaint: str | None = None


def start_of(read: Read, before: Reconciled | None, found: Counted) -> int:
    """The first offset that has to be accounted for now."""
    if before is not None:
        return before.end
    lowest = found.after.lowest if found.after.count else read.end
    return lowest if read.began is None else min(read.began, lowest)


def judge(
    read: Read, before: Reconciled | None, found: Counted, missing: Sequence[Interval], upto: int, whole: bool
) -> Judged:
    """Whether a partition balances. `missing` are offsets without a row, from `start_of` on, that nothing explains.

    `whole`: all of RAW was counted, not only batches since the ledger's.
    """
    start = start_of(read, before, found)
    expected = Rows(before.rows, before.offsets) if before and whole else NO_ROWS
    covered = (before.rows, before.offsets) if before and not whole else (0, 0)
    state = Reconciled(
        before.first if before else start,
        max(read.end, start, found.after.highest + 1),
        covered[0] + found.before.count + found.after.count,
        covered[1] + found.before.offsets * whole + found.after.offsets,
        upto,
    )
    # Rows of an offset that is taken are duplicates of rows that were counted before.
    extra = found.before.count - expected.count + (found.after.count - found.after.offsets)
    lacking = length(missing) + max(0, expected.offsets - found.before.offsets)
    if lacking:
        named = ", ".join(f"{first}–{last}" for first, last in missing[:MAX_NAMED])
        more = " and more" if len(missing) > MAX_NAMED else ""
        return Judged(state, f"{lacking} rows are missing{f' (offsets {named}{more})' if named else ''}")
    if extra:
        return Judged(state, f"{extra} duplicate rows")
    if read.end < start or found.after.highest >= read.end:
        return Judged(state, f"rows up to offset {state.end - 1}, but only offsets before {read.end} were read")
    return Judged(state)


@dataclass(frozen=True)
class JudgedFiles:
    """The files of the intake: their new state in the ledger, the id of the intake, how many files were compared, what
    is wrong with which, and the rows of those."""

    state: Reconciled | None = None
    intake: str = ""
    compared: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


def judge_files(
    batches: Sequence[Batch], before: Reconciled | None, found: Mapping[str, FileRows], upto: int, whole: bool
) -> JudgedFiles:
    """Whether each file's rows are its lines. `batches` are those since the ledger's; all that are kept if `whole`."""
    wrong: list[tuple[str, str]] = []
    files = {file.coordinate: file for batch in batches for file in batch.files}
    for name, file in sorted(files.items()):
        rows = found.get(name, FileRows(0, 0))
        if rows.count != file.lines:
            wrong.append((name, f"{file.lines} lines, {rows.count} rows"))
        elif rows.count != rows.lines and file.accepted_by is None:
            wrong.append((name, f"{rows.count - rows.lines} duplicate rows"))
    others = {name: rows for name, rows in sorted(found.items()) if name not in files}
    end = before.end if before else 0
    if before and whole:
        kept = sum(file.lines for batch in batches if batch.number < end for file in batch.files)
        count = sum(rows.count for rows in others.values())
        if count != before.rows - kept:
            wrong.append(("files that are not kept any more", f"{before.rows - kept} lines, {count} rows"))
    else:
        wrong += [(name, "rows of a file that was never ingested") for name, rows in others.items() if rows.is_recent]
    rows, lines = (sum(getattr(each, name) for each in found.values()) for name in ("count", "lines"))
    if before and not whole:
        rows, lines = before.rows + rows, before.offsets + lines
    if not rows and not batches:
        return JudgedFiles(before and replace(before, batch=upto), wrong=wrong)
    state = Reconciled(0, max([end, *(batch.number + 1 for batch in batches)]), rows, lines, upto)
    named = {name: found[name].count if name in found else 0 for name, _ in wrong if name in files}
    return JudgedFiles(state, batches[-1].app_id if batches else "", len(files), wrong, named)


@dataclass(frozen=True)
class Audit:
    """Result of the comparison: each partition and the files, and offsets without a row that nothing explains.

    `postponed`: why nothing could be compared now; then the rest is empty.
    """

    partitions: dict[Partition, Judged] = field(default_factory=dict)
    missing: dict[Partition, list[Interval]] = field(default_factory=dict)
    files: JudgedFiles = field(default_factory=JudgedFiles)
    postponed: str | None = None

    @property
    def wrong(self) -> list[tuple[Partition, str]]:
        """Each partition that does not balance, with what is wrong."""
        return [(where, each.complaint) for where, each in sorted(self.partitions.items()) if each.complaint]

    @property
    def complaints(self) -> list[str]:
        """What is wrong, in words."""
        return [
            *(f"{where.topic}/{where.number}: {what}" for where, what in self.wrong),
            *(f"{file}: {what}" for file, what in self.files.wrong),
        ]

    @property
    def rows(self) -> int:
        """Rows of RAW."""
        return sum(each.state.rows for each in self.partitions.values()) + (self.files.state or NOTHING).rows


NOTHING = Reconciled(0, 0, 0, 0, None)


def audit(session: "SnowflakeConnection", settings: Settings) -> Audit:
    """Compare RAW with what was read from topics and files, and note in OPS.RECONCILED what balances.

    Raises BrokerUnreachableError if the broker is needed to distinguish markers from losses.
    """
    found, ledger = compare(session, settings)
    if found.postponed is None:
        execute_all(session, statements(_balanced(ledger, found)))
    return found


def accept(session: "SnowflakeConnection", settings: Settings, found: Audit, who: str) -> None:
    """Note that a person accepts what does not balance: missing offsets as lost, other rows as they are."""
    balanced = _balanced(read_ledger(session), found)
    accepted = {where: replace(found.partitions[where].state, accepted_by=who) for where, _ in found.wrong}
    files, intake = balanced.files, balanced.intake
    if found.files.wrong:
        accept_lines(settings, found.files.rows, who)
        files = found.files.state and replace(found.files.state, accepted_by=who)
        intake = found.files.intake or balanced.intake
    lost = [Gap(where, first, last) for where, ranges in found.missing.items() for first, last in ranges]
    execute_all(session, [*note_gaps(lost, who), *statements(Ledger(balanced.partitions | accepted, intake, files))])


def _balanced(before: Ledger, found: Audit) -> Ledger:
    """The ledger with what balances now; the rest stays as it was."""
    partitions = {where: each.state for where, each in found.partitions.items() if each.complaint is None}
    if found.files.wrong or found.files.state is None:
        return Ledger(before.partitions | partitions, before.intake, before.files)
    return Ledger(before.partitions | partitions, found.files.intake or before.intake, found.files.state)


def compare(session: "SnowflakeConnection", settings: Settings) -> tuple[Audit, Ledger]:
    """Compare RAW with what was read from topics and files since the ledger was written; also returns the ledger.

    Each statement sees what another run's audit notes meanwhile, so the ledger has to be the same before and after.
    """
    ledger = read_ledger(session)
    while True:
        found = _compare(session, settings, ledger)
        before, ledger = ledger, read_ledger(session)
        if before == ledger:
            return found, ledger


def _compare(session: "SnowflakeConnection", settings: Settings, ledger: Ledger) -> Audit:
    table = DeltaTable(events_path(settings.lake_root))
    upto = loaded_version(session)
    read = read_partitions(settings, table)
    # If nothing has come to the lake since it was loaded, what was read is what has to be in RAW.
    behind = lake_backlog(table, upto)
    if behind.records or behind.unknown:
        return Audit(postponed=behind.unknown or f"{behind.count} records of the lake are not in RAW yet")
    forgotten = read_forgotten(settings)
    intake = last_batch(settings)
    files_before = ledger.files_of(intake.app_id) if intake else ledger.files
    whole = ledger.is_of_another_table
    if not whole:
        counted = count_partitions(session, upto, since(ledger, read))
        rows = count_files(session, upto, files_before.batch if files_before else -1, forgotten) if intake else {}
        new = sum(each.before.count + each.after.count for each in counted.values())
        new += sum(each.count for each in rows.values())
        ((total,),) = rows_of(session, "SELECT COUNT(*) FROM RAW.EVENTS")
        whole = int(total) != ledger.rows + new
    if whole:
        counted, rows = count_partitions(session, upto, None), count_files(session, upto, -1, forgotten)
    missing = _missing(session, settings, read, ledger, counted, upto, None if whole else since(ledger, read))
    partitions = {}
    for where in sorted(read.keys() | ledger.partitions.keys() | counted.keys()):
        before, found = ledger.partitions.get(where), counted.get(where, Counted())
        if where in read or before:
            was_read = read.get(where) or Read(None, before.end if before else 0)
            partitions[where] = judge(was_read, before, found, missing.get(where, []), upto, whole)
        else:
            state = Reconciled(
                found.after.lowest, found.after.highest + 1, found.after.count, found.after.offsets, upto
            )
            partitions[where] = Judged(state, "rows of a partition that was never committed")
    first = forgotten.number + 1
    if files_before and not whole:
        first = max(first, files_before.end)
    batches = [batch for batch in read_batches(settings, first) if is_taken_in(batch, table)]
    return Audit(partitions, missing, judge_files(batches, files_before, rows, upto, whole))


def since(ledger: Ledger, read: Iterable[Partition]) -> int:
    """The batch of RAW up to which all rows of every partition were counted; -1 if a partition never was."""
    known = [ledger.partitions[where].batch for where in read if where in ledger.partitions]
    everything = len(known) == len(set(read)) and known
    return min((batch for batch in known if batch is not None), default=-1) if everything else -1


def count_partitions(session: "SnowflakeConnection", upto: int, above: int | None) -> dict[Partition, Counted]:
    """The rows of each partition, in the batches that its row of the ledger does not cover, up to `upto`.

    `above`: no batch up to this one is needed; None to count all batches again.
    """
    before, after = (f"e.kafka_offset {sign} COALESCE(r.end_offset, 0)" for sign in ("<", ">="))
    sides = ", ".join(
        f"COUNT_IF({side}), COUNT(DISTINCT CASE WHEN {side} THEN e.kafka_offset END), "
        f"MIN(CASE WHEN {side} THEN e.kafka_offset END), MAX(CASE WHEN {side} THEN e.kafka_offset END)"
        for side in (before, after)
    )
    rows = rows_of(
        session,
        f"SELECT e.kafka_topic, e.kafka_partition, e.kafka_topic_id, {sides} {_new_rows(upto, above)} "
        "GROUP BY e.kafka_topic, e.kafka_partition, e.kafka_topic_id",
    )
    return {
        Partition(topic, int(number), topic_id): Counted(_side(numbers[:4]), _side(numbers[4:]))
        for topic, number, topic_id, *numbers in rows
    }


def _side(numbers: Sequence[Any]) -> Rows:
    count, offsets, lowest, highest = numbers
    return Rows(int(count), int(offsets), int(lowest), int(highest)) if count else NO_ROWS


def _new_rows(upto: int, above: int | None) -> str:
    """FROM and WHERE of the rows of Kafka's records, e, with their partition's row of the ledger, r."""
    batches = f"e.batch_id <= {upto}"
    if above is not None:
        batches += f" AND e.batch_id > {above} AND e.batch_id > COALESCE(r.batch_id, -1)"
    return (
        f"FROM RAW.EVENTS AS e LEFT JOIN {RECONCILED} AS r ON r.source = 'kafka' AND r.origin = e.kafka_topic "
        "AND r.topic_id = e.kafka_topic_id AND r.kafka_partition = e.kafka_partition "
        f"WHERE e.source = 'kafka' AND {batches}"
    )


def _missing(
    session: "SnowflakeConnection",
    settings: Settings,
    read: Mapping[Partition, Read],
    ledger: Ledger,
    counted: Mapping[Partition, Counted],
    upto: int,
    above: int | None,
) -> dict[Partition, list[Interval]]:
    """Offsets without a row that neither OPS.GAPS nor the broker explains, of each partition that lacks any."""
    missing: dict[Partition, list[Interval]] = {}
    inside: dict[Partition, list[Interval]] = {}
    for where, part in read.items():
        found = counted.get(where, Counted())
        start, rows = start_of(part, ledger.partitions.get(where), found), found.after
        if not rows.count and start < part.end:
            missing[where] = [(start, part.end - 1)]
        elif rows.count and rows.offsets < max(part.end, rows.highest + 1) - start:
            ends = [(start, rows.lowest - 1), (rows.highest + 1, part.end - 1)]
            missing[where] = [each for each in ends if each[0] <= each[1]]
            if rows.offsets < rows.highest - rows.lowest + 1:
                inside[where] = missing[where]
    if inside:
        statement = (
            "SELECT kafka_topic, kafka_partition, kafka_topic_id, kafka_offset + 1, next_offset - 1 FROM ("
            "SELECT e.kafka_topic, e.kafka_partition, e.kafka_topic_id, e.kafka_offset, LEAD(e.kafka_offset) OVER "
            "(PARTITION BY e.kafka_topic, e.kafka_partition, e.kafka_topic_id ORDER BY e.kafka_offset) AS next_offset "
            f"{_new_rows(upto, above)} AND e.kafka_offset >= COALESCE(r.end_offset, 0)) AS in_order "
            "WHERE next_offset > kafka_offset + 1"
        )
        for topic, number, topic_id, first, last in rows_of(session, statement):
            if (where := Partition(topic, int(number), topic_id)) in inside:
                inside[where].append((int(first), int(last)))
    gaps = accepted_gaps(session) if missing else {}
    unexplained = {where: list(without(ranges, gaps.get(where, []))) for where, ranges in missing.items()}
    unexplained = {where: ranges for where, ranges in unexplained.items() if ranges}
    empty = _without_record(settings, unexplained)
    left = {where: list(without(ranges, empty.get(where, []))) for where, ranges in unexplained.items()}
    return {where: ranges for where, ranges in left.items() if ranges}


def _without_record(
    settings: Settings, missing: Mapping[Partition, Sequence[Interval]]
) -> Mapping[Partition, Sequence[Interval]]:
    """The parts of these ranges at which the broker confirms that there is no record."""
    if not missing:
        return {}
    client = settings.kafka_client_config()
    # A retired topic may be gone. The broker knows nothing about an earlier topic of the same name either.
    offsets = readable_offsets(client, sorted({where.topic for where in missing}))
    wanted: dict[Partition, list[Interval]] = {}
    for where, ranges in missing.items():
        first = offsets.first.get(where.topic, {}).get(where.number)
        if first is not None and offsets.ids.get(where.topic) == where.topic_id:
            wanted[where] = list(without(ranges, [(0, first - 1)]))
    held = offsets_with_record(client, {(where.topic, where.number): ranges for where, ranges in wanted.items()})
    return {
        where: list(without(ranges, ((offset, offset) for offset in held[where.topic, where.number])))
        for where, ranges in wanted.items()
    }


def count_files(
    session: "SnowflakeConnection", upto: int, above: int | None, forgotten: Forgotten
) -> dict[str, FileRows]:
    """The rows of each file in the batches after `above`."""
    rows = rows_of(
        session,
        "SELECT source_file, COUNT(*), COUNT(DISTINCT source_line), "
        f"COUNT_IF(ingested_at > TO_TIMESTAMP_NTZ({forgotten.ended_ms}, 3)) "
        f"FROM RAW.EVENTS WHERE source = 'file' AND batch_id <= {upto} AND batch_id > {-1 if above is None else above} "
        "GROUP BY source_file",
    )
    return {file: FileRows(int(count), int(lines), int(recent) > 0) for file, count, lines, recent in rows}


def note_gaps(lost: Iterable[Gap], who: str) -> list[str]:
    """Statements that record lost offsets in OPS.GAPS, once however often they are executed."""
    found = []
    for gap in lost:
        topic, topic_id, number = literal(gap.partition.topic), literal(gap.partition.topic_id), gap.partition.number
        found += [
            f"DELETE FROM {GAPS} WHERE kafka_topic_id = {topic_id} AND kafka_topic = {topic} "
            f"AND kafka_partition = {number} AND first_offset = {gap.first}",
            f"INSERT INTO {GAPS} (kafka_topic, kafka_topic_id, kafka_partition, first_offset, last_offset, "
            f"accepted_at, accepted_by) SELECT {topic}, {topic_id}, {number}, {gap.first}, {gap.last}, SYSDATE(), "
            f"{literal(who)}",
        ]
    return found
