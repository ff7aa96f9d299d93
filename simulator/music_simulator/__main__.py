"""`python -m music_simulator` is `music-platform simulate`."""

import sys

import typer

from music_platform.errors import PlatformError
from music_simulator.cli import simulate

app = typer.Typer(add_completion=False)
app.command("simulate")(simulate)

if __name__ == "__main__":
    try:
        app(prog_name="music-platform simulate")
    except PlatformError as error:
        print(f"error {error}", file=sys.stderr)
        sys.exit(error.exit_code)
