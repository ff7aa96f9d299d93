"""The kills, each with a check that it hit."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from music_platform import failpoints
from music_platform.lake.progress import read_progress
from music_platform.stack.local_stack import LocalStack
from tests.support import slowdown
from tests.support.harness import committed_batch, finish, lake_version, start, tail, watching

SIGKILLED = -9


@dataclass(frozen=True)
class Kill:
    """A kill by name. `strike` returns whether the point was hit."""

    name: str
    strike: Callable[[LocalStack], bool]


def at_failpoint(point: str, what: str = "drain") -> Kill:
    """The process dies at a named point of the code."""

    def strike(stack: LocalStack) -> bool:
        code = finish(start(stack, what, point))
        assert code in (SIGKILLED, 0), tail(stack)
        return code == SIGKILLED

    return Kill(point, strike)


def _kill_while(stack: LocalStack, service: str, condition: Callable[[], bool]) -> bool:
    with watching(condition, lambda: stack.kill(service)) as hit:
        finish(start(stack))
    stack.await_ready({service})
    return bool(hit)


def before_checkpoint_commit(stack: LocalStack) -> bool:
    """The Spark server dies between Delta's commit of a micro-batch and its `commits/N`."""
    version, batch = lake_version(stack), committed_batch(stack)
    hit = _kill_while(stack, "spark", lambda: lake_version(stack) > version)
    return hit and lake_version(stack) > version and committed_batch(stack) == batch


def before_lake_commit(stack: LocalStack) -> bool:
    """The Spark server dies when a micro-batch is planned but not in the table yet."""
    from music_platform.lake.files import Folder

    folder, planned = Folder.at(f"{read_progress(stack.settings.lake_root).checkpoint}/offsets"), committed_batch(stack)
    version = lake_version(stack)
    hit = _kill_while(stack, "spark", lambda: str(planned + 1) in folder.names())
    return hit and lake_version(stack) == version


def service_after(service: str, seconds: float) -> Kill:
    """A whole service dies some time into a run."""

    def strike(stack: LocalStack) -> bool:
        run = start(stack)
        time.sleep(slowdown.seconds(seconds))
        stack.kill(service)
        finish(run)
        stack.await_ready({service})
        return True

    return Kill(f"{service} after {seconds:.1f} s", strike)


def process_after(seconds: float) -> Kill:
    """The run's process dies at some moment; its query in the Spark server continues."""

    def strike(stack: LocalStack) -> bool:
        run = start(stack)
        time.sleep(slowdown.seconds(seconds))
        run.kill()
        return finish(run) in (SIGKILLED, 0)

    return Kill(f"process after {seconds:.1f} s", strike)


def named() -> list[Kill]:
    """Every named point, and every service, once or twice."""
    inside = [
        failpoints.INSIDE_MICRO_BATCH, failpoints.AFTER_LAKE_COMMIT, failpoints.INSIDE_PUT, failpoints.AFTER_COPY,
        failpoints.BEFORE_COMMIT, failpoints.AFTER_COMMIT,
    ]  # fmt: skip
    rebuilding = [failpoints.REBUILD_INTENT, failpoints.REBUILD_COPIED, failpoints.REBUILD_SWAPPED]
    return [
        *(at_failpoint(point) for point in inside),
        Kill("before-checkpoint-commit", before_checkpoint_commit),
        Kill("before-lake-commit", before_lake_commit),
        at_failpoint(failpoints.INSIDE_COMPACTION, "maintain"),
        *(at_failpoint(point, "rebuild") for point in rebuilding),
        service_after("kafka", 0.3),
        service_after("spark", 1.0),
        service_after("warehouse", 0.2),
        service_after("warehouse", 2.0),
        process_after(0.5),
        process_after(1.2),
        process_after(1.8),
        process_after(2.4),
        process_after(3.0),
    ]


def at_random(seed: int, count: int) -> list[Kill]:
    """Kills at random moments, the same for the same seed."""
    chance = random.Random(seed)
    kills: list[Kill] = []
    for _ in range(count):
        victim = chance.choice(["process", "process", "process", "point", "kafka", "spark", "warehouse"])
        if victim == "process":
            kills.append(process_after(chance.uniform(0.1, 4)))
        elif victim == "point":
            kills.append(chance.choice(named()[:12]))
        else:
            kills.append(service_after(victim, chance.uniform(0, 3)))
    return kills
