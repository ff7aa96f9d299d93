"""Points at which a test lets the process die by SIGKILL, as a machine that loses power would.

A point is named in the code where it stands; the setting FAILPOINT says at which one to die. Unset, a point does
nothing.
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

#: Seconds into a statement at which `during` dies: after it was sent, before an answer can be there.
DELAY_SECONDS = 0.005


def reach(point: str) -> None:
    """Die here if the settings say so. Says it on stderr first, so that a test can see that the point was hit."""
    if get_settings().failpoint == point:
        print(f"failpoint {point}: SIGKILL", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def during(point: str, delay: float = DELAY_SECONDS) -> Iterator[None]:
    """Die in the middle of what the block does."""
    if get_settings().failpoint != point:
        yield
        return

    def strike() -> None:
        time.sleep(delay)
        reach(point)

    thread = threading.Thread(target=strike)
    thread.start()
    yield
    thread.join()
