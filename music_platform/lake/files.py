"""The lake's folder as a file system: a local path, s3a:// or gs://, read by pyarrow."""

import os
import re
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pyarrow import fs

#: Variable that points Amazon's clients at another S3 server.
S3_SERVER = "AWS_ENDPOINT_URL"
#: Variable that points Google's clients at another server, http://host:port, without credentials.
GCS_SERVER = "STORAGE_EMULATOR_HOST"
#: Seconds for which a request to Google's store is retried; pyarrow's default is 15 minutes.
GCS_PATIENCE = timedelta(seconds=60)

#: A file that `Folder.write` had not renamed when its process was killed.
_PART = re.compile(r"^\..+\.[0-9a-f]{32}$")
#: Seconds after which such a file is nobody's any more.
PART_SECONDS = 86_400.0


@cache
def _s3(bucket: str, _server: str | None) -> fs.FileSystem:
    """The bucket's client. Cached, as creating one asks the store for the bucket's region."""
    system, _ = fs.FileSystem.from_uri(f"s3://{bucket}")
    return system


@cache
def _gcs(server: str | None) -> fs.FileSystem:
    if server is None:
        return fs.GcsFileSystem(retry_time_limit=GCS_PATIENCE)
    scheme, _, address = server.rstrip("/").rpartition("://")
    return fs.GcsFileSystem(
        anonymous=True, scheme=scheme or "http", endpoint_override=address, retry_time_limit=GCS_PATIENCE
    )


def _sync(folder: Path) -> None:
    """Make a renamed file's name durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@dataclass(frozen=True)
class FileInfo:
    """A file in a folder: its name, bytes, and when it was last modified, in epoch milliseconds."""

    name: str
    bytes: int
    modified_ms: int


@dataclass(frozen=True)
class Folder:
    """A folder on a local disk or in an object store."""

    system: fs.FileSystem
    path: str

    @classmethod
    def at(cls, url: str) -> "Folder":
        """The folder at a path or URL (s3a:// as Spark writes it). Credentials come from each cloud's usual
        variables."""
        if "://" not in url:
            return cls(fs.LocalFileSystem(), url)
        scheme, _, path = url.partition("://")
        if scheme == "gs":
            return cls(_gcs(os.environ.get(GCS_SERVER)), path)
        bucket = path.partition("/")[0]
        return cls(_s3(bucket, os.environ.get(S3_SERVER)), path)

    def file(self, name: str) -> str:
        """Path of a file in the folder, as the file system takes it."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """Names of the files directly in the folder, sorted. Empty if the folder does not exist."""
        return sorted(info.base_name for info in self._listed() if info.is_file)

    def files(self) -> list[FileInfo]:
        """The files directly in the folder."""
        return [
            FileInfo(info.base_name, info.size, int((info.mtime_ns or 0) // 1_000_000))
            for info in self._listed()
            if info.is_file
        ]

    def folders(self) -> list[str]:
        """Names of the folders directly in the folder, sorted."""
        return sorted(info.base_name for info in self._listed() if info.type is fs.FileType.Directory)

    def _listed(self) -> list[Any]:
        found: list[Any] = self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return found

    def exists(self, name: str) -> bool:
        """Whether the file exists."""
        return bool(self.system.get_file_info(self.file(name)).type is not fs.FileType.NotFound)

    def info(self, name: str) -> FileInfo | None:
        """The file as it is now; None if there is none."""
        found = self.system.get_file_info(self.file(name))
        return FileInfo(name, found.size, int((found.mtime_ns or 0) // 1_000_000)) if found.is_file else None

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a local disk."""
        return isinstance(self.system, fs.LocalFileSystem)

    def is_link(self, name: str) -> bool:
        """Whether the file or folder is a symbolic link; an object store has none."""
        return self.is_local and os.path.islink(self.file(name))

    def open(self, name: str) -> Any:
        """The file as a binary stream. Raises FileNotFoundError."""
        return self.system.open_input_file(self.file(name))

    def move(self, name: str, target: "Folder", new_name: str | None = None) -> None:
        """Move the file into another folder of the same store."""
        if isinstance(self.system, fs.LocalFileSystem):
            Path(target.path).mkdir(parents=True, exist_ok=True)
        self.system.move(self.file(name), target.file(new_name or name))

    def read(self, name: str) -> bytes:
        """The file's content. Raises FileNotFoundError."""
        with self.system.open_input_stream(self.file(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write or replace the file atomically: a reader sees the old content or the new, never a part, also after a
        power failure."""
        if isinstance(self.system, fs.LocalFileSystem):
            target = Path(self.file(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            with part.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(part, target)
            _sync(target.parent)
            return
        with self.system.open_output_stream(self.file(name)) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """Delete the file if it exists."""
        if self.exists(name):
            self.system.delete_file(self.file(name))

    def remove_parts(self) -> int:
        """Delete what killed writers left in the folder; returns how many files."""
        before = (time.time() - PART_SECONDS) * 1000
        parts = [file.name for file in self.files() if _PART.match(file.name) and file.modified_ms < before]
        for name in parts:
            self.remove(name)
        return len(parts)
