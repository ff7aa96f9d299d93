"""Points at which a test kills the process with SIGKILL, as a power loss would.

Each point has a name. The setting FAILPOINT selects the one to die at; unset, all points do nothing.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from music_platform.settings import get_settings

AFTER_LAKE_COMMIT = "after-lake-commit"
INSIDE_MICRO_BATCH = "inside-micro-batch"
INSIDE_FILE_BATCH = "inside-file-batch"
AFTER_FILE_BATCH = "after-file-batch"
INSIDE_PUT = "inside-put"
AFTER_COPY = "after-copy"
BEFORE_COMMIT = "before-commit"
AFTER_COMMIT = "after-commit"
INSIDE_COMPACTION = "inside-compaction"
REBUILD_INTENT = "rebuild-after-intent"
REBUILD_COPIED = "rebuild-after-copy"
REBUILD_SWAPPED = "rebuild-after-swap"

#: Seconds into a statement at which `during` dies: after it was sent, before an answer can arrive.
DELAY_SECONDS = 0.005


def reach(point: str) -> None:
    """Die here if FAILPOINT names this point. Prints to stderr first, so that a test sees that the point was hit."""
    if get_settings().failpoint == point:
        print(f"failpoint {point}: SIGKILL", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def during(point: str, delay: float = DELAY_SECONDS) -> Iterator[None]:
    """Die in the middle of the block."""
    if get_settings().failpoint != point:
        yield
        return

    def die() -> None:
        time.sleep(delay)
        reach(point)

    thread = threading.Thread(target=die)
    thread.start()
    yield
    thread.join()
