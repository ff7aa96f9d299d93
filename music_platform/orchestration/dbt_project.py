"""The dbt project: where it is, and its manifest, made again when the project's files are newer.

What dbt makes is under the home, not in the checkout: two homes build from one checkout, each with a manifest of its
own database.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from dagster_dbt import DagsterDbtProjectPreparer, DbtProject
from filelock import FileLock

from music_platform.environment import dbt_places, dbt_sources, project_root, variables_set
from music_platform.home import Home
from music_platform.settings import Settings, get_settings

#: Folders of invocations that are kept, newest first, and seconds for which each one is: it may be in use.
KEPT_TARGETS, TARGET_SECONDS = 20, 3600.0
#: Folders of the target path that are no invocation's: those of a `dbt` in a shell.
_OWN = {"compiled", "run"}


def dbt_executable() -> str:
    """The dbt in this Python's environment, even if that is not on the PATH."""
    return str(Path(sys.executable).parent / "dbt")


def dbt_project() -> DbtProject:
    """The project with a manifest that is up to date, in the home of this process's settings."""
    settings = get_settings()
    home = Home(settings.home)
    project = DbtProject(project_dir=project_root() / "dbt_project", target_path=home.dbt_target)
    if _is_stale(project, settings):
        home.dbt_target.mkdir(parents=True, exist_ok=True)
        # Webserver, daemon and runs start together: one of them parses, the others find it done.
        with FileLock(home.dbt / ".parse.lock"):
            if _is_stale(project, settings):
                os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
                with variables_set({"SNOWFLAKE_DATABASE": settings.snowflake_database, **dbt_places(settings)}):
                    DagsterDbtProjectPreparer().prepare(project)
                _made_for(project).write_text(_origin(project, settings))
    return project


@cache
def dbt_manifest() -> Mapping[str, Any]:
    """The project's manifest, read once per process: it is megabytes, and the definitions need it repeatedly."""
    manifest: dict[str, Any] = json.loads(dbt_project().manifest_path.read_bytes())
    return manifest


def project_digest() -> str:
    """Checksum of the files that decide what the models' rows are: SQL, seeds and the project's variables.

    Read from the files themselves, because the sensors' process lives longer than a version of the project.
    """
    folder = project_root() / "dbt_project"
    read = [path for path in dbt_sources(folder) if path.suffix in (".sql", ".csv") or path.name == "dbt_project.yml"]
    built_from = sorted(path for path in read if path.relative_to(folder).parts[0] != "tests")
    return _digest(folder, tuple((path, (state := path.stat()).st_mtime_ns, state.st_size) for path in built_from))


@lru_cache(maxsize=1)
def _digest(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """The checksum of these files, read again only when one of them has another time or size."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:8]


def unbuilt_ancestors(
    manifest: Mapping[str, Any],
    selected: Collection[str],
    existing: Callable[[Collection[str]], Collection[tuple[str, str]]],
) -> list[str]:
    """Models and seeds that the selected nodes are derived from, that are not selected, and whose tables are not there.

    On a new platform a selection such as `lake/events+` leaves out seeds and what comes from reference data, so its
    models would read tables that nobody has made. `existing` returns schema and name, in capitals, of the tables in
    some schemas; it is asked only where something is left out.
    """
    found: set[str] = set()
    waiting = list(selected)
    while waiting:
        parents = {node for node in manifest["parent_map"].get(waiting.pop(), ()) if node in manifest["nodes"]}
        new = parents - found
        found |= new
        waiting += new
    left_out = found - set(selected)
    tables = {
        node: _schema_and_name(manifest["nodes"][node]) for node in left_out if _has_table(manifest["nodes"][node])
    }
    there = existing({schema for schema, _ in tables.values()}) if tables else ()
    return sorted(node for node, table in tables.items() if table not in there)


def _has_table(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in ("model", "seed", "snapshot") and node["config"]["materialized"] != "ephemeral"


def _schema_and_name(node: Mapping[str, Any]) -> tuple[str, str]:
    return node["schema"].upper(), (node.get("alias") or node["name"]).upper()


def _is_stale(project: DbtProject, settings: Settings) -> bool:
    manifest, origin = project.manifest_path, _made_for(project)
    if not manifest.exists() or not origin.exists() or origin.read_text() != _origin(project, settings):
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in dbt_sources(project.project_dir))


def _made_for(project: DbtProject) -> Path:
    """File that says of which project and for which database the manifest was made."""
    return project.manifest_path.with_name("made_for.json")


def _origin(project: DbtProject, settings: Settings) -> str:
    return json.dumps({"project": str(project.project_dir), "database": settings.snowflake_database})


def superfluous_targets(ages: Mapping[Path, float]) -> Iterable[Path]:
    """Folders of invocations to remove, by their ages in seconds: all but the newest and those that may be in use."""
    oldest_first = sorted(ages, key=lambda folder: ages[folder], reverse=True)
    return [folder for folder in oldest_first[: max(0, len(ages) - KEPT_TARGETS)] if ages[folder] > TARGET_SECONDS]


def prune_targets() -> None:
    """Remove what dbt compiled and logged in old invocations, whatever op or process they were of."""
    target = Home(get_settings().home).dbt_target
    now = time.time()
    folders = [path for path in target.glob("*") if path.is_dir() and path.name not in _OWN]
    touched = {folder: max(path.stat().st_mtime for path in (folder, *folder.glob("*"))) for folder in folders}
    for folder in superfluous_targets({folder: now - moment for folder, moment in touched.items()}):
        shutil.rmtree(folder, ignore_errors=True)
