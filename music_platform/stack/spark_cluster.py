"""The local standalone Spark cluster: a master and two workers, all bound to loopback.

Its workers start as on a machine of their own: with a clean environment, in their own folder, and without the checkout
on Python's path. What the job needs there travels with it as an archive; third-party packages and jars are installed.
"""

import base64
import hashlib
import hmac
import json
import shutil
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

from music_platform.home import Home
from music_platform.settings import LOOPBACK, Settings
from music_platform.stack.executor_probe import code_digest
from music_platform.stack.jars import jar_paths, pyspark_home, spark_sets
from music_platform.stack.java import LOG4J_CONFIG, Java

WORKERS = (1, 2)
#: Heap of the master and of each worker, which only start and watch other processes.
DAEMON_HEAP = "256m"
#: Packages of this project that the job imports on an executor.
PACKAGES = ("music_platform", "music_spark")
#: Folder in which each executor unpacks the archive.
UNPACKED = "music"
#: Seconds without a heartbeat after which the master gives up a worker.
WORKER_TIMEOUT_SECONDS = 30


def cores_per_worker(settings: Settings) -> int:
    """Cores of each worker, at least one."""
    return max(1, settings.spark_cores // len(WORKERS))


def worker_port(number: int) -> str:
    """The setting that holds a worker's port."""
    return f"spark_worker_{number}_port"


def master_url(settings: Settings) -> str:
    """Where workers and the Connect server find the master."""
    return f"spark://{LOOPBACK}:{settings.spark_master_port}"


def folder_of(settings: Settings, worker: int | None) -> Path:
    """The folder of a worker; of the master if `worker` is None."""
    return Home(settings.home).spark_cluster / ("master" if worker is None else f"worker-{worker}")


def daemon_conf(settings: Settings) -> dict[str, str]:
    """Spark's settings of the master and the workers."""
    return {
        **authentication(settings),
        # A new master takes over the workers and the application of the one that died.
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(folder_of(settings, None) / "recovery"),
        # However often executors die, the application keeps getting new ones.
        "spark.deploy.maxExecutorRetries": "-1",
        "spark.worker.timeout": str(WORKER_TIMEOUT_SECONDS),
        "spark.master.rest.enabled": "false",
        # The web pages show the settings of every application, so they require a signed token.
        "spark.ui.filters": "org.apache.spark.ui.JWSFilter",
        "spark.org.apache.spark.ui.JWSFilter.param.secretKey": _ui_key(settings),
        "spark.ui.killEnabled": "false",
        "spark.master.ui.decommission.allow.mode": "DENY",
        "spark.worker.cleanup.enabled": "true",
        "spark.executor.logs.rolling.strategy": "size",
        "spark.executor.logs.rolling.maxSize": str(10 << 20),
        "spark.executor.logs.rolling.maxRetainedFiles": "2",
    }


def application_conf(settings: Settings) -> dict[str, str]:
    """What the Connect server adds to its settings to run its tasks on the cluster."""
    class_path = ":".join(str(path) for path in jar_paths(settings, *spark_sets(settings)))
    archive = archive_path(settings)
    return {
        **authentication(settings),
        "spark.master": master_url(settings),
        "spark.executor.cores": str(cores_per_worker(settings)),
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.executor.extraJavaOptions": (
            f'"-Dlog4j2.configurationFile={_log4j(settings)}" -XX:+ExitOnOutOfMemoryError {settings.jvm_options}'
        ),
        # On the class path, where an executor finds them at once. With `spark.jars` each one would fetch its own copy.
        "spark.driver.extraClassPath": class_path,
        "spark.executor.extraClassPath": class_path,
        "spark.archives": f"{archive}#{UNPACKED}",
        # A Connect session's Python starts in a folder of its own, below the executor's. Installed packages are found
        # in their folders, but the .pth files there, which add the checkout, are not read.
        "spark.executorEnv.PYTHONPATH": ":".join([UNPACKED, f"../{UNPACKED}", *installed()]),
        # A worker that dies takes its task with it, through no fault of the task.
        "spark.task.maxFailures": "10",
    }


