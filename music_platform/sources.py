"""Where the values of settings are written: the environment, the project's `.env`, the home's ports and secret.

Does not belong here: what settings there are, which is in `settings.py`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from music_platform.errors import PlatformError

HOME, ENV_FILE = "MUSIC_HOME", "MUSIC_ENV_FILE"
#: Folder with one file for each secret, named like its setting, as containers mount them.
SECRETS_DIR = "MUSIC_SECRETS_DIR"
#: The setting that the home keeps in a file of its own.
SECRET = "music_secret"
#: The home of a project that names none.
DEFAULT_HOME = ".local"
PORTS_FILE, SECRET_FILE = "ports.env", "secret.env"
#: The origin of a value that the environment sets.
ENVIRONMENT = "environment"

#: The checkout that this code runs from; site-packages where it was installed without one.
CHECKOUT = Path(__file__).resolve().parent.parent

#: Files that mark a folder as a project of this platform, and what they contain.
_MARKERS = {"pyproject.toml": r'^name = "music-platform"', "workspace.yaml": r"\bmusic_platform\.definitions\b"}


class SettingsError(PlatformError):
    """A setting cannot be read or has a value that it cannot have."""


@dataclass(frozen=True)
class Value:
    """A setting's text, where it is written (`environment` or file:line), and the folder of that file."""

    text: str
    origin: str
    folder: Path | None = None

    def as_path(self) -> Path:
        """The text as a path. A relative one in a file is relative to the file's folder."""
        path = Path(self.text).expanduser()
        return self.folder / path if self.folder else path


@dataclass(frozen=True)
class Sources:
    """What was found, once: the project, its home, the `.env` that counts, and each value that is set.

    `values` has the names in lower case; `in_env_file` are the names in `.env`, whether they count or not. `skipped`
    has a sentence for each `.env` that is not read although a person may expect it to be.
    """

    project: Path
    home: Path
    env_file: Path | None = None
    skipped: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    in_env_file: frozenset[str] = frozenset()


def find_sources(environment: Mapping[str, str], folder: Path) -> Sources:
    """Read all sources for a process with this environment in this folder. Raises SettingsError.

    The environment wins over `.env`, which wins over the home's own files. A variable that is set to nothing hides the
    line of `.env` with its name.
    """
    project = find_project(folder)
    env_file, skipped = _find_env_file(environment, folder, project)
    written = read_env(env_file) if env_file else {}
    written.pop(ENV_FILE.lower(), None)
    given = {name.lower(): Value(text, ENVIRONMENT) for name, text in environment.items()}
    counting = {name: value for name, value in written.items() if name not in given}
    counting |= {name: value for name, value in given.items() if value.text}
    home = folder / counting[HOME.lower()].as_path() if HOME.lower() in counting else project / DEFAULT_HOME
    ports = {name: value for name, value in read_env(home / PORTS_FILE).items() if name.endswith("_port")}
    secret = {name: value for name, value in read_env(home / SECRET_FILE).items() if name == SECRET}
    mounted = read_secrets(Path(environment[SECRETS_DIR])) if environment.get(SECRETS_DIR) else {}
    values = ports | secret | mounted | counting
    return Sources(project, home.resolve(), env_file, skipped, values, frozenset(written))


def read_secrets(folder: Path) -> dict[str, Value]:
    """The content of each file in the folder by the file's name in lower case, without white space around it.

    Nothing if there is no folder. Raises SettingsError.
    """
    found = {}
    try:
        # Kubernetes puts links to files there, and folders whose names begin with a dot.
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.is_file() and not file.name.startswith(".") and (text := file.read_text().strip()):
                found[file.name.lower()] = Value(text, str(file), folder)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"a secret in {folder} cannot be read: {error}") from None
    return found


def find_project(folder: Path) -> Path:
    """The project that a command in this folder works on: the nearest one upwards, else the checkout of this code.

    Where this code was installed without a checkout, and no project is found, it is the folder itself.
    """
    upwards = (folder, *folder.parents)
    return next(filter(_is_project, upwards), CHECKOUT if _is_project(CHECKOUT) else folder)


def read_env(file: Path) -> dict[str, Value]:
    """The lines of a file of NAME=value, by name in lower case; nothing if there is no file. Raises SettingsError."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from None
    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(text)):
        # The blank lines before it are part of a binding.
        blank = re.match(r"\s*", binding.original.string)
        line = binding.original.line + (blank[0].count("\n") if blank else 0)
        if binding.error:
            raise SettingsError(f"{file}, line {line} is not NAME=value")
        if binding.key:
            lines[binding.key] = line
    values = dotenv_values(stream=StringIO(text))
    return {name.lower(): Value(value, f"{file}:{lines[name]}", file.parent) for name, value in values.items() if value}


def _is_project(folder: Path) -> bool:
    return _is_trusted(folder) and any(_contains(folder / name, marker) for name, marker in _MARKERS.items())


def _contains(file: Path, pattern: str) -> bool:
    try:
        return re.search(pattern, file.read_text(), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _is_trusted(path: Path) -> bool:
    """Whether it belongs to this user, to root, or to the owner of this code, who could do anything already."""
    try:
        return path.stat().st_uid in (os.getuid(), 0, CHECKOUT.stat().st_uid)
    except OSError:
        return False


def _find_env_file(environment: Mapping[str, str], folder: Path, project: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The `.env` to read, and a sentence for each one that is not read."""
    named = environment.get(ENV_FILE)
    if named is not None:
        if not named:
            return None, ()
        file = folder / Path(named).expanduser()
        if not file.is_file():
            raise SettingsError(f"{ENV_FILE}={named}: there is no such file. Unset it to read {project / '.env'}")
        return file, ()
    file, here, skipped = project / ".env", folder / ".env", []
    if here != file and here.is_file():
        skipped.append(f"{here} is not read: the project is {project}. To read it, set {ENV_FILE}={here}")
    if not file.is_file():
        return None, tuple(skipped)
    if not _is_trusted(file):
        skipped.append(f"{file} is not read: it belongs to another user. To read it, set {ENV_FILE}={file}")
        return None, tuple(skipped)
    return file, tuple(skipped)
