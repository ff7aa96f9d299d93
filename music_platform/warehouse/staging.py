"""The stage through which lake files get into the warehouse.

With PUT, files are copied to an internal stage, one folder per load. With IN_PLACE, they stay where they are: if
Snowflake can read the lake's object store, COPY reads them through an external stage. Nothing here writes to that
stage or removes from it, because its files are the lake.

A staged file is never trusted. A loader stages the files of its versions again, over whatever a killed one may have
left (OVERWRITE), and counts COPY's rows against the Parquet footers inside the transaction. On Snowflake's object
stores and in the local warehouse, a PUT that dies leaves no file under its name; a torn file would be replaced by the
retry. Loaded files are removed, so the stage holds only the versions being loaded.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import fs

from music_platform import failpoints
from music_platform.lake.files import Folder
from music_platform.lake.paths import EVENTS
from music_platform.settings import Settings
from music_platform.warehouse.schema import LAKE_FILES_STAGE, LAKE_STAGE, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

STAGE_FOLDER = f"{LAKE_STAGE}/events"
#: Folder of reference files, each there for as long as its load takes.
REFERENCE_FOLDER = f"{LAKE_STAGE}/reference"
#: Hours after which no load is at a reference file any more.
REFERENCE_HOURS = 24
#: Files of one PUT: as many as this machine has room for, where they have to be downloaded first.
FILES_AT_ONCE = 100
#: What a rebuild's folders are called.
REBUILD = "rebuild"

_FOLDER = re.compile(rf"^(v|{REBUILD})(\d+)$")


@dataclass(frozen=True)
class StagingMethod:
    """How lake files become readable for COPY."""

    in_place: bool

    def stage(
        self, session: "SnowflakeConnection", folder: Folder, files: Sequence[str], version: int, purpose: str = "v"
    ) -> str:
        """Make a version's files readable for COPY; returns their folder in the stage."""
        if self.in_place:
            return f"{LAKE_FILES_STAGE}/{EVENTS}"
        target = version_folder(version, purpose)
        stage_files(session, folder, files, target)
        return target

    def clear(self, session: "SnowflakeConnection", target: str) -> None:
        """Remove staged files after they are loaded. Files read in place are the lake, and stay."""
        if not self.in_place:
            unstage(session, target)


PUT, IN_PLACE = StagingMethod(in_place=False), StagingMethod(in_place=True)


def staging_method(settings: Settings) -> StagingMethod:
    """The staging method for these settings."""
    return IN_PLACE if settings.loads_in_place else PUT


def version_folder(version: int, purpose: str = "v") -> str:
    """Folder of the stage for a version's files. A rebuild uses its own folders."""
    return f"{STAGE_FOLDER}/{purpose}{version}"


def stage_files(session: "SnowflakeConnection", folder: Folder, files: Sequence[str], target: str) -> None:
    """PUT data files into a folder of the stage, a statement for each FILES_AT_ONCE of them.

    Files in an object store are downloaded to this machine first.
    """
    for start in range(0, len(files), FILES_AT_ONCE):
        with tempfile.TemporaryDirectory() as scratch:
            for file in files[start : start + FILES_AT_ONCE]:
                local = Path(scratch) / Path(file).name
                if isinstance(folder.system, fs.LocalFileSystem):
                    local.symlink_to(Path(folder.file(file)).absolute())
                else:
                    fs.copy_files(folder.file(file), str(local), source_filesystem=folder.system)
            with failpoints.during(failpoints.INSIDE_PUT):
                session.cursor().execute(
                    f"PUT {literal(f'file://{scratch}/*')} @{target} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
                )


def unstage(session: "SnowflakeConnection", target: str) -> None:
    """Remove a folder of the stage."""
    session.cursor().execute(f"REMOVE @{target}/")


def staged_folders(session: "SnowflakeConnection") -> set[str]:
    """Folders with files in the events folder of the stage."""
    cursor = session.cursor()
    cursor.execute(f"LIST @{STAGE_FOLDER}/")
    names = [str(row[0]) for row in cursor.fetchall()]
    return {parts[-2] for name in names if len(parts := name.split("/")) > 1}


def idle_folders(folders: Iterable[str], loaded: int, rebuilding: int | None) -> list[str]:
    """Folders of the stage that nobody needs: all but those of versions that are not loaded yet and of the version that
    a rebuild is at. Killed loaders and rebuilds leave them."""

    def is_needed(name: str) -> bool:
        if match := _FOLDER.match(name):
            purpose, version = match[1], int(match[2])
            return version > loaded if purpose == "v" else version == rebuilding
        return False

    return sorted(name for name in folders if not is_needed(name))


def clean_stage(session: "SnowflakeConnection", watermark: Callable[[], tuple[int, int | None]]) -> list[str]:
    """Remove the folders that nobody needs, and reference files of loads that were killed; returns the folders' names.

    `watermark` gives the loaded version and that of a rebuild under way. It is asked once the folders are known: who
    makes one has noted before what it is for.
    """
    folders = staged_folders(session)
    idle = idle_folders(folders, *watermark())
    for name in idle:
        unstage(session, f"{STAGE_FOLDER}/{name}")
    _clean_reference(session)
    return idle


def _clean_reference(session: "SnowflakeConnection") -> None:
    """Remove reference files that no load can be at any more. They hold the users' names."""
    cursor = session.cursor()
    cursor.execute(f"LIST @{REFERENCE_FOLDER}/")
    before = datetime.now(UTC) - timedelta(hours=REFERENCE_HOURS)
    for row in cursor.fetchall():
        name, modified = str(row[0]), parsedate_to_datetime(str(row[3]))
        if modified < before:
            cursor.execute(f"REMOVE @{REFERENCE_FOLDER}/{name.rsplit('/', 1)[-1]}")
