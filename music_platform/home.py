"""Where the local stack keeps what under a home. Names only: nothing here touches the disk."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: A unix socket's path has 104 bytes on macOS and 108 on Linux; supervisord adds its process id while it binds.
_LONGEST_SOCKET = 90


@dataclass(frozen=True)
class Home:
    """The folders and files of one home."""

    root: Path

    @property
    def logs(self) -> Path:
        """One bounded, rotated log per service."""
        return self.root / "logs"

    def log_of(self, service: str) -> Path:
        """The service's log."""
        return self.logs / f"{service}.log"

    @property
    def kafka(self) -> Path:
        """The broker's configuration and records."""
        return self.root / "kafka"

    @property
    def spark(self) -> Path:
        """Spark's configuration and scratch space."""
        return self.root / "spark"

    @property
    def reference(self) -> Path:
        """Reference data for the workers of the local Spark (spark/enrich.py)."""
        return self.spark / "reference"

    @property
    def warehouse(self) -> Path:
        """The local warehouse's databases and stages."""
        return self.root / "warehouse"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: the instance's configuration, runs, events and schedules."""
        return self.root / "dagster"

    @property
    def dbt(self) -> Path:
        """dbt's manifest, and in a folder for each invocation what it compiled and logged."""
        return self.root / "dbt"

    @property
    def dbt_target(self) -> Path:
        """dbt's target path, DBT_TARGET_PATH."""
        return self.dbt / "target"

    @property
    def dbt_logs(self) -> Path:
        """dbt's log path, DBT_LOG_PATH, where no invocation has a folder of its own."""
        return self.dbt / "logs"

    @property
    def dbt_manifest(self) -> Path:
        """The manifest from which the code location is made."""
        return self.dbt_target / "manifest.json"

    @property
    def supervisor_conf(self) -> Path:
        """The configuration that supervisord reads."""
        return self.root / "supervisor.conf"

    @property
    def supervisor_pid(self) -> Path:
        """File with the process id of supervisord."""
        return self.root / "supervisord.pid"

    @property
    def format(self) -> Path:
        """File that says which version of the platform's layout the home has."""
        return self.root / "format.json"

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` changes the home."""
        return self.root / "stack.lock"

    @property
    def workspace(self) -> Path:
        """Where webserver and daemon find the code server."""
        return self.dagster / "workspace.yaml"

    @property
    def socket(self) -> Path:
        """Supervisord's socket."""
        return self._socket("supervisor")

    @property
    def code_socket(self) -> Path:
        """The code server's socket."""
        return self._socket("code")

    def _socket(self, name: str) -> Path:
        """A socket in the home, or in the temp folder where that path is too long for one."""
        wanted = self.root / f"{name}.sock"
        if len(os.fsencode(wanted)) <= _LONGEST_SOCKET:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"music-{digest}-{name}.sock"

    def parts(self) -> dict[str, Path]:
        """What takes disk space, by name; for `doctor`."""
        names = ("kafka", "spark", "lake", "intake", "warehouse", "dagster", "dbt", "reference", "logs")
        return {name: self.root / name for name in names}
