"""Real object stores on this machine for tests: an S3 server and a GCS server, built by `go install`, once."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from music_platform.environment import project_root
from music_platform.settings import LOOPBACK
from tests.support import slowdown

#: Where the servers are built to.
TOOLS = project_root() / ".tools"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
BUCKET = "lake"
#: Seconds of the reference machine within which a server answers.
PATIENCE = 30


@dataclass(frozen=True)
class Store:
    """A bucket's URL, and the variables with which clients reach it."""

    url: str
    variables: dict[str, str]


@contextmanager
def s3(folder: Path) -> Iterator[Store]:
    """versitygw over a folder."""
    port = free_port()
    (folder / BUCKET).mkdir(parents=True)
    secret = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret"}
    command = [_tool(VERSITYGW), "--access", *secret.values()]
    command.insert(3, "--secret")
    address = f"127.0.0.1:{port}"
    with _running([*command, "--port", address, "posix", str(folder)], f"http://{address}", folder):
        more = {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REGION": "us-east-1"}
        yield Store(f"s3a://{BUCKET}", secret | more)


@contextmanager
def gcs(folder: Path) -> Iterator[Store]:
    """fake-gcs-server over a folder, and Google's XML interface in front of it."""
    behind, front = free_port(), free_port()
    (folder / BUCKET).mkdir(parents=True)
    server, address = f"http://{LOOPBACK}:{behind}", f"http://{LOOPBACK}:{front}"
    command = [_tool(FAKE_GCS), "-scheme", "http", "-host", LOOPBACK, "-port", str(behind)]
    command += ["-public-host", f"{LOOPBACK}:{behind}", "-external-url", address]
    command += ["-backend", "filesystem", "-filesystem-root", str(folder), "-log-level", "warn"]
    interface = [sys.executable, "-m", "tests.support.gcs_xml", server, str(front)]
    buckets = "storage/v1/b"
    with _running(command, f"{server}/{buckets}", folder), _running(interface, f"{address}/{buckets}", folder):
        yield Store(f"gs://{BUCKET}", {"STORAGE_EMULATOR_HOST": address})


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _tool(module: str) -> str:
    """The program of a Go module; built on first use, which takes half a minute."""
    path, _, _ = module.partition("@")
    program = TOOLS / path.rsplit("/", 1)[1]
    if not program.is_file():
        subprocess.run(
            ["go", "install", module],
            env={**os.environ, "GOBIN": str(TOOLS)},
            check=True,
            timeout=slowdown.seconds(500),
        )
    return str(program)


@contextmanager
def _running(command: list[str], url: str, folder: Path) -> Iterator[None]:
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=project_root(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + slowdown.seconds(PATIENCE)
        while True:
            try:
                requests.get(url, timeout=slowdown.seconds(5))
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder.parent / f"{folder.name}.log").read_text()[-2000:]
                assert time.monotonic() < deadline, f"{command[0]} does not answer at {url}"
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(slowdown.seconds(20))
