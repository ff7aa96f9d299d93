"""The dashboard behind the guard: `python -m music_platform.dashboard`. What it shows is in dashboard/.

Streamlit's own server would answer every program of this machine and every page in a local browser.
"""

import logging
import os
import sys

from music_platform.environment import project_root
from music_platform.errors import PlatformError
from music_platform.settings import Settings, get_settings
from music_platform.sources import SECRET_FILE
from music_platform.web_guard import WebGuard

FOLDER = project_root() / "dashboard"
#: Streamlit's own names win over any file of a person's. Nothing is sent to anybody.
OPTIONS = {
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_SERVER_HEADLESS": "true",
    "STREAMLIT_LOGGER_LEVEL": "warning",
}
#: Prefixes of Streamlit's paths that are not pages.
ENDPOINTS = ("/_stcore", "/media", "/component")
#: Command that prints the address which logs a browser in.
COMMAND = "music-platform dashboard"


def serve(settings: Settings) -> None:
    """Serve the dashboard until the process is stopped."""
    if settings.music_secret is None:
        raise PlatformError(f"{settings.home / SECRET_FILE} is missing: start the platform with music-platform up.")
    os.environ.update(OPTIONS)
    # As Streamlit does for its own scripts, and Snowflake for the same files.
    sys.path.insert(0, str(FOLDER))
    import uvicorn
    from streamlit.starlette import App

    # Streamlit would log every request, and with the first one the key.
    logging.getLogger("uvicorn.access").disabled = True
    application = App(FOLDER / "streamlit_app.py")
    guarded = WebGuard(application, settings.music_secret, str(settings.dashboard_port), ENDPOINTS, COMMAND)
    uvicorn.run(
        guarded, host=settings.dashboard_host, port=settings.dashboard_port, log_level="warning", access_log=False
    )


if __name__ == "__main__":
    serve(get_settings())
