"""The command line: one module for each group of commands. Nothing here decides; it parses, asks, calls and prints."""

from music_platform.cli.main import app

__all__ = ["app"]
