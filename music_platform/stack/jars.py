"""The JVM jars of the broker and of Spark: which ones, with which checksum, fetched once into a Maven-layout folder.

`jars.lock` is committed. A start fetches missing jars, and needs no network if there are none.
`python -m music_platform.stack.jars lock` resolves the roots again and rewrites the lock.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from music_platform.errors import LocalStackError
from music_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

LOCK_FILE = Path(__file__).with_name("jars.lock")
BROKER, SPARK, S3, GCS = "broker", "spark", "s3", "gcs"

#: The roots of each set. log4j-slf4j-impl is in the broker's tarball too; without it nothing is logged. An exclamation
#: mark keeps a root's own dependencyManagement from affecting the others: log4j's names an older Kafka.
ROOTS: dict[str, tuple[str, ...]] = {
    BROKER: ("org.apache.kafka:kafka_2.13:4.1.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3!"),
    SPARK: (
        "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
        "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.0.0",
    ),
    S3: (
        "org.apache.hadoop:hadoop-aws:3.5.0",
        "software.amazon.awssdk:s3:2.35.4",
        "software.amazon.awssdk:s3-transfer-manager:2.35.4!",
        "software.amazon.awssdk:sts:2.35.4",
    ),
    # Hadoop's own client, hadoop-gcp, only works with Google's server, so it cannot be tested here.
    GCS: ("com.google.cloud.bigdataoss:gcs-connector:4.0.0:shaded",),
}
#: Dependencies that are left out. The bundle is all of AWS in one jar of more than 500 MB; the modules needed from it
#: are roots above. The others are test tools that a root wrongly declares as runtime dependencies.
LEFT_OUT = frozenset(
    {
        "bundle", "byte-buddy", "byte-buddy-agent", "mockito-core", "mockito-junit-jupiter", "junit-jupiter-api",
        "junit-platform-commons", "opentest4j", "apiguardian-api",
    }
)  # fmt: skip

_DOWNLOADS_AT_ONCE = 6
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, order=True)
class Jar:
    """One line of the lock."""

    set: str
    group: str
    artifact: str
    version: str
    size: int
    sha256: str
    #: Maven classifier; empty for an artifact's main jar.
    classifier: str = ""

    @property
    def coordinate(self) -> str:
        """group:artifact:version[:classifier]."""
        return ":".join(filter(None, (self.group, self.artifact, self.version, self.classifier)))

    def path_in(self, repository: Path) -> Path:
        """The jar's path in a Maven-layout folder."""
        folder = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{'-'.join(filter(None, (self.artifact, self.version, self.classifier)))}.jar"

    def line(self) -> str:
        """The jar's line in the lock."""
        return f"{self.sha256} {self.size} {self.set} {self.coordinate}"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """The jars in a lock's text: `sha256 bytes set group:artifact:version[:classifier]` per line, # for comments."""
    jars = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            sha256, size, jar_set, coordinate = line.split()
            group, artifact, version, *classifier = coordinate.split(":")
            jars.append(Jar(jar_set, group, artifact, version, int(size), sha256, *classifier))
        except ValueError as error:
            raise LocalStackError(
                f"{LOCK_FILE.name}, line {number}: expected 'sha256 bytes set group:artifact:version', got {line!r}. "
                "Write the lock again: python -m music_platform.stack.jars lock"
            ) from error
    return tuple(jars)


def locked_jars(*sets: str) -> tuple[Jar, ...]:
    """The committed lock's jars of these sets; of all sets if none is named."""
    jars = parse_lock(LOCK_FILE.read_text())
    return tuple(jar for jar in jars if not sets or jar.set in sets)


def repository(settings: Settings) -> Path:
    """The Maven-layout folder that holds the jars."""
    return (settings.jars_dir or Path("~/.m2/repository")).expanduser().resolve()


def spark_sets(settings: Settings) -> tuple[str, ...]:
    """The sets that Spark needs: its own, and those of the object stores that the settings name."""
    urls = (settings.lake_root, settings.intake_root)
    stores = {S3: "s3a://", GCS: "gs://"}
    return (SPARK, *(name for name, scheme in stores.items() if any(url.startswith(scheme) for url in urls)))


def jar_paths(settings: Settings, *jar_sets: str) -> list[Path]:
    """The files of these sets, whether they exist or not."""
    return [jar.path_in(repository(settings)) for jar in locked_jars(*jar_sets)]


