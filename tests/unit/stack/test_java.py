"""Java is found where it is said to be, and what does not fit is refused with the line that installs one."""

import os
from pathlib import Path

import pytest

from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack.java import Java, find_java, install_line, parse_java_properties

SHOWN = """Property settings:
    java.home = {home}
    java.specification.version = {specification}
    java.version = {version}
    java.version.date = 2025-04-15

openjdk version "{version}"
"""


def fake_java(home: Path, version: str, specification: str, *, has_module: bool = True) -> Path:
    """A JAVA_HOME whose `java` prints what a real one of that version prints."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    shown = SHOWN.format(home=home, version=version, specification=specification)
    refuse = "" if has_module else 'if [ "$1" = --add-modules ]; then exit 1; fi\n'
    program.write_text(f"#!/bin/sh\n{refuse}cat >&2 <<'END'\n{shown}\nEND\n")
    program.chmod(0o755)
    return home


def settings(java_home: Path | None) -> Settings:
    return Settings(_env_file=None, java_home=java_home)


def test_reads_the_version_of_a_modern_java() -> None:
    text = SHOWN.format(home="/opt/java", version="17.0.15", specification="17")
    assert parse_java_properties(text) == Java(Path("/opt/java"), "17.0.15", 17)


def test_reads_the_old_numbering() -> None:
    java = parse_java_properties(SHOWN.format(home="/opt/java", version="1.8.0_392", specification="1.8"))
    assert java is not None
    assert java.major == 8


def test_other_text_is_no_java() -> None:
    assert parse_java_properties("command not found") is None


def test_java_home_wins_over_the_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "21.0.1", "21")
    assert find_java(settings(home)) == Java(home, "21.0.1", 21)


@pytest.mark.parametrize(
    ("version", "specification", "has_module", "complaint"),
    [
        ("11.0.2", "11", True, "JAVA_HOME .*: Java 11.0.2 is too old"),
        ("17.0.1", "17", False, "JAVA_HOME .*: Java 17.0.1 lacks the module jdk.incubator.vector"),
    ],
)
def test_what_does_not_fit_is_named_with_the_install_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    specification: str,
    has_module: bool,
    complaint: str,
) -> None:
    monkeypatch.setattr("music_platform.stack.java.shutil.which", lambda _: None)
    home = fake_java(tmp_path / "jdk", version, specification, has_module=has_module)
    with pytest.raises(LocalStackError, match=complaint) as raised:
        find_java(settings(home))
    assert str(raised.value).endswith(f"Install it: {install_line()}")


def test_no_java_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LocalStackError, match="no `java` on the PATH, and JAVA_HOME is not set"):
        find_java(settings(None))


def test_install_lines_differ_by_system() -> None:
    assert install_line("darwin").startswith("brew install")
    assert "apt-get install" in install_line("linux")
