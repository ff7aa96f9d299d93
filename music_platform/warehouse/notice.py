"""Says in the home that marts or their checks have changed, so that whoever shows them need not ask the warehouse.

The dashboard watches the file's time: while nothing changes it sends no statement, and an account's warehouse sleeps.
A dbt in a shell says nothing; the dashboard then sees the change when somebody next uses it.
"""

from music_platform.home import Home
from music_platform.settings import Settings


def say_changed(settings: Settings) -> None:
    """Note that something has changed. A home that cannot be written to is no reason to fail a build."""
    try:
        Home(settings.home).changed.touch()
    except OSError as error:
        print(f"{Home(settings.home).changed} could not be touched: {error.strerror}", flush=True)
