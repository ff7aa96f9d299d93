"""Stages: PUT, LIST and REMOVE.

**PUT stores complete files only.** If the target is a bound value, fakesnow lets the connector copy straight into the
stage; otherwise it writes the upload in place. A client or server that is killed meanwhile leaves a file of full
length, with holes, under its final name. Here every PUT is an upload over HTTP, by the connector's client for
pre-signed URLs. The server writes it outside the stage, compares length and SHA-256 with what the client announced,
syncs it and then renames it into place. A repeated PUT replaces the file in the same way, so a COPY that is reading it
reads the old file to its end. A loader need not check staged files.
"""

import hashlib
import os
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sqlglot import exp
from starlette.concurrency import run_in_threadpool

from snowflake_local._fakesnow import stage_folder
from snowflake_local.binds import Values
from snowflake_local.errors import sql_error, unsupported
from snowflake_local.quoting import literal
from snowflake_local.sessions import Session
from snowflake_local.storage import Storage


class CorruptUploadError(Exception):
    """The upload differs from what the client announced."""


def located(reference: str, session: Session) -> tuple[str, str]:
    """(folder of the stage, path in it) of a reference like @db.schema.name/path, '@"NAME"/path' or @%table."""
    reference = reference.strip().strip("'")
    if not reference.startswith("@"):
        raise sql_error(f"SQL compilation error:\n'{reference}' is not a stage: it needs an '@'.", 1003, "42000")
    name, _, path = reference[1:].partition("/")
    folder = stage_folder(name, session)
    # A quoted name may be a path, which must not lead out of the stages.
    if not Path(folder).resolve().is_relative_to(session.storage.stages_dir):
        raise sql_error(f"SQL compilation error:\nStage name '{name}': it must not be a path.", 1003, "42000")
    return folder, path


# --- PUT ------------------------------------------------------------------------------------------------------------


def upload_command(put: exp.Put, session: Session, params: Values | None, base_url: str) -> dict[str, Any]:
    """The answer that makes the connector upload: a stage on Google's storage with a pre-signed URL.

    The connector sends the PUT once, and again for each file but without the bound values. So the session remembers
    the target of the first request.
    """
    target = put.args["target"].name
    if target == "?":
        if isinstance(params, list) and params:
            session.put_target = str(params[0])
        if session.put_target is None:
            raise sql_error("SQL compilation error:\nPUT needs a stage as its target.", 1003, "42000")
        target = session.put_target
    folder, path = located(target, session)
    source = put.this.name.removeprefix("file://")
    options = {p.this.name.upper(): p.args.get("value") for p in put.args.get("properties") or []}
    compress = options.get("AUTO_COMPRESS")
    relative = PurePosixPath(os.path.relpath(folder, session.storage.stages_dir)) / path / os.path.basename(source)
    return {
        "command": "UPLOAD",
        "src_locations": [source],
        "parallel": 4,
        "autoCompress": compress is None or (compress.name.upper() != "FALSE" and compress.this is not False),
        "sourceCompression": "auto_detect",
        "overwrite": True,
        "stageInfo": {
            "locationType": "GCS", "location": f"{target}/", "creds": {},
            "presignedUrl": session.storage.uploads.signed(base_url.rstrip("/"), str(relative)),
        },
    }  # fmt: skip


async def receive(
    storage: Storage, path: str, body: AsyncIterable[bytes], length: int | None, sha256: str | None
) -> None:
    """Store an upload under its name once it is complete. `sha256` is base64, as the connector sends it."""
    target = (storage.stages_dir / path).resolve()
    if not target.is_relative_to(storage.stages_dir):
        raise CorruptUploadError(f"{path} is outside the stages")
    digest, written = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=storage.incoming_dir, prefix="put-", delete=False) as file:
        part = Path(file.name)
        try:
            async for chunk in body:
                file.write(chunk)
                digest.update(chunk)
                written += len(chunk)
            if length is not None and written != length:
                raise CorruptUploadError(f"{path}: received {written} of {length} bytes")
            if sha256 and sha256 != b64encode(digest.digest()).decode():
                raise CorruptUploadError(f"{path}: the SHA-256 of the upload is not the announced one")
            file.flush()
            await run_in_threadpool(os.fsync, file.fileno())
            # REMOVE may have taken the folder away meanwhile.
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


# --- LIST, REMOVE ---------------------------------------------------------------------------------------------------


def list_files(reference: str, session: Session) -> str:
    """LIST: name, size, md5 and time of each file below the path. fakesnow's LIST accepts no path."""
    rows = []
    for name, file in staged_files(reference, session):
        with file.open("rb") as content:
            md5 = hashlib.file_digest(content, "md5").hexdigest()
        status = file.stat()
        rows.append(
            f"({literal(name)}, {status.st_size}::BIGINT, '{md5}', "
            f"strftime(to_timestamp({status.st_mtime}), '%a, %d %b %Y %H:%M:%S GMT'))"
        )
    return values_query(rows, "name", "size", "md5", "last_modified")


def remove_files(reference: str, session: Session) -> str:
    """REMOVE: delete the files below the path, and folders that are empty then: a stage has none."""
    rows = []
    root = Path(located(reference, session)[0])
    for name, file in list(staged_files(reference, session)):
        file.unlink(missing_ok=True)
        for folder in file.parents:
            if folder == root or not _remove_empty(folder):
                break
        rows.append(f"({literal(name)}, 'removed')")
    return values_query(rows, "name", "result")


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def staged_files(reference: str, session: Session) -> Iterator[tuple[str, Path]]:
    """(name in LIST, file) of each file below a path."""
    if " " in reference.strip().strip("'"):
        raise unsupported("PATTERN in LIST and REMOVE")
    folder, path = located(reference, session)
    root = Path(folder)
    for file in sorted(root.rglob("*")):
        if file.is_file() and str(relative := file.relative_to(root)).startswith(path):
            yield f"{root.name.lower()}/{relative}", file


def values_query(rows: list[str], *columns: str) -> str:
    """A query that returns literal rows; without rows, it returns the columns only."""
    titles = ", ".join(f'"{column}"' for column in columns)
    if rows:
        return f"SELECT * FROM (VALUES {', '.join(rows)}) t({titles})"
    return "SELECT " + ", ".join(f"'' AS \"{column}\"" for column in columns) + " WHERE false"
