"""The dbt project: its location, and its manifest, which is rebuilt when the project's files are newer."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dagster_dbt import DagsterDbtProjectPreparer, DbtProject
from filelock import FileLock

from music_platform.environment import dbt_sources, project_root


def dbt_executable() -> str:
    """The dbt in this Python's environment, even if that is not on the PATH."""
    return str(Path(sys.executable).parent / "dbt")


def dbt_project() -> DbtProject:
    """The project with an up-to-date manifest."""
    project = DbtProject(project_dir=project_root() / "dbt_project")
    manifest = project.manifest_path
    if _is_stale(manifest, project.project_dir):
        manifest.parent.mkdir(parents=True, exist_ok=True)
        # Webserver, daemon and runs start together. One of them parses; the others wait and use its result.
        with FileLock(manifest.parent / ".parse.lock"):
            if _is_stale(manifest, project.project_dir):
                os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
                DagsterDbtProjectPreparer().prepare(project)
    return project


@cache
def dbt_manifest() -> Mapping[str, Any]:
    """The project's manifest, read once per process: it is megabytes, and the definitions need it repeatedly."""
    manifest: dict[str, Any] = json.loads(dbt_project().manifest_path.read_bytes())
    return manifest


def _is_stale(manifest: Path, project_dir: Path) -> bool:
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in dbt_sources(project_dir))
