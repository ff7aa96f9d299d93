"""What runs on a Spark executor to find out what is there. Pickled by value, so the executor needs nothing of ours.

Does not belong here: any import outside the standard library at the top, and what is made of the answers.
"""

import glob
import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from typing import Any

#: Seconds a task stays, so that the other executors get one too.
STAY_SECONDS = 0.5


def code_digest(folders: list[str]) -> str:
    """A digest of the files of these packages, by their names and contents."""
    found = hashlib.sha256()
    for folder in sorted(folders, key=os.path.basename):
        paths = (p for p in glob.glob(f"{glob.escape(folder)}/**/*", recursive=True) if os.path.isfile(p))
        for path in sorted(path for path in paths if "__pycache__" not in path):
            found.update(f"{os.path.basename(folder)}/{os.path.relpath(path, folder)}\0".encode())
            with open(path, "rb") as file:
                found.update(hashlib.sha256(file.read()).digest())
    return found.hexdigest()


def probe(ours: tuple[str, ...], distributions: tuple[str, ...], files: tuple[str, ...]) -> Callable[[Any], Any]:
    """A step for mapInArrow that answers, in one row of JSON, what this executor has.

    `ours` are this project's packages, `distributions` names of installed ones, `files` paths that have to be there.
    """

    def step(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        rows = sum(batch.num_rows for batch in batches)
        if not rows:
            return
        time.sleep(STAY_SECONDS)
        answer: dict[str, Any] = {
            "where": f"{socket.gethostname()}:{os.getcwd()}",
            "python": platform.python_version(),
            "executable": sys.executable,
            "path": sys.path,
            "variables": sorted(os.environ),
            "versions": {name: version(name) for name in distributions},
            "missing": [path for path in files if not os.path.exists(path)],
            "code": None,
            "error": None,
        }
        try:
            folders = [os.path.dirname(str(import_module(name).__file__)) for name in ours]
            answer["code"] = code_digest(folders)
            answer["folders"] = folders
        except ImportError as error:
            answer["error"] = str(error)
        yield pa.RecordBatch.from_pydict({"answer": [json.dumps(answer)]})

    return step


def version(name: str) -> str | None:
    """The version of an installed distribution; None if it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
