"""Fixtures of all tests. One stack serves the session: broker, Spark Connect and warehouse, started on first use."""

import signal
from collections.abc import Iterator

import pytest

from music_platform.local.stack import LocalStack
from tests.stack import forget_environment, running_stack


def pytest_configure() -> None:
    """Cut the tests off from the developer's settings, and let a terminated session take its stack down."""
    forget_environment()

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The session's stack. Tests share it, so each uses topics, a lake path and a database of its own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
