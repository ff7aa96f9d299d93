"""The state of a topic in Dagster's store: its offsets when they were last read, and when they last moved."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from music_platform.orchestration.keys import TOPIC_KEYS, topic_key

#: Metadata of a topic's materialization: when its end offsets were first seen where they are.
MOVED_AT = "moved_at"
VERSION_TAG = "dagster/data_version"


def topic_materialization(
    name: str, first: Mapping[int, int], end: Mapping[int, int], lag: int, moved_at: float
) -> dg.AssetMaterialization:
    """The topic as producers have filled it. Its data version is the hash of its end offsets."""
    return dg.AssetMaterialization(
        topic_key(name),
        metadata={
            "records": sum(end.values()) - sum(first.values()),
            "lag": lag,
            "end_offsets": dg.MetadataValue.json({str(p): offset for p, offset in sorted(end.items())}),
            MOVED_AT: dg.MetadataValue.timestamp(moved_at),
        },
        tags={VERSION_TAG: offsets_version(end)},
    )


def offsets_version(end: Mapping[int, int]) -> str:
    """The data version of a topic that ends at these offsets."""
    return hashlib.sha256(json.dumps(sorted(end.items())).encode()).hexdigest()[:16]


def moved_at(instance: dg.DagsterInstance, name: str, end: Mapping[int, int], now: float) -> float:
    """When the topic came to end at these offsets, in epoch seconds: `now` if it was not known to."""
    last = _last(instance, topic_key(name))
    if last is None or (last.tags or {}).get(VERSION_TAG) != offsets_version(end):
        return now
    return _moved_at(last)


def last_movement(instance: dg.DagsterInstance) -> float | None:
    """When a topic's end offsets were last seen to move, in epoch seconds; None if never."""
    found = (_last(instance, key) for key in TOPIC_KEYS.values())
    return max((_moved_at(last) for last in found if last is not None), default=None)


def _last(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.AssetMaterialization | None:
    event = instance.get_latest_materialization_event(key)
    return event.asset_materialization if event else None


def _moved_at(materialization: dg.AssetMaterialization) -> float:
    value: Any = materialization.metadata[MOVED_AT].value
    return float(value)
