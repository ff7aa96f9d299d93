"""How far the stream has come: Spark's checkpoint is the only truth about progress.

Spark never commits to a consumer group. `offsets/N` is written before micro-batch N, `commits/N` after it; so the
offsets of the highest N in `commits/` are those up to which every record is in the lake.
"""

import json

from music_platform.errors import PlatformError
from music_platform.lake.files import Folder

#: topic → partition → offset.
Offsets = dict[str, dict[int, int]]


class CheckpointError(PlatformError):
    """The checkpoint does not read as this job's."""


def last_committed(checkpoint: str) -> int:
    """Number of the last micro-batch that the checkpoint calls committed; -1 for none."""
    return max((int(name) for name in Folder.at(f"{checkpoint}/commits").names() if name.isdigit()), default=-1)


def committed_offsets(checkpoint: str, at_least: int = -1) -> Offsets:
    """Offset behind the last committed record, by topic and partition; empty where nothing is committed yet.

    `at_least`: a micro-batch that is known to be committed although `commits/` may not say so yet.
    """
    number = max(last_committed(checkpoint), at_least)
    return parse_offsets(Folder.at(f"{checkpoint}/offsets").read(str(number)).decode()) if number >= 0 else {}


def covers(committed: Offsets, wanted: Offsets) -> bool:
    """Whether everything below the wanted offsets is committed."""
    return all(
        committed.get(topic, {}).get(number, 0) >= end for topic, ends in wanted.items() for number, end in ends.items()
    )


def parse_offsets(text: str) -> Offsets:
    """Offsets of a file in `offsets/`: a version line, a line of metadata, a line of JSON for each source."""
    version, _, *sources = text.splitlines()
    if version != "v1" or len(sources) != 1:
        raise CheckpointError(
            f"the checkpoint's offsets are of a form that is not known here: {version!r} with {len(sources)} sources. "
            "Was the checkpoint written by another job?"
        )
    return {t: {int(p): offset for p, offset in parts.items()} for t, parts in json.loads(sources[0]).items()}
