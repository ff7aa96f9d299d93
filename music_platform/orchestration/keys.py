"""Asset keys and groups. A key is [layer, name]; a group is the layer."""

import dagster as dg

from music_platform.contracts import events, reference

OWNERS = ["team:music-platform"]

KAFKA, LAKE, RAW, STAGING, SILVER, GOLD, ML, OPS = "kafka", "lake", "raw", "staging", "silver", "gold", "ml", "ops"

TOPIC_KEYS: dict[str, dg.AssetKey] = {kind: dg.AssetKey([KAFKA, topic]) for kind, topic in events.TOPICS.items()}


def topic_key(name: str) -> dg.AssetKey:
    """Key of a topic: by its event kind, or by its own name if it is of another producer's shape."""
    return TOPIC_KEYS.get(name, dg.AssetKey([KAFKA, name]))


LAKE_EVENTS = dg.AssetKey([LAKE, "events"])
RAW_EVENTS = dg.AssetKey([RAW, "events"])
REFERENCE_KEYS: dict[str, dg.AssetKey] = {t.name: dg.AssetKey([RAW, t.name]) for t in reference.TABLES}
LOADS_LEDGER, BUILDS_LEDGER = dg.AssetKey([OPS, "loads"]), dg.AssetKey([OPS, "builds"])
#: The check that counts every partition from Kafka to RAW.
CONSERVATION = dg.AssetCheckKey(RAW_EVENTS, "conservation")
#: Beginning of its description where nothing could be compared, so that the verdict before stands.
NOT_RECONCILED = "not reconciled now"
#: The check that looks for files that no micro-batch will read.
INTAKE = dg.AssetCheckKey(LAKE_EVENTS, "intake")

#: Models that are learned, and the checks of each: whether it may be published, and whether its population has changed.
LEARNED = ("recommendations", "churn_risk", "suspicious_streams", "listener_segments", "songs_heard_together")
BEATS_BASELINES, DRIFTS = "beats_baselines", "drift"
LEARNED_CHECKS = [
    dg.AssetCheckKey(dg.AssetKey([ML, model]), check) for model in LEARNED for check in (BEATS_BASELINES, DRIFTS)
]


def model_of(key: dg.AssetKey) -> str:
    """The asset's name in the ledgers of OPS: a model's own name, or the full name of a table that no model makes."""
    layer, name = key.path
    return name if layer in (STAGING, SILVER, GOLD, ML, OPS) else f"{layer}.{name}".upper()
