"""Fixtures of all tests. One stack serves the session: broker, Spark Connect and warehouse, started on first use."""

import signal
import sys
from collections.abc import Callable, Generator, Iterator

import pytest

from music_platform.stack.local_stack import LocalStack
from tests.support import slowdown
from tests.support.guard import guard_this_process
from tests.support.stack import forget_environment, running_stack


def pytest_configure() -> None:
    """Isolate the tests from the developer's settings, and leave no process behind, however the session ends."""
    forget_environment()
    guard_this_process()
    slowdown.factor()

    # SIGINT too: a shell's `&` has it ignored, which children inherit, and then Dagster's code server ignores SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def pytest_report_header() -> str:
    """Show what the tests' limits in seconds are multiplied by."""
    return f"slowdown: {slowdown.factor():.2f} (tests/support/slowdown.py)"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give the test more time on a slow machine, by what is known of it when the test begins. A `--timeout` of the
    command line is taken as it is."""
    mark = item.get_closest_marker("timeout")
    if mark is not None or item.config.getoption("timeout") is None:
        limit = float(mark.args[0] if mark else item.config.getini("timeout") or 0)
        item.add_marker(pytest.mark.timeout(slowdown.seconds(limit)), append=False)
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat the lines that tests have shown, in one piece: worker processes have no terminal."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if lines := [str(value) for name, value in report.user_properties if name == SHOWN]:
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line("\n".join(lines))


SHOWN = "shown"


@pytest.fixture
def show(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show a line in the terminal, at once and in the summary."""

    def say(line: str) -> None:
        record_property(SHOWN, line)
        with capsys.disabled():
            print(f"\n  {line}", end="", file=sys.stderr, flush=True)

    return say


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The session's stack. Tests share it, so each uses its own topics, lake path and database."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
