"""The topics as external assets: others fill them, the lag sensor observes them."""

import hashlib
import json
from collections.abc import Mapping

import dagster as dg

from music_platform.assets.keys import KAFKA, OWNERS, TOPIC_KEYS
from music_platform.contracts import events
from music_platform.settings import Settings

_DESCRIPTIONS = {
    events.LISTEN: "A song is played.",
    events.PAGE_VIEW: "A page is viewed; also skips, pauses, thumbs and playlist additions.",
    events.AUTH: "Somebody tries to log in.",
    events.STATUS_CHANGE: "A user changes between free and paid.",
}


def topic_specs(settings: Settings) -> list[dg.AssetSpec]:
    """One external asset for each topic."""
    return [
        dg.AssetSpec(
            key,
            group_name=KAFKA,
            kinds={"kafka"},
            owners=OWNERS,
            description=f"{_DESCRIPTIONS[kind]} Records as the producers wrote them; kept for the broker's retention.",
            metadata={"topic": settings.topic_prefix + events.TOPICS[kind], "brokers": settings.bootstrap_servers},
        )
        for kind, key in TOPIC_KEYS.items()
    ]


def topic_observation(kind: str, first: Mapping[int, int], end: Mapping[int, int], lag: int) -> dg.AssetObservation:
    """What is in a topic now. Its data version is the hash of its end offsets."""
    version = hashlib.sha256(json.dumps(sorted(end.items())).encode()).hexdigest()[:16]
    return dg.AssetObservation(
        TOPIC_KEYS[kind],
        metadata={
            "records": sum(end.values()) - sum(first.values()),
            "lag": lag,
            "end_offsets": dg.MetadataValue.json({str(p): offset for p, offset in sorted(end.items())}),
        },
        tags={"dagster/data_version": version},
    )
