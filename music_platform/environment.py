"""The environment of the stack's processes, and the lines that `music-platform env` prints.

A child process gets exactly its parent's settings, wherever they came from (environment, `.env`, `ports.env`): as
variables, and it reads no `.env` itself. Secrets are passed by inheritance only, never through a file in the home.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from music_platform.home import Home
from music_platform.settings import PORT_FIELDS, Settings, is_secret
from music_platform.sources import CHECKOUT, ENV_FILE, HOME

#: Variable set in every process of a home's stack, so that `down` also finds processes whose parent is gone.
MARKER = "MUSIC_STACK_HOME"


def project_root() -> Path:
    """The checkout's folder, which holds workspace.yaml and dbt_project."""
    return CHECKOUT


def source_roots() -> tuple[Path, ...]:
    """The folders of the checkout that Python imports from: music_platform and the other packages."""
    return (project_root(), *(project_root() / name for name in ("spark", "simulator", "dashboard")))


def dbt_sources(project_dir: Path) -> list[Path]:
    """The files and folders of the project that dbt reads. A folder's time changes when a file in it is deleted."""
    names = ("dbt_project.yml", "profiles.yml", "selectors.yml", "models", "macros", "seeds", "snapshots", "tests")
    found = [path for name in names for path in [project_dir / name, *(project_dir / name).rglob("*")]]
    return [path for path in found if path.exists()]


def dbt_places(settings: Settings) -> dict[str, str]:
    """Variables that make dbt write into the home, not into the checkout."""
    home = Home(settings.home)
    return {"DBT_TARGET_PATH": str(home.dbt_target), "DBT_LOG_PATH": str(home.dbt_logs)}


def venv_bin() -> Path:
    """The folder of this Python's programs (dagster, dbt). Not resolved: the venv's python links to another folder."""
    return Path(sys.executable).parent


def settings_environment(settings: Settings, *, secrets: bool) -> dict[str, str]:
    """The settings that differ from their defaults, and all ports, as variables; with them, no `.env` is read.

    JAVA_HOME is left out because `music-platform env` exports it: a service must not depend on whether that was run.
    """
    ports = {name.upper(): str(getattr(settings, name)) for name in PORT_FIELDS}
    changed = {
        name.upper(): str(value)
        for name, field in Settings.model_fields.items()
        if name != "java_home"
        and (value := getattr(settings, name)) is not None
        and value != field.default
        and (secrets or not is_secret(field))
    }
    return ports | changed | {HOME: str(settings.home), ENV_FILE: ""}


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment for a child process: this one's, with these settings, secrets too, in place of its own."""
    ours = set(Settings.model_fields) - {"java_home"}
    others = {name: value for name, value in os.environ.items() if name.lower() not in ours}
    return others | settings_environment(settings, secrets=True)


def inherited_environment(settings: Settings) -> dict[str, str]:
    """The environment of supervisord and so of every service: this process's own, the marker and the secrets."""
    programs = os.pathsep.join([str(venv_bin()), os.environ.get("PATH", os.defpath)])
    # Spark's own name for what its server requires of clients.
    token = {"SPARK_CONNECT_AUTHENTICATE_TOKEN": settings.spark_token} if settings.spark_token else {}
    return {
        **child_environment(settings),
        **token,
        MARKER: str(settings.home),
        "PATH": programs,
        "PYTHONPATH": _python_path(),
        "PYTHONUNBUFFERED": "1",
    }


def dagster_environment(settings: Settings) -> dict[str, str]:
    """The variables that point Dagster's processes at this home."""
    return {
        **settings_environment(settings, secrets=False),
        **dbt_places(settings),
        "DAGSTER_HOME": str(Home(settings.home).dagster),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        # Otherwise Snowflake's client, inside dbt too, asks which cloud it runs in: 5 s where no name resolves.
        "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
    }


@contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables in this process's environment until the block ends. Others are not touched."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def export_lines(settings: Settings, java_home: Path | None) -> list[str]:
    """Lines for a shell's `eval`, after which `dagster`, `dbt` and `music-platform` work on this home."""
    variables = dagster_environment(settings) | _env_file_variables(settings) | {"PYTHONPATH": _python_path()}
    if settings.warehouse_is_local and settings.music_secret:
        # dbt reads its profile from the environment only.
        variables["MUSIC_SECRET"] = settings.music_secret
    if java_home is not None:
        variables["JAVA_HOME"] = str(java_home)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return [*lines, f'export PATH={shlex.quote(str(venv_bin()))}:"$PATH"']


def _env_file_variables(settings: Settings) -> dict[str, str]:
    """Let a shell read the same `.env` for its secrets, and nothing else from it: its other lines are hidden."""
    sources = settings.sources
    if sources is None or sources.env_file is None:
        return {}
    values = {name: getattr(settings, name) for name in sources.in_env_file if name in Settings.model_fields}
    hidden = {
        name.upper(): "" if value is None else str(value)
        for name, value in values.items()
        if name != HOME.lower() and (value is None or not is_secret(Settings.model_fields[name]))
    }
    return hidden | {ENV_FILE: str(sources.env_file)}


def _python_path() -> str:
    """PYTHONPATH with this checkout first, so that Dagster's and Spark's workers can import it from any folder."""
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    roots = [str(root) for root in source_roots()]
    return os.pathsep.join([*roots, *(part for part in others if part not in roots)])
