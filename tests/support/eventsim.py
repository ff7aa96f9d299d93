"""Real eventsim output, ten days: its records, beside the checkout."""

import gzip
import os
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.lake import KIND_OF_TOPIC, Record

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EVENTSIM_DATA") or ROOT.parent / "shared" / "data" / "eventsim")
#: When the records were produced; after every event.
PRODUCED_MS = int((datetime(2027, 6, 25) - datetime(1970, 1, 1)).total_seconds() * 1000)
needs_eventsim = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no eventsim data in {DATA}: set EVENTSIM_DATA to the folder"
)


def eventsim_records() -> list[Record]:
    """Every line, topic by topic."""
    return [
        Record(topic, offset, line, PRODUCED_MS)
        for topic in KIND_OF_TOPIC
        for offset, line in enumerate(gzip.decompress((DATA / f"{topic}.jsonl.gz").read_bytes()).splitlines())
    ]
