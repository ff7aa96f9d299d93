"""The lake's folder as a file system: a local path, s3a:// or gs://, read by pyarrow."""

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs


@dataclass(frozen=True)
class Folder:
    """A folder on a local disk or in an object store."""

    system: fs.FileSystem
    path: str

    @classmethod
    def at(cls, url: str) -> "Folder":
        """The folder that a path or URL (s3a:// as Spark writes it) names. Credentials: the usual variables of each
        cloud."""
        if "://" not in url:
            return cls(fs.LocalFileSystem(), url)
        system, path = fs.FileSystem.from_uri(re.sub(r"^s3[an]://", "s3://", url))
        return cls(system, path)

    def file(self, name: str) -> str:
        """Path of a file in the folder, as the file system takes it."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """Names of the files right in the folder, sorted; none where the folder does not exist."""
        found = self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.is_file)

    def read(self, name: str) -> bytes:
        """The file's content. Raises FileNotFoundError."""
        with self.system.open_input_stream(self.file(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write or replace the file as a whole: a reader sees the old content or the new one, never a part."""
        if isinstance(self.system, fs.LocalFileSystem):
            target = Path(self.file(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            part.write_bytes(content)
            os.replace(part, target)
            return
        with self.system.open_output_stream(self.file(name)) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """Delete the file; none there is as good."""
        if self.system.get_file_info(self.file(name)).type is not fs.FileType.NotFound:
            self.system.delete_file(self.file(name))
