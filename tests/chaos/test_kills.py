"""Whatever dies, and whenever: every acknowledged record is one row of the lake and one of RAW."""

import os
from collections.abc import Callable, Iterator

import pytest

from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from tests.support import harness
from tests.support.kills import Kill, at_random, named
from tests.support.stack import running_stack


@pytest.fixture(scope="module")
def chaos_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("chaos"), max_drain_seconds=1) as stack:
        provision(stack.settings)
        yield stack


#: A point that is a race with another process may be missed; then it is tried again.
TRIES = 4


def suffer(stack: LocalStack, kills: list[Kill], show: Callable[[str], None]) -> None:
    with harness.stream(stack):
        harness.await_backlog(stack)
        harness.drain(stack)
        for number, kill in enumerate(kills, 1):
            hit, tries = False, 0
            while not hit and tries < TRIES:
                tries += 1
                harness.await_backlog(stack)
                hit = kill.strike(stack)
            show(f"kill {number}/{len(kills)}: {kill.name}: {'hit' if hit else 'MISSED'} (try {tries})")
            if harness.rebuilding(stack):
                assert harness.finish(harness.start(stack, "rebuild")) == 0, harness.tail(stack)
            assert hit, f"{kill.name} was not hit in {TRIES} tries\n{harness.tail(stack)}"
    while harness.drain(stack) and harness.backlog(stack):
        pass
    records = harness.check_conservation(stack)
    show(f"{len(kills)} kills, {records:,} records: each is one row of the lake and one of RAW")


@pytest.mark.timeout(1200)  # five minutes on a machine of its own
def test_kill_9_at_any_point_loses_nothing_and_doubles_nothing(
    chaos_stack: LocalStack, show: Callable[[str], None]
) -> None:
    suffer(chaos_stack, named(), show)


@pytest.mark.long  # `make chaos SEED= KILLS=` for as many as wished
@pytest.mark.timeout(0)
def test_kills_at_random_moments(chaos_stack: LocalStack, show: Callable[[str], None]) -> None:
    suffer(chaos_stack, at_random(int(os.environ.get("SEED", "1")), int(os.environ.get("KILLS", "40"))), show)
