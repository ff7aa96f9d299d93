"""Real eventsim output, ten days: its lines, beside the checkout."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def eventsim_folder() -> Path:
    """The folder with eventsim's output; skips the test where there is none."""
    folder = Path(os.environ.get("EVENTSIM_DATA") or ROOT.parent / "shared" / "data" / "eventsim")
    if not folder.is_dir():
        pytest.skip(f"no eventsim data: {folder} does not exist; EVENTSIM_DATA names another folder")
    return folder


def eventsim_lines(topic: str) -> Iterator[bytes]:
    """The lines of a topic, without the newlines."""
    with gzip.open(eventsim_folder() / f"{topic}.jsonl.gz") as lines:
        for line in lines:
            yield line.rstrip(b"\n")
