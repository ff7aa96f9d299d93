"""Backlog: what has been produced but has not arrived yet, for each stage of an event's path.

Kafka → lake: end offsets − offsets of the last committed micro-batch. Files → lake: files waiting in the intake.
Lake → RAW: versions of the lake table after the loaded one. RAW → marts: versions after the one that the last build
covers.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from music_platform.contracts.events import EARLIEST_TS
from music_platform.ingestion.gaps import ahead_of_broker, read_trouble, recreated
from music_platform.ingestion.intake import waiting
from music_platform.ingestion.waiting import Seen, look
from music_platform.lake.checkpoint import CheckpointError, Offsets
from music_platform.lake.delta_log import DeltaLogError, DeltaTable, Version
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress, read_progress
from music_platform.settings import Settings
from music_platform.topics import TopicOffsets, high_watermarks, readable_offsets, timestamps_at, topic_names
from music_platform.warehouse.schema import BUILDS, LOADS

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


#: Versions of the lake that a look counts; of more, the first. Each is a file that every tick reads, and where the
#: warehouse is away for two days there are tens of thousands.
COUNTED_VERSIONS = 200


@dataclass(frozen=True)
class Backlog:
    """Backlog of one stage: records that have not arrived, in total and by topic, folder or version (`behind`)."""

    records: int
    behind: dict[str, int]
    #: Age of the oldest record that has not arrived, by its Kafka timestamp; 0 if there is none or it was not computed.
    seconds: float = 0.0
    #: Whether only the first of it was counted; see COUNTED_VERSIONS.
    is_more: bool = False
    #: Why the stage cannot be measured; None if it can. A run has to find out, and stops with a sentence if it cannot.
    unknown: str | None = None

    @property
    def count(self) -> str:
        """The number of records, for people."""
        return f"more than {self.records:,}" if self.is_more else f"{self.records:,}"


def kafka_backlog(offsets: TopicOffsets, committed: Offsets) -> Backlog:
    """Records between the committed offsets and the end, by topic. A topic that ends before them is unknown."""
    behind: dict[str, int] = {}
    for topic, ends in offsets.end.items():
        done = committed.get(topic, {})
        first = offsets.first[topic]
        behind[topic] = sum(max(0, end - done.get(number, first[number])) for number, end in ends.items())
    short = ", ".join(ahead_of_broker(committed, offsets.end, offsets.end))
    return Backlog(sum(behind.values()), behind, unknown=f"the broker lacks what was read: {short}" if short else None)


def read_files_backlog(settings: Settings) -> Backlog:
    """Files waiting in the intake, by folder. The age is that of the oldest, by its modification time."""
    found = waiting(settings)
    behind = dict(Counter(folder for folder, _ in found))
    return Backlog(len(found), behind, _age(_said_by_producers(file.modified_ms for _, file in found)))


def unread_from(progress: Progress, offsets: TopicOffsets) -> Offsets:
    """The committed offsets. A topic that was created again counts as unread, so that a run notices it; and so does
    everything while the checkpoint cannot be read."""
    new_topics = recreated(progress.topic_ids, offsets.ids)
    try:
        committed = progress.read_up_to()
    except CheckpointError:
        return {}
    return {topic: parts for topic, parts in committed.items() if topic not in new_topics}


def lake_backlog(table: DeltaTable, loaded: int) -> Backlog:
    """Records in versions after the loaded one, by version.

    `loaded` may be Dagster's last word, which is older than the warehouse's own if Dagster's store was restored or
    wiped. Where the log does not reach back to it, the stage is unknown: only the loader asks OPS.LOAD_STATE.
    """
    latest = table.latest_version()
    if loaded > latest:
        return Backlog(0, {}, unknown=f"RAW was loaded up to version {loaded}, but the lake ends at {latest}")
    if not table.reaches_back_to(loaded):
        begins = table.earliest_version()
        return Backlog(0, {}, unknown=f"the last recorded load is {loaded}, but the lake's log begins at {begins}")
    try:
        behind = {str(version.number): version.rows for version in _first(table, loaded) if version.rows}
    except DeltaLogError:
        return Backlog(0, {}, unknown=f"the lake's log after version {loaded} is not one of plain appends")
    is_more = latest - loaded > COUNTED_VERSIONS
    unknown = f"{latest - loaded:,} versions of the lake are not in RAW" if is_more and not behind else None
    return Backlog(sum(behind.values()), behind, is_more=is_more, unknown=unknown)


def _first(table: DeltaTable, above: int, upto: int | None = None) -> list[Version]:
    """The first versions after `above` of those that the log still has, COUNTED_VERSIONS at most."""
    return list(islice(table.retained_after(above, upto), COUNTED_VERSIONS))


def read_kafka_backlog(settings: Settings) -> tuple[TopicOffsets, Backlog]:
    """The topics' offsets and the current backlog of the first stage, of the topics that can be read.

    Raises BrokerUnreachableError where the brokers do not answer.
    """
    offsets = readable_offsets(settings.kafka_client_config(), topic_names(settings).values())
    unreadable = " ".join(str(trouble) for _, trouble in sorted(offsets.troubles.items()))
    try:
        progress = read_progress(settings.lake_root)
    except CheckpointError as error:
        return offsets, Backlog(0, dict.fromkeys(offsets.end, 0), unknown=unreadable or str(error))
    backlog = kafka_backlog(offsets, unread_from(progress, offsets))
    trouble = read_trouble(progress, DeltaTable(events_path(settings.lake_root)))
    return offsets, replace(backlog, unknown=unreadable or trouble or backlog.unknown)


def read_lake_backlog(settings: Settings, loaded: int) -> Backlog:
    """The current backlog of the second stage."""
    return lake_backlog(DeltaTable(events_path(settings.lake_root)), loaded)


def read_marts_backlog(settings: Settings, built: int, loaded: int) -> Backlog:
    """The backlog of the third stage from the lake's log, without the warehouse: rows of the versions after `built` up
    to `loaded`, and the age of the oldest. Versions that were cleaned from the log are not counted."""
    table = DeltaTable(events_path(settings.lake_root))
    found = _first(table, built, loaded)
    versions = [version for version in found if version.rows]
    behind = {str(version.number): version.rows for version in versions}
    is_more = bool(found) and found[-1].number < loaded
    return Backlog(
        sum(behind.values()), behind, _age(v.oldest_ms for v in versions if v.oldest_ms is not None), is_more
    )


def kafka_age(settings: Settings, offsets: TopicOffsets) -> float:
    """Age in seconds of the oldest record that is in no micro-batch yet. Reads one record from each partition with a
    backlog."""
    committed = unread_from(read_progress(settings.lake_root), offsets)
    unread = {
        topic: {
            number: max(committed.get(topic, {}).get(number, 0), offsets.first[topic][number])
            for number, end in ends.items()
            if end > max(committed.get(topic, {}).get(number, 0), offsets.first[topic][number])
        }
        for topic, ends in offsets.end.items()
    }
    return _age(_said_by_producers(timestamps_at(settings.kafka_client_config(), unread)))


def lake_age(settings: Settings, above: int, upto: int | None = None) -> float:
    """Age in seconds of the oldest record in versions after `above` (and up to `upto`), from Delta's statistics."""
    table = DeltaTable(events_path(settings.lake_root))
    return _age([v.oldest_ms for v in _first(table, above, upto) if v.oldest_ms is not None])


