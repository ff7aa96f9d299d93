"""How far the stream has read. Spark's checkpoint is the only source of truth for progress.

Spark never commits to a consumer group. It writes `offsets/N` before micro-batch N and `commits/N` after it, so every
record below the offsets of the highest N in `commits/` is in the lake.
"""

import json
from dataclasses import dataclass

from music_platform.errors import PlatformError
from music_platform.lake.files import Folder

#: topic → partition → offset.
Offsets = dict[str, dict[int, int]]


class CheckpointError(PlatformError):
    """The checkpoint is damaged, or was not written by this job."""


@dataclass(frozen=True)
class CheckpointState:
    """What a checkpoint says: the id of its query (None if there is no checkpoint), the last committed micro-batch, and
    the last planned one, whose offsets are written down. They differ while a micro-batch is in progress."""

    query: str | None = None
    committed: int = -1
    planned: int = -1
    #: The file that cannot be read, if there is one, such as an empty file after a power failure.
    damaged: str | None = None


def read_checkpoint(checkpoint: str) -> CheckpointState:
    """The state of a checkpoint."""
    try:
        query = query_id(checkpoint)
    except CheckpointError:
        return CheckpointState(damaged="metadata")
    committed = planned = last_committed(checkpoint)
    try:
        initial_offsets(checkpoint)
    except (CheckpointError, ValueError):
        return CheckpointState(query, committed, planned, "sources/0/0")
    wanted = [f"commits/{committed}", f"offsets/{committed}"] if committed >= 0 else []
    for file in [*wanted, f"offsets/{committed + 1}"]:
        try:
            text = Folder.at(checkpoint).read(file).decode()
            if file.startswith("offsets"):
                parse_offsets(text)
            elif not text.startswith("v1"):
                return CheckpointState(query, committed, planned, file)
        except FileNotFoundError:
            if file in wanted:
                return CheckpointState(query, committed, planned, file)
        except (CheckpointError, ValueError):
            return CheckpointState(query, committed, planned, file)
        else:
            planned = int(file.rpartition("/")[2])
    return CheckpointState(query, committed, planned)


def query_id(checkpoint: str) -> str | None:
    """Id of the query that wrote a checkpoint; None if there is no checkpoint."""
    try:
        return str(json.loads(Folder.at(checkpoint).read("metadata"))["id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{checkpoint}/metadata cannot be read: the checkpoint is damaged.") from None


def last_committed(checkpoint: str) -> int:
    """Number of the last micro-batch that the checkpoint marks as committed; -1 if none."""
    return max((int(name) for name in Folder.at(f"{checkpoint}/commits").names() if name.isdigit()), default=-1)


def committed_offsets(checkpoint: str, at_least: int = -1) -> Offsets:
    """Offset after the last committed record, by topic and partition. Empty if nothing is committed yet.

    `at_least`: a micro-batch known to be committed, even if `commits/` does not say so yet.
    """
    number = max(last_committed(checkpoint), at_least)
    if number < 0:
        return {}
    try:
        return parse_offsets(Folder.at(f"{checkpoint}/offsets").read(str(number)).decode())
    except FileNotFoundError:
        raise CheckpointError(f"{checkpoint}/offsets/{number} is missing: the checkpoint is damaged.") from None


def initial_offsets(checkpoint: str) -> Offsets:
    """Where the checkpoint's first micro-batch began, by topic and partition. Empty if it has not been planned yet."""
    try:
        text = Folder.at(f"{checkpoint}/sources/0").read("0").decode()
    except FileNotFoundError:
        return {}
    # Spark puts a zero byte before the version.
    version, _, offsets = text.lstrip("\0").partition("\n")
    if version != "v1":
        raise CheckpointError(f"{checkpoint}/sources/0/0 cannot be read: the checkpoint is damaged.")
    return _by_partition(offsets)


def covers(committed: Offsets, wanted: Offsets) -> bool:
    """Whether every record below the wanted offsets is committed."""
    return all(
        committed.get(topic, {}).get(number, 0) >= end for topic, ends in wanted.items() for number, end in ends.items()
    )


def parse_offsets(text: str) -> Offsets:
    """Offsets in a file of `offsets/`: a version line, a metadata line, then a line of JSON per source."""
    version, *rest = text.splitlines() or [""]
    sources = rest[1:]
    if version != "v1" or len(sources) != 1:
        raise CheckpointError(
            f"the checkpoint's offsets have an unknown format: version {version!r} with {len(sources)} sources. Was "
            "the checkpoint written by another job?"
        )
    return _by_partition(sources[0])


def _by_partition(text: str) -> Offsets:
    return {t: {int(p): offset for p, offset in parts.items()} for t, parts in json.loads(text).items()}
