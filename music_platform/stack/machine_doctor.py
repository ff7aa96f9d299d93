"""What `doctor` finds on the machine: packages, Java, jars, memory and disk, and who else can read what is private."""

import os
import stat
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from music_platform.environment import project_root
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.ingestion.disk_space import local_disks
from music_platform.settings import Settings, is_secret
from music_platform.sources import Sources
from music_platform.stack.findings import Finding, Verdict
from music_platform.stack.jars import BROKER, damaged_jars, locked_jars, missing_jars, repository, spark_sets
from music_platform.stack.java import find_java

LEAST_FREE_BYTES = 2 * 1000**3
#: Resident memory of all services at work.
STACK_BYTES = 4 * 1000**3


def examine_machine(settings: Settings, is_running: bool) -> Iterator[Finding]:
    """What has to be there before anything can start."""
    yield packages(_requirements(), _installed())
    yield _java(settings)
    yield _jars(settings)
    memory = psutil.virtual_memory()
    yield memory_finding(memory.total, memory.available, is_running)
    yield from misspelt(settings.sources)
    yield from access(settings)


def examine_disk(settings: Settings) -> Iterator[Finding]:
    """What the home takes, and what is left on its disk and on that of a local lake."""
    home = Home(settings.home)
    sizes = {name: size_of(folder) for name, folder in home.parts().items()}
    used = ", ".join(f"{name} {_human(size)}" for name, size in sizes.items() if size)
    yield Finding("home", Verdict.GOOD, f"{home.root}: {used or 'empty'}")
    for disk in local_disks(settings):
        if disk.free < LEAST_FREE_BYTES or disk.free_percent < settings.disk_critical_percent:
            yield Finding("disk", Verdict.BAD, str(disk), "Free some, or move MUSIC_HOME")
        elif disk.free_percent < settings.disk_warning_percent:
            yield Finding("disk", Verdict.NOTE, str(disk), "Free some before ingestion pauses (DISK_CRITICAL_PERCENT)")
        else:
            yield Finding("disk", Verdict.GOOD, str(disk))


def packages(wanted: Iterable[str], installed: Mapping[str, str]) -> Finding:
    """Whether the packages of this Python are those that pyproject.toml requires, as they are not after a pull."""
    wrong = []
    for requirement in map(Requirement, wanted):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = installed.get(_normal(requirement.name))
        if version is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    where = f"Python {'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if wrong:
        return Finding("packages", Verdict.BAD, f"{where}: {', '.join(wrong)}", "make venv")
    return Finding("packages", Verdict.GOOD, where)


def memory_finding(total: int, available: int, is_running: bool) -> Finding:
    """Whether the stack fits into the machine's memory."""
    found = f"{_human(available)} of {_human(total)} available"
    needs = f"all services at work take about {_human(STACK_BYTES)}"
    if total < STACK_BYTES:
        return Finding("memory", Verdict.BAD, f"{found}; {needs}", "Point Kafka, Spark or Snowflake elsewhere")
    if available < STACK_BYTES and not is_running:
        return Finding("memory", Verdict.NOTE, f"{found}; {needs}", "End other programs before music-platform up")
    return Finding("memory", Verdict.GOOD, found)


def misspelt(sources: Sources | None) -> Iterator[Finding]:
    """Lines of `.env` that are no settings, but nearly."""
    for name in sorted((sources.in_env_file if sources else frozenset()) - set(Settings.model_fields)):
        if close := get_close_matches(name, Settings.model_fields, n=1, cutoff=0.8):
            found = f"{sources.env_file if sources else ''}: {name.upper()} is no setting"
            yield Finding("settings", Verdict.NOTE, found, f"Perhaps {close[0].upper()} is meant")


def access(settings: Settings) -> Iterator[Finding]:
    """Whether others on this machine can read the home, or the files that hold secrets."""
    private = [path for path in (settings.snowflake_private_key_path, settings.kafka_ssl_key_location) if path]
    found = settings.sources
    if found and found.env_file and any(map(_is_secret_name, found.in_env_file)):
        private.append(found.env_file)
    open_files = [path for path in private if _others_can_read(path)]
    for path in open_files:
        yield Finding("access", Verdict.BAD, f"others can read {path}, which holds a secret", f"chmod 600 {path}")
    if _others_can_read(settings.home):
        what = "which holds personal data"
        yield Finding("access", Verdict.NOTE, f"others can read {settings.home}, {what}", f"chmod 700 {settings.home}")
    elif not open_files:
        yield Finding("access", Verdict.GOOD, "nobody else can read the home and the files with secrets")


def size_of(folder: Path) -> int:
    """Bytes that the folder's files take on disk (sparse files count what they hold)."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        total += status.st_blocks * 512
    return total


def _requirements() -> list[str]:
    """What pyproject.toml of the checkout requires by now; what was installed where there is no checkout."""
    file = project_root() / "pyproject.toml"
    if not file.is_file():
        return metadata.requires("music-platform") or []
    dependencies: list[str] = tomllib.loads(file.read_text())["project"]["dependencies"]
    return dependencies


def _installed() -> dict[str, str]:
    return {_normal(found.name): found.version for found in metadata.distributions()}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _java(settings: Settings) -> Finding:
    try:
        java = find_java(settings)
    except LocalStackError as error:
        return Finding("java", Verdict.BAD, str(error))
    return Finding("java", Verdict.GOOD, f"{java.version} at {java.home}")


def _jars(settings: Settings) -> Finding:
    folder, jars = repository(settings), locked_jars(BROKER, *spark_sets(settings))
    damaged = damaged_jars(jars, folder)
    if damaged:
        names = ", ".join(str(jar.path_in(folder)) for jar in damaged[:3])
        return Finding(
            "jars", Verdict.BAD, f"{len(damaged)} differ from jars.lock: {names}", "Delete them; music-platform up"
        )
    missing = missing_jars(jars, folder)
    if missing:
        found = f"{len(missing)} of {len(jars)} are not yet in {folder}"
        return Finding("jars", Verdict.NOTE, found, "music-platform up fetches them")
    return Finding("jars", Verdict.GOOD, f"{len(jars)} in {folder}, checksums match")


def _is_secret_name(name: str) -> bool:
    return name in Settings.model_fields and is_secret(Settings.model_fields[name])


def _others_can_read(path: Path) -> bool:
    """Whether the file, or the folder's content, is readable beyond its owner.

    A file of another owner, such as root, may be open to a group: that is how this user reads it.
    """
    try:
        status = path.expanduser().stat()
    except OSError:
        return False
    group = stat.S_IRGRP if status.st_uid == os.getuid() else 0
    wanted = stat.S_IROTH | group
    if stat.S_ISDIR(status.st_mode):
        wanted |= stat.S_IXOTH | (stat.S_IXGRP if group else 0)
    return bool(status.st_mode & wanted)


def _human(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
