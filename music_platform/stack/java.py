"""Finds a Java that can run the broker and Spark: 17 or newer, with the module that Spark's vectorised code needs.

Never downloads one. If none fits, the error names what was found and the command that installs Java.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from music_platform.errors import LocalStackError
from music_platform.settings import Settings

OLDEST = 17
#: Spark 4.2 starts its JVMs with this module; trimmed runtimes lack it.
NEEDED_MODULE = "jdk.incubator.vector"
#: Logging of every JVM of the stack: warnings go to standard output, which supervisor rotates and bounds.
LOG4J_CONFIG = Path(__file__).with_name("log4j2.properties")

_PROPERTY = re.compile(r"^\s+(java\.(?:home|version|specification\.version)) = (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Java:
    """A Java installation: its home, version text and major version."""

    home: Path
    version: str
    major: int

    @property
    def executable(self) -> Path:
        """The `java` program."""
        return self.home / "bin" / "java"


def parse_java_properties(text: str) -> Java | None:
    """The installation that `java -XshowSettings:properties -version` describes; None if the text is something else."""
    found = dict(_PROPERTY.findall(text))
    try:
        specification = found["java.specification.version"]
        # Java 8 and older call themselves 1.8.
        major = int(specification.removeprefix("1.").split(".")[0])
        return Java(Path(found["java.home"]), found["java.version"], major)
    except (KeyError, ValueError):
        return None


def install_line(platform: str = sys.platform) -> str:
    """The command that installs a suitable Java on this platform."""
    if platform == "darwin":
        return "brew install openjdk@17 && export JAVA_HOME=$(brew --prefix openjdk@17)"
    return "sudo apt-get install openjdk-17-jdk-headless"


def find_java(settings: Settings) -> Java:
    """The Java in `JAVA_HOME`, else the one on the PATH.

    Raises LocalStackError if there is none, it is older than 17 or it lacks Spark's module.
    """
    findings = []
    for where, executable in _candidates(settings):
        java, complaint = _examine(executable)
        if java is not None and complaint is None:
            return java
        findings.append(f"{where} ({executable}): {complaint}")
    found = "; ".join(findings) or "no `java` on the PATH, and JAVA_HOME is not set"
    raise LocalStackError(f"Java {OLDEST} or newer is needed. Found: {found}. Install it: {install_line()}")


def _candidates(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.java_home is not None:
        yield "JAVA_HOME", settings.java_home.expanduser() / "bin" / "java"
    on_path = shutil.which("java")
    if on_path is not None:
        yield "PATH", Path(on_path)


def _examine(executable: Path) -> tuple[Java | None, str | None]:
    """The program's Java installation, and why it is not suitable; None if it is."""
    if not executable.is_file():
        return None, "no such file"
    shown = _run(executable, "-XshowSettings:properties", "-version")
    java = parse_java_properties(shown.stderr)
    if java is None:
        return None, f"does not report its version: {(shown.stderr or shown.stdout).strip()[:120]}"
    if java.major < OLDEST:
        return java, f"Java {java.version} is too old"
    if _run(executable, "--add-modules", NEEDED_MODULE, "-version").returncode != 0:
        return java, f"Java {java.version} lacks the module {NEEDED_MODULE} (a trimmed runtime)"
    return java, None


def _run(executable: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(executable), *arguments], capture_output=True, text=True, timeout=60, check=False)