def authentication(settings: Settings) -> dict[str, str]:
    """The secret that master, workers, driver and executors require from each other, derived from the home's.

    It is in files that only this user can read: a worker's environment is clean, and command lines are seen by all.
    """
    return {"spark.authenticate": "true", "spark.authenticate.secret": _derived(settings, "cluster").hex()}


def environment(settings: Settings, java: Java) -> dict[str, str]:
    """The whole environment of the master and of a worker, which executors inherit."""
    return {
        "JAVA_HOME": str(java.home),
        "SPARK_HOME": str(pyspark_home()),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": DAEMON_HEAP,
        "SPARK_DAEMON_JAVA_OPTS": f'"-Dlog4j2.configurationFile={_log4j(settings)}" {settings.jvm_options}'.strip(),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }


def python() -> str:
    """The Python of the executors: the one under the venv, which knows nothing of the checkout."""
    found = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return str(found) if found.is_file() else sys.executable


def master_command(settings: Settings) -> list[str]:
    """The master's command line."""
    arguments = ["--port", str(settings.spark_master_port), "--webui-port", str(settings.spark_master_ui_port)]
    return _command(settings, "org.apache.spark.deploy.master.Master", arguments)


def worker_command(settings: Settings, number: int) -> list[str]:
    """A worker's command line."""
    arguments = ["--port", str(getattr(settings, worker_port(number))), "--webui-port", "0"]
    arguments += ["--cores", str(cores_per_worker(settings)), "--memory", settings.spark_executor_memory]
    arguments += ["--work-dir", str(folder_of(settings, number) / "work")]
    return [*_command(settings, "org.apache.spark.deploy.worker.Worker", arguments), master_url(settings)]


def _command(settings: Settings, main: str, arguments: list[str]) -> list[str]:
    conf = Home(settings.home).spark_cluster / "daemons.conf"
    return [str(pyspark_home() / "bin" / "spark-class"), main, "--host", LOOPBACK, *arguments,
            "--properties-file", str(conf)]  # fmt: skip


def prepare(settings: Settings, conf: str, *, afresh: bool) -> None:
    """Write the configuration. `afresh`: the application starts again too, so forget what the last master knew."""
    if afresh:
        for folder in (folder_of(settings, None) / "recovery", *(folder_of(settings, n) / "work" for n in WORKERS)):
            shutil.rmtree(folder, ignore_errors=True)
    for worker in (None, *WORKERS):
        folder_of(settings, worker).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(LOG4J_CONFIG, _log4j(settings))
    (Home(settings.home).spark_cluster / "daemons.conf").write_text(conf)


def archive_path(settings: Settings) -> Path:
    """The archive of this project's packages, named after their content."""
    digest = code_digest([str(folder) for folder in package_folders()])
    return Home(settings.home).spark_cluster / f"music-{digest[:16]}.zip"


def package_folders() -> list[Path]:
    """The folders of this project's packages that the job imports."""
    found = [find_spec(name) for name in PACKAGES]
    return [Path(spec.origin).parent for spec in found if spec is not None and spec.origin is not None]


def write_archive(settings: Settings) -> None:
    """Write the archive unless it is there, and delete those of older code."""
    path = archive_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    for older in path.parent.glob("music-*.zip"):
        if older != path:
            older.unlink()
    if path.is_file():
        return
    draft = path.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in package_folders():
            for file in sorted(folder.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, Path(folder.name) / file.relative_to(folder))
    draft.replace(path)


def ui_token(settings: Settings) -> str:
    """A signed token (JWS, HS256) for the master's web pages."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    header, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": "music-platform"}
    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    key = base64.urlsafe_b64decode(_ui_key(settings))
    return f"{signed}.{part(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def _ui_key(settings: Settings) -> str:
    """The key of the web pages: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(_derived(settings, "web pages")).decode()


def _derived(settings: Settings, purpose: str) -> bytes:
    """A secret of its own for each purpose, of which the home's cannot be told."""
    return hmac.digest((settings.music_secret or "").encode(), f"spark {purpose}".encode(), "sha256")


def _log4j(settings: Settings) -> Path:
    return Home(settings.home).spark_cluster / LOG4J_CONFIG.name


def installed() -> list[str]:
    """The folders of installed packages."""
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
