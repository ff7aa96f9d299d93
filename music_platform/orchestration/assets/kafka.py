"""The topics as external assets: producers fill them, the lag sensor observes them."""

import hashlib
import json
from collections.abc import Mapping

import dagster as dg

from music_platform.contracts import events, shapes
from music_platform.orchestration.keys import KAFKA, OWNERS, topic_key
from music_platform.settings import Settings
from music_platform.topics import topic_names

_DESCRIPTIONS = {
    events.LISTEN: "A user plays a song.",
    events.PAGE_VIEW: "A user views a page, or skips, pauses, rates or adds a song to a playlist.",
    events.AUTH: "A user tries to log in.",
    events.STATUS_CHANGE: "A user switches between free and paid.",
}


def topic_specs(settings: Settings) -> list[dg.AssetSpec]:
    """One external asset per topic."""
    return [
        dg.AssetSpec(
            topic_key(name),
            group_name=KAFKA,
            kinds={"kafka"},
            owners=OWNERS,
            description=f"{_description(settings, name)} Records as producers wrote them, kept for the broker's "
            "retention.",
            metadata={"topic": topic, "brokers": settings.bootstrap_servers},
        )
        for name, topic in topic_names(settings).items()
    ]


def _description(settings: Settings, name: str) -> str:
    shape = settings.shape_of_topic.get(name)
    return shapes.mapped()[shape].description if shape else _DESCRIPTIONS[name]


def topic_observation(name: str, first: Mapping[int, int], end: Mapping[int, int], lag: int) -> dg.AssetObservation:
    """The topic's current state. Its data version is the hash of its end offsets."""
    version = hashlib.sha256(json.dumps(sorted(end.items())).encode()).hexdigest()[:16]
    return dg.AssetObservation(
        topic_key(name),
        metadata={
            "records": sum(end.values()) - sum(first.values()),
            "lag": lag,
            "end_offsets": dg.MetadataValue.json({str(p): offset for p, offset in sorted(end.items())}),
        },
        tags={"dagster/data_version": version},
    )
