"""A service in the foreground: the code server's end waits for the batch at work, and health says why not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from music_platform.environment import MARKER
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.ingestion.disk_space import pausing, start_obstacle
from music_platform.lake.lease import held_lease, is_held_here
from music_platform.lake.paths import lease_path
from music_platform.settings import Settings
from music_platform.stack.foreground import await_batch, complaint, environment
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.services import Program
from tests.support import slowdown
from tests.support.stack import settings_for

#: A code server that is run by `run_code`, and leaves a file when it ends.
RUN = """
import sys
from pathlib import Path
from music_platform.settings import load_settings
from music_platform.stack.foreground import run_code
from music_platform.stack.services import Program

home = Path(sys.argv[1])
server = ("import signal, sys, time, pathlib\\n"
          "signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path('ended').touch(), sys.exit(0)))\\n"
          "pathlib.Path('started').touch()\\n"
          "time.sleep(600)")
program = Program("code", [sys.executable, "-c", server], home)
raise SystemExit(run_code(load_settings(), program, {}, float(sys.argv[2])))
"""


def run(home: Path, grace: float) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "MUSIC_HOME": str(home), "MUSIC_ENV_FILE": ""}
    process = subprocess.Popen([sys.executable, "-c", RUN, str(home), str(grace)], env=variables)
    slowdown.wait_for("the code server", (home / "started").exists, limit=60)
    return process


def test_the_code_server_ends_when_the_batch_at_work_is_done(tmp_path: Path) -> None:
    process = run(tmp_path, grace=slowdown.seconds(60))
    settings = settings_for(tmp_path)
    with held_lease(lease_path(settings.lake_root), 0):
        process.send_signal(signal.SIGTERM)
        slowdown.wait_for("the request", Home(tmp_path).stopping.exists, limit=30)
        time.sleep(1)
        assert not (tmp_path / "ended").exists()
        assert "about to stop" in str(start_obstacle(settings))
        assert pausing(settings, lambda _: None)()
    assert process.wait(slowdown.seconds(30)) == 0
    assert (tmp_path / "ended").exists()


def test_a_batch_that_never_ends_does_not_hold_it_for_longer_than_its_grace(tmp_path: Path) -> None:
    process = run(tmp_path, grace=1)
    with held_lease(lease_path(settings_for(tmp_path).lake_root), 0):
        process.send_signal(signal.SIGTERM)
        assert process.wait(slowdown.seconds(30)) == 0
    assert (tmp_path / "ended").exists()


def test_a_new_code_server_forgets_the_request_of_the_last_one(tmp_path: Path) -> None:
    Home(tmp_path).stopping.touch()
    process = run(tmp_path, grace=0)
    assert not Home(tmp_path).stopping.exists()
    assert start_obstacle(settings_for(tmp_path)) is None
    process.terminate()
    process.wait(slowdown.seconds(30))


def test_the_wait_ends_with_the_batch_the_server_or_the_time() -> None:
    assert await_batch(lambda: False, lambda: False, 5)
    assert not await_batch(lambda: True, lambda: True, 5)
    assert not await_batch(lambda: True, lambda: False, 0.3)


def test_only_a_living_writer_of_this_host_holds_the_lease(tmp_path: Path) -> None:
    url = lease_path(str(tmp_path))
    assert not is_held_here(url)
    with held_lease(url, 0):
        assert is_held_here(url)
    assert not is_held_here(url)


def test_an_isolated_service_gets_its_own_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    settings = settings_for(tmp_path)
    alone = environment(settings, Program("w", ["w"], tmp_path, {"A": "1"}, isolated=True))
    assert alone == {"A": "1", MARKER: str(tmp_path)}
    assert environment(settings, Program("d", ["d"], tmp_path, {"A": "1"}))["SOMETHING_ELSE"] == "1"


def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, kafka_port=1, warehouse_port=1)
    assert complaint(settings, "kafka", 0) == "nothing accepts a connection"
    assert "refused" in str(complaint(settings, "warehouse", 0))


def test_the_watch_is_healthy_while_it_looks(tmp_path: Path) -> None:
    settings, looked = settings_for(tmp_path), Home(tmp_path).looked
    assert complaint(settings, "watch", 0) == "it has not looked yet"
    looked.touch()
    assert complaint(settings, "watch", int(time.time()) - 60) is None
    os.utime(looked, (0, 0))
    assert complaint(settings, "watch", int(time.time()) - 60) == "it has not looked yet"


def test_a_service_that_is_elsewhere_cannot_be_served(tmp_path: Path) -> None:
    stack = LocalStack(Settings(_env_file=None, music_home=tmp_path, kafka_bootstrap_servers="b:9092"))
    with pytest.raises(LocalStackError, match="kafka is not a service of this platform"):
        stack.program("kafka")
