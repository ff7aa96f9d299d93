"""`music-platform watch`: look at the platform and tell people what is wrong. `up` keeps it running."""

from music_platform.settings import get_settings


def watch() -> None:
    """Look at services, runs, checks, freshness and lag until the process ends; alerts go to ALERT_URLS."""
    from music_platform.monitoring.watch import run

    run(get_settings())
