"""A process stays the same one when the clock moves, and another one is never taken for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from music_platform.process_identity import Host, started, this_host


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def test_a_step_of_the_clock_changes_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = str(this_host()), started(os.getpid())
    this_host.cache_clear()
    # psutil adds what the kernel calls the time of boot, which moves with the clock.
    monkeypatch.setattr(psutil, "boot_time", lambda: 1.0)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: 1.0)
    assert (str(this_host()), started(os.getpid())) == before


def test_a_process_that_ended_has_no_start_even_while_nobody_has_waited_for_it(
    child: "subprocess.Popen[bytes]",
) -> None:
    assert started(child.pid) is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert started(child.pid) is None
    assert started(2**22 + 1) is None


def test_a_name_with_parentheses_and_spaces_does_not_shift_the_fields(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    try:
        since_boot = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
        assert int(started(os.getpid()) or 0) <= int(started(process.pid) or 0) <= since_boot
    finally:
        process.kill()
        process.wait()


def test_a_host_is_read_as_it_was_written() -> None:
    assert Host.of(str(this_host())) == this_host()
    assert Host.of("a/1764052713") == Host("a", "1764052713", "")
    assert Host.of("a") == Host("a", "", "")
    assert all((this_host().boot, this_host().namespace))
