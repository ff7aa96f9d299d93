"""The folders and files of a home. Only the functions about sockets touch the disk."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from music_platform.errors import PlatformError

#: A unix socket's path may have 104 bytes on macOS and 108 on Linux; supervisord adds its process id while it binds.
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
        """The first broker's configuration and records, and the certificates of all."""
        return self.root / "kafka"

    def broker(self, node: int) -> Path:
        """The configuration and records of a broker, by its node id."""
        return self.kafka if node == 1 else self.root / f"kafka-{node}"

    @property
    def spark(self) -> Path:
        """Spark's configuration and scratch space."""
        return self.root / "spark"

    @property
    def spark_cluster(self) -> Path:
        """The standalone cluster: the master's state, and a folder for each worker."""
        return self.root / "spark-cluster"

    @property
    def reference(self) -> Path:
        """Reference data for the local Spark's workers (music_spark/enrich.py)."""
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
        """Supervisord's configuration."""
        return self.root / "supervisor.conf"

    @property
    def supervisor_pid(self) -> Path:
        """File with the process id of supervisord."""
        return self.root / "supervisord.pid"

    @property
    def format(self) -> Path:
        """File with the version of the home's layout."""
        return self.root / "format.json"

    @property
    def looked(self) -> Path:
        """File whose time is that of the watch's last look."""
        return self.root / "watch-looked"

    @property
    def changed(self) -> Path:
        """File whose time is that of the latest change of the marts or their checks."""
        return self.root / "marts-changed"

    @property
    def stopping(self) -> Path:
        """File that is there while the code server is about to stop: runs finish their batch and start no other."""
        return self.root / "stopping"

    @property
    def lock(self) -> Path:
        """Lock file, held while `up` or `down` changes the home."""
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

    @property
    def shared_sockets(self) -> Path | None:
        """The folder of the sockets where they are not in the home, whose path is too long for them."""
        return None if self.socket.parent == self.root else self.socket.parent

    def _socket(self, name: str) -> Path:
        """A socket in the home, or, if that path is too long for one, in a folder of this user."""
        wanted = self.root / f"{name}.sock"
        if len(os.fsencode(wanted)) <= _LONGEST_SOCKET:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return private_folder() / f"{digest}-{name}.sock"

    def parts(self) -> dict[str, Path]:
        """What takes disk space, by name; for `doctor`."""
        names = (
            "kafka",
            "kafka-2",
            "kafka-3",
            "spark",
            "spark-cluster",
            "lake",
            "intake",
            "warehouse",
            "dagster",
            "dbt",
            "reference",
            "logs",
        )
        return {name: self.root / name for name in names}


def private_folder() -> Path:
    """A folder for this user's sockets, outside any home. Another user could bind a name in the temp folder first."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "music-platform" if runtime else Path(tempfile.gettempdir()) / f"music-{os.getuid()}"


def make_socket_folder(home: Home) -> None:
    """Create the folder of the home's sockets, readable by this user only. Raises as `require_own_sockets`."""
    if (folder := home.shared_sockets) is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_own_sockets(home)
        folder.chmod(0o700)


def require_own_sockets(home: Home) -> None:
    """Raise PlatformError if the folder of the home's sockets is not this user's: whoever owns it owns the sockets."""
    if (folder := home.shared_sockets) is None:
        return
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PlatformError(
            f"{folder} is not this user's folder, so sockets in it cannot be trusted. Remove it, or use a home with a "
            "shorter path: MUSIC_HOME=/short/path"
        )
