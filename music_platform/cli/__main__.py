"""`python -m music_platform.cli` is `music-platform`."""

import sys

from music_platform.cli import app

if __name__ == "__main__":
    sys.exit(app())
