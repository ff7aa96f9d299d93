"""The sockets of a home whose path is too long for one."""

import os
import stat
from pathlib import Path

import pytest

from music_platform import home
from music_platform.errors import PlatformError
from music_platform.stack.supervision import Supervisor


def test_sockets_of_a_long_path_are_in_a_folder_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    short, long = home.Home(Path("/h")), home.Home(Path("/h") / ("x" * 200))
    assert short.socket == Path("/h/supervisor.sock")
    assert long.socket.parent == long.code_socket.parent == home.private_folder()
    before = os.umask(0)
    try:
        home.make_socket_folder(long)
    finally:
        os.umask(before)
    assert stat.S_IMODE(long.socket.parent.stat().st_mode) == 0o700


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "music-platform").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlatformError, match="not this user's folder"):
        home.make_socket_folder(home.Home(Path("/h") / ("x" * 200)))
    # Not below tmp_path: under several workers, its own path is too long for a socket.
    home.make_socket_folder(home.Home(Path("/h")))
    assert not Path("/h").exists(), "its sockets are in the home: there is nothing to make"


def test_nothing_is_said_to_a_socket_in_a_folder_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    supervisor = Supervisor(home.Home(tmp_path / ("deep" * 30)))
    assert supervisor.states() == {}, "a folder that is not there is nobody's"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "music-platform").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlatformError, match="cannot be trusted"):
        supervisor.states()
