"""The ledger OPS.RECONCILED: how far RAW was compared with what was read, and how many rows that was.

An offset without a record, such as the marker of a transaction, can only be told from a loss while the broker still has
it. So what balanced once is not asked again: its number of rows is what any later count has to find.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from music_platform.ingestion.gaps import Partition
from music_platform.warehouse.schema import RECONCILED, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

KAFKA, FILE = "kafka", "file"

#: Rows of the ledger that one statement inserts: 1,000 partitions must not make a statement of megabytes.
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Reconciled:
    """What balanced: offsets (or batches of files) from `first` up to `end`, exclusive, and the rows that this was.

    `offsets` are the distinct offsets, or lines, among the rows. `batch` is the last batch of RAW that was counted;
    None after RAW was rebuilt, which gives each row another batch.
    """

    first: int
    end: int
    rows: int
    offsets: int
    batch: int | None
    accepted_by: str | None = None


@dataclass(frozen=True)
class Ledger:
    """The ledger: by partition, and for the files of the intake, whose batches carry the id `intake`."""

    partitions: dict[Partition, Reconciled] = field(default_factory=dict)
    intake: str = ""
    files: Reconciled | None = None

    @property
    def states(self) -> list[Reconciled]:
        """All of its rows."""
        return [*self.partitions.values(), *([self.files] if self.files else [])]

    @property
    def rows(self) -> int:
        """Rows of RAW that the ledger covers."""
        return sum(each.rows for each in self.states)

    @property
    def is_of_another_table(self) -> bool:
        """Whether RAW was rebuilt since anything in it was counted."""
        return any(each.batch is None for each in self.states)

    def files_of(self, intake: str) -> Reconciled | None:
        """The state of this intake's files. Files of an earlier one, which is lost, count as its first rows."""
        return replace(self.files, end=0) if self.files and self.intake != intake else self.files


def read_ledger(session: "SnowflakeConnection") -> Ledger:
    """The ledger as it is."""
    cursor = session.cursor()
    cursor.execute(
        "SELECT source, origin, topic_id, kafka_partition, first_offset, end_offset, row_count, offset_count, "
        f"batch_id, accepted_by FROM {RECONCILED}"
    )
    rows: Any = cursor.fetchall()
    ledger = Ledger()
    for source, origin, topic_id, number, first, end, count, offsets, batch, who in rows:
        batch_id = None if batch is None else int(batch)
        found = Reconciled(int(first), int(end), int(count), int(offsets), batch_id, who)
        if source == KAFKA:
            ledger.partitions[Partition(origin, int(number), topic_id)] = found
        else:
            ledger = replace(ledger, intake=origin, files=found)
    return ledger


def statements(ledger: Ledger) -> list[str]:
    """Statements that replace the ledger. They belong into one transaction."""
    values = [_values(KAFKA, p.topic, p.topic_id, p.number, each) for p, each in sorted(ledger.partitions.items())]
    if ledger.files:
        values.append(_values(FILE, ledger.intake, "", 0, ledger.files))
    pages = [values[start : start + ROWS_AT_ONCE] for start in range(0, len(values), ROWS_AT_ONCE)]
    return [f"DELETE FROM {RECONCILED}", *map(_insert, pages)]


def _insert(values: Iterable[str]) -> str:
    return (
        f"INSERT INTO {RECONCILED} (source, origin, topic_id, kafka_partition, first_offset, end_offset, row_count, "
        f"offset_count, batch_id, accepted_by, reconciled_at) SELECT * FROM (VALUES {', '.join(values)})"
    )


def _values(source: str, origin: str, topic_id: str, number: int, found: Reconciled) -> str:
    batch = "NULL" if found.batch is None else found.batch
    who = "NULL" if found.accepted_by is None else literal(found.accepted_by)
    return (
        f"({literal(source)}, {literal(origin)}, {literal(topic_id)}, {number}, {found.first}, {found.end}, "
        f"{found.rows}, {found.offsets}, {batch}, {who}, SYSDATE())"
    )
