"""A local warehouse in its own process, which tests can stop, kill and restart."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import snowflake.connector
from snowflake.connector import SnowflakeConnection

LOOPBACK = "127.0.0.1"
COMMAND = (sys.executable, "-m", "snowflake_local")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class LocalWarehouse:
    """A process that serves one folder."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.port = free_port()
        self._options = options
        self.process = self._start()

    def connect(self, **settings: Any) -> SnowflakeConnection:
        """A client's connection."""
        return snowflake.connector.connect(
            host=LOOPBACK, port=self.port, protocol="http", account="local", user="anybody", password="any", **settings
        )

    def health(self) -> dict[str, Any]:
        """The answer of GET /health."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/health", timeout=5) as answer:
            return dict(json.load(answer))

    def statements(self) -> list[dict[str, str]]:
        """The answer of GET /statements: the latest statements with their query tags."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/statements", timeout=5) as answer:
            return list(json.load(answer))

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def start_again(self) -> None:
        """Restart on the same port, after a stop or a kill."""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = ["--root", str(self.root), "--port", str(self.port), *self._options]
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            process = subprocess.Popen([*COMMAND, *arguments], stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the local warehouse exited with {process.returncode}: see {log.name}")
            try:
                self.health()
                return process
            except OSError:
                time.sleep(0.05)
        process.kill()
        raise TimeoutError("the local warehouse did not answer within 60 s")
