"""How far the stream has read. Spark's checkpoint is the only source of truth for progress.

Spark never commits to a consumer group. It writes `offsets/N` before micro-batch N and `commits/N` after it, so every
record below the offsets of the highest N in `commits/` is in the lake.
"""

import json

from music_platform.errors import PlatformError
from music_platform.lake.files import Folder

#: topic → partition → offset.
Offsets = dict[str, dict[int, int]]


class CheckpointError(PlatformError):
    """The checkpoint was not written by this job."""


def last_committed(checkpoint: str) -> int:
    """Number of the last micro-batch that the checkpoint marks as committed; -1 if none."""
    return max((int(name) for name in Folder.at(f"{checkpoint}/commits").names() if name.isdigit()), default=-1)


def committed_offsets(checkpoint: str, at_least: int = -1) -> Offsets:
    """Offset after the last committed record, by topic and partition. Empty if nothing is committed yet.

    `at_least`: a micro-batch known to be committed, even if `commits/` does not say so yet.
    """
    number = max(last_committed(checkpoint), at_least)
    return parse_offsets(Folder.at(f"{checkpoint}/offsets").read(str(number)).decode()) if number >= 0 else {}


def covers(committed: Offsets, wanted: Offsets) -> bool:
    """Whether every record below the wanted offsets is committed."""
    return all(
        committed.get(topic, {}).get(number, 0) >= end for topic, ends in wanted.items() for number, end in ends.items()
    )


def parse_offsets(text: str) -> Offsets:
    """Offsets in a file of `offsets/`: a version line, a metadata line, then a line of JSON per source."""
    version, _, *sources = text.splitlines()
    if version != "v1" or len(sources) != 1:
        raise CheckpointError(
            f"the checkpoint's offsets have an unknown format: version {version!r} with {len(sources)} sources. Was "
            "the checkpoint written by another job?"
        )
    return {t: {int(p): offset for p, offset in parts.items()} for t, parts in json.loads(sources[0]).items()}
