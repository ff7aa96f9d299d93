"""A local warehouse in a process of its own, to be stopped, killed and started again."""

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
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class LocalWarehouse:
    """The launcher's process over one folder."""

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
        """What GET /health says."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/health", timeout=5) as answer:
            return dict(json.load(answer))

    def statements(self) -> list[dict[str, str]]:
        """What GET /statements shows: the latest statements, with their query tags."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/statements", timeout=5) as answer:
            return list(json.load(answer))

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def start_again(self) -> None:
        """Start after a stop or a kill, on the same port."""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = ["--root", str(self.root), "--port", str(self.port), *self._options]
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            process = subprocess.Popen([*COMMAND, *arguments], stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the local warehouse ended with {process.returncode}: see {log.name}")
            try:
                self.health()
                return process
            except OSError:
                time.sleep(0.05)
        process.kill()
        raise TimeoutError("the local warehouse did not answer within 60 s")
