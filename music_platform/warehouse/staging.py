"""The stage: lake files on their way into the warehouse, in one folder for each version.

A staged file is never trusted: a loader that comes to a version stages its files anew, over whatever a killed one may
have left (OVERWRITE), and COPY's rows are counted against the Parquet footers inside the transaction. On Snowflake's
object stores, and in the local warehouse, a PUT that dies leaves no file under its name; where one did leave a torn
file, the repeat would replace it. What is loaded is removed, so the stage holds the versions under way and no more.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import fs

from music_platform import failpoints
from music_platform.lake.files import Folder
from music_platform.warehouse.schema import LAKE_STAGE

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

STAGE_FOLDER = f"{LAKE_STAGE}/events"


def version_folder(version: int, purpose: str = "v") -> str:
    """Folder of the stage for a version's files. A rebuild has folders of its own."""
    return f"{STAGE_FOLDER}/{purpose}{version}"


def stage_files(session: "SnowflakeConnection", folder: Folder, files: Iterable[str], target: str) -> None:
    """PUT data files into a folder of the stage; files of an object store are brought to this machine first."""
    for file in files:
        if isinstance(folder.system, fs.LocalFileSystem):
            _put(session, Path(folder.file(file)), target)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / Path(file).name
            fs.copy_files(folder.file(file), str(local), source_filesystem=folder.system)
            _put(session, local, target)


def _put(session: "SnowflakeConnection", file: Path, target: str) -> None:
    with failpoints.during(failpoints.INSIDE_PUT):
        session.cursor().execute(f"PUT 'file://{file}' @{target} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")


def unstage(session: "SnowflakeConnection", target: str) -> None:
    """Remove a folder of the stage."""
    session.cursor().execute(f"REMOVE @{target}/")


def staged_folders(session: "SnowflakeConnection") -> set[str]:
    """The folders below the stage's folder of events that hold files."""
    cursor = session.cursor()
    cursor.execute(f"LIST @{STAGE_FOLDER}/")
    names = [str(row[0]) for row in cursor.fetchall()]
    return {parts[-2] for name in names if len(parts := name.split("/")) > 1}


def clean_stage(session: "SnowflakeConnection", loaded: int) -> list[str]:
    """Remove the folders of versions that are loaded, which a killed loader left; returns their names."""
    done = [name for name in sorted(staged_folders(session)) if name[:1] == "v" and int(name[1:]) <= loaded]
    for name in done:
        unstage(session, f"{STAGE_FOLDER}/{name}")
    return done
