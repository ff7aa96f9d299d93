"""Dagster's webserver behind the guard: `python -m music_platform.orchestration.webserver`.

The stock webserver executes mutations sent by GET, such as an image's address, and checks neither Host nor Origin.
"""

import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context

from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.orchestration._dagster import WorkspaceFileTarget, WorkspaceProcessContext
from music_platform.settings import Settings, get_settings
from music_platform.sources import SECRET_FILE
from music_platform.web_guard import WebGuard

#: Prefixes of Dagster's webserver paths that are not pages.
ENDPOINTS = ("/graphql", "/report_", "/download_debug", "/notebook", "/logs", "/dagit")


def serve(settings: Settings) -> None:
    """Serve Dagster's UI until the process is stopped."""
    if settings.music_secret is None:
        raise PlatformError(f"{settings.home / SECRET_FILE} is missing: start the platform with music-platform up.")
    with dg.DagsterInstance.get() as instance:
        # The stock webserver's defaults: a statement's timeout in ms, seconds until a connection is renewed, overflow.
        instance.optimize_for_webserver(15_000, 3600, 20)
        target = WorkspaceFileTarget(paths=[str(Home(settings.home).workspace)])
        with WorkspaceProcessContext(instance, workspace_load_target=target, version=dg.__version__) as context:
            application = create_app_from_workspace_process_context(context)
            guarded = WebGuard(application, settings.music_secret, str(settings.dagster_port), ENDPOINTS)
            uvicorn.run(guarded, host=settings.dagster_host, port=settings.dagster_port, log_level="warning")


if __name__ == "__main__":
    serve(get_settings())