def missing_jars(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Jars that are missing from the folder or differ from the lock in size."""
    return [jar for jar in jars if not _has_size(jar.path_in(folder), jar.size)]


def damaged_jars(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Jars in the folder whose checksum differs from the lock. Reads all of them; for `doctor`."""
    return [jar for jar in jars if (path := jar.path_in(folder)).is_file() and _sha256(path) != jar.sha256]


class Checked:
    """Checksums that were compared before: a jar is read again only if its file has changed since.

    The repository is shared with every other tool of this user, and what is in these jars runs as the platform.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._seen: dict[str, list[object]] = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            self._seen = {}
        self._before = dict(self._seen)

    def matches(self, jar: Jar, path: Path) -> bool:
        """Whether the file is the jar of the lock."""
        found = path.stat()
        state: list[object] = [found.st_mtime_ns, found.st_size, found.st_ino, jar.sha256]
        if self._seen.get(str(path)) == state:
            return True
        if _sha256(path) != jar.sha256:
            return False
        self._seen[str(path)] = state
        return True

    def save(self) -> None:
        """Keep what was compared."""
        if self._seen != self._before:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._seen))


def ensure_jars(settings: Settings, sets: Iterable[str], console: "Console | None" = None) -> int:
    """Fetch missing jars of the sets, with a progress bar, and return how many were fetched.

    Raises LocalStackError if a jar cannot be fetched or does not match its checksum.
    """
    folder = repository(settings)
    locked = locked_jars(*sets)
    wanted = missing_jars(locked, folder)
    checked = Checked(settings.home / "jars-checked.json")
    wanted += [jar for jar in locked if jar not in wanted and not checked.matches(jar, jar.path_in(folder))]
    checked.save()
    if wanted:
        _fetch(wanted, folder, console)
    return len(wanted)


def _fetch(jars: list[Jar], folder: Path, console: "Console | None") -> None:
    """Download into a folder beside the repository, check, then move: a killed download leaves no half jar behind."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    try:
        with _progress(jars, console) as progress, ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            futures = [pool.submit(_fetch_one, jar, staging, folder, progress) for jar in jars]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch_one(jar: Jar, staging: Path, folder: Path, progress: "Progress") -> None:
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

    @contextmanager
    def count(_filename: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield lambda amount: progress.advance(progress.task_ids[0], amount)

    @retry(
        retry=retry_if_exception_type(RequestException),
        stop=stop_after_attempt(4),
        wait=wait_exponential(max=10),
        reraise=True,
    )
    def download() -> Path:
        # A broken download leaves a partial file, which jgo would mistake for the whole one.
        jar.path_in(staging).unlink(missing_ok=True)
        context = MavenContext(
            PythonResolver(progress_callback=count), repo_cache=staging, local_repos=[], timeout=_TIMEOUT_SECONDS
        )
        return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier).resolve())

    try:
        path = download()
    except (RequestException, RuntimeError, OSError) as error:
        raise LocalStackError(
            f"Cannot fetch {jar.coordinate}: {error}. Check the network (proxy, firewall) and start again. "
            "Jars that were already fetched are kept."
        ) from error
    found = _sha256(path)
    if found != jar.sha256:
        raise LocalStackError(
            f"{jar.coordinate} has the checksum {found}, but {LOCK_FILE.name} says {jar.sha256}: the file was changed "
            "in transit or at its source. Do not use it. Try another network."
        )
    target = jar.path_in(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    progress.update(progress.task_ids[0], fetched=progress.tasks[0].fields["fetched"] + 1)


def link_spark_jars(folder: Path) -> Path:
    """A folder with links to all of Spark's jars, with those of the object stores, for a class path of one entry."""
    links = folder / "spark"
    links.mkdir(exist_ok=True)
    for jar in locked_jars(SPARK, S3, GCS):
        link = links / jar.path_in(folder).name
        if not link.is_symlink():
            link.symlink_to(Path("..") / jar.path_in(Path()))
    return links


@contextmanager
def _progress(jars: list[Jar], console: "Console | None") -> Iterator["Progress"]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("jars {task.fields[fetched]}/{task.fields[count]}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console, disable=console is None) as progress:
        progress.add_task("jars", total=sum(jar.size for jar in jars), fetched=0, count=len(jars))
        yield progress


def resolve_roots() -> list[Jar]:
    """Resolve the roots with their dependencies, for a new lock. Spark's jars that pyspark ships are left out."""
    shipped = {_artifact_of(path) for path in pyspark_home().joinpath("jars").glob("*.jar")}
    with tempfile.TemporaryDirectory() as folder:
        return sorted(
            jar
            for jar_set, roots in ROOTS.items()
            for jar in _resolve_set(jar_set, roots, Path(folder))
            if jar_set == BROKER or jar.artifact not in shipped
        )


def _resolve_set(jar_set: str, roots: tuple[str, ...], folder: Path) -> Iterator[Jar]:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=folder, local_repos=[], timeout=_TIMEOUT_SECONDS)
    inputs, needed = context.resolver.resolve([context.create_dependency(root) for root in roots])
    for dependency in [*inputs, *needed]:
        if dependency.artifactId in LEFT_OUT:
            continue
        path = Path(dependency.artifact.resolve())
        yield Jar(
            jar_set,
            dependency.groupId,
            dependency.artifactId,
            dependency.version,
            path.stat().st_size,
            _sha256(path),
            dependency.artifact.classifier or "",
        )


def pyspark_home() -> Path:
    """The folder of the installed pyspark, found without importing it (the import takes seconds)."""
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise LocalStackError("pyspark is not installed in this Python. Install the project: make venv")
    return Path(spec.origin).parent


def _artifact_of(jar: Path) -> str:
    """The artifact in a file name artifact-version.jar. The version starts at the last hyphen before a digit."""
    name, _, rest = jar.stem.rpartition("-")
    while name and not rest[:1].isdigit():
        name, _, rest = name.rpartition("-")
    return name or jar.stem


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_LOCK_HEADER = """\
# JVM jars of the local stack: sha256, bytes, set, group:artifact:version. Roots: ROOTS in jars.py.
# Made by `python -m music_platform.stack.jars lock`; do not edit by hand.
"""


def main(arguments: list[str]) -> int:
    """`lock` rewrites the committed lock from the roots; `fetch` fetches every jar of it, as an image is built."""
    if arguments == ["fetch"]:
        folder, locked = repository(load_settings()), locked_jars()
        _fetch(missing_jars(locked, folder), folder, None)
        link_spark_jars(folder)
        print(f"{len(locked)} jars in {folder}")
        return 1 if damaged_jars(locked, folder) else 0
    if arguments != ["lock"]:
        print("usage: python -m music_platform.stack.jars lock|fetch", file=sys.stderr)
        return 2
    jars = resolve_roots()
    LOCK_FILE.write_text(_LOCK_HEADER + "".join(jar.line() + "\n" for jar in jars))
    print(f"{LOCK_FILE.name}: {len(jars)} jars, {sum(jar.size for jar in jars) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