def oldest_unloaded_commit(settings: Settings, loaded: int) -> float | None:
    """When the first version with rows after `loaded` was committed to the lake, in epoch seconds; None without one."""
    table = DeltaTable(events_path(settings.lake_root))
    return min((version.timestamp_ms / 1000 for version in _first(table, loaded) if version.rows), default=None)


def look_at_kafka(settings: Settings, seen: Seen, offsets: TopicOffsets, now: float) -> Seen:
    """What is seen now of the partitions. Asks the brokers for the high watermarks."""
    committed = unread_from(read_progress(settings.lake_root), offsets)
    high = high_watermarks(settings.kafka_client_config(), offsets)
    return look(seen, offsets.first, offsets.end, committed, high, now)


def _age(timestamps_ms: Iterable[int]) -> float:
    oldest = min(timestamps_ms, default=None)
    return 0.0 if oldest is None else round(max(0.0, time.time() - oldest / 1000), 1)


def _said_by_producers(timestamps_ms: Iterable[int]) -> list[int]:
    """Without times before 2005: they are a producer's mistake, and no age."""
    return [timestamp for timestamp in timestamps_ms if timestamp >= EARLIEST_TS]


def built_version(session: "SnowflakeConnection") -> int:
    """Version of the lake table that the last build of `silver.events` covers; -1 if there is none."""
    cursor = session.cursor()
    cursor.execute(f"SELECT COALESCE(MAX(version), -1) FROM {BUILDS} WHERE model = 'events' AND built_at IS NOT NULL")
    row: Any = cursor.fetchone()
    return int(row[0])


def marts_backlog(session: "SnowflakeConnection") -> Backlog:
    """Rows of RAW after the version that the last build of `silver.events` covers, by version."""
    cursor = session.cursor()
    cursor.execute(
        f"SELECT version, row_count FROM {LOADS} WHERE row_count > 0 AND version > {built_version(session)} ORDER BY 1"
    )
    rows: Any = cursor.fetchall()
    behind = {str(version): int(count) for version, count in rows}
    return Backlog(sum(behind.values()), behind)
