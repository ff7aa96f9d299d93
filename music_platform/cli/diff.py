"""`music-platform diff`: how the marts of the working tree differ from those of another version, over the same RAW."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from music_platform.cli.terminal import acting_settings, console, require_home
from music_platform.environment import dagster_environment, inherited_environment, project_root
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.settings import Settings
from music_platform.stack.listeners import require_listeners
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.services import WAREHOUSE

if TYPE_CHECKING:
    from music_platform.warehouse.mart_diff import MartDiff

PROJECT = "dbt_project"
SIDES = ("base", "head")


class DiffError(PlatformError):
    """The versions cannot be compared."""


def diff(
    ref: Annotated[str, typer.Argument(help="The version to compare with: a branch, tag or commit.")],
    markdown: Annotated[bool, typer.Option(help="Print Markdown, as for a comment.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if a mart differs.")] = False,
) -> None:
    """Compare the marts with those of another version.

    The working tree's models and those of the other version are built in full over the same RAW, into databases of
    their own at the local warehouse: <database>_DIFF_HEAD and <database>_DIFF_BASE. The platform's own marts are not
    touched. Printed are, for each mart, columns that were added, removed or changed, rows that only one version has,
    and columns whose values differ.
    """
    from music_platform.warehouse import mart_diff

    settings = LocalStack(acting_settings(), console=console).settings
    require_home(settings)
    if not settings.warehouse_is_local:
        raise DiffError(
            "The comparison makes two databases, which no role of the platform may do in an account. Run it on a local "
            "warehouse: SNOWFLAKE_ACCOUNT= music-platform up, simulate, then this command."
        )
    require_listeners(settings, WAREHOUSE)
    folder = Home(settings.home).dbt / "diff"
    try:
        projects = {"base": checkout(ref, folder / "base"), "head": project_root() / PROJECT}
        diffs = compare_versions(settings, projects, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(mart_diff.report(diffs, markdown))
    if exit_code and not all(each.is_same for each in diffs):
        raise typer.Exit(1)


def checkout(ref: str, folder: Path) -> Path:
    """The models of a version, in the folder. Raises DiffError for a version that git does not know."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", ref, PROJECT], cwd=project_root(), capture_output=True, check=False)
    if packed.returncode != 0:
        raise DiffError(f"git has no models of {ref!r}: {packed.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder / PROJECT


def compare_versions(settings: Settings, projects: dict[str, Path], folder: Path) -> "list[MartDiff]":
    """Build both versions into databases of their own and compare their marts; the databases are dropped at the end."""
    from music_platform.warehouse import mart_diff
    from music_platform.warehouse.connection import connect
    from music_platform.warehouse.schema import provision_warehouse

    databases = {side: f"{settings.snowflake_database}_DIFF_{side.upper()}" for side in SIDES}
    of = {side: settings.model_copy(update={"snowflake_database": databases[side]}) for side in SIDES}
    builds: dict[str, subprocess.Popen[str]] = {}
    with connect(settings) as session:
        cursor = session.cursor()
        try:
            for side in SIDES:
                cursor.execute(f"DROP DATABASE IF EXISTS {databases[side]}")
                provision_warehouse(of[side])
                mart_diff.copy_raw(session, settings.snowflake_database, databases[side])
            for side in SIDES:
                builds[side] = start_build(of[side], projects[side], folder / f"{side}-target")
            for side, build in builds.items():
                printed, _ = build.communicate()
                if build.returncode != 0:
                    raise DiffError(f"The models of {side} do not build:\n{printed[-3000:]}")
            keys = {side: mart_diff.marts_of(folder / f"{side}-target" / "manifest.json") for side in SIDES}
            before, after = (mart_diff.read_marts(session, databases[side], keys[side]) for side in SIDES)
            return mart_diff.compare(session, databases["base"], databases["head"], before, after)
        finally:
            for build in builds.values():
                build.kill()
            for side in SIDES:
                cursor.execute(f"DROP DATABASE IF EXISTS {databases[side]}")


def start_build(settings: Settings, project: Path, target: Path) -> "subprocess.Popen[str]":
    """Start dbt on all models of a project, without tests."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--no-use-colors"]
    command += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    command += ["--project-dir", str(project), "--profiles-dir", str(project)]
    places = {"DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target.with_name(f"{target.name}-logs"))}
    variables = {**os.environ, **inherited_environment(settings), **dagster_environment(settings), **places}
    return subprocess.Popen(
        command, env=variables, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
