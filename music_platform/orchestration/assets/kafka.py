"""The topics as assets. Producers fill them: materializing one reads its offsets and writes nothing to it.

They can be materialized so that every selection can be: `group:kafka`, or a topic and everything downstream of it.
"""

from collections.abc import Iterator

import dagster as dg

from music_platform.contracts import events, shapes
from music_platform.ingestion.backlog import read_kafka_backlog
from music_platform.orchestration._dagster import get_current_timestamp
from music_platform.orchestration.keys import KAFKA, OWNERS, topic_key
from music_platform.orchestration.resources import sentences
from music_platform.orchestration.runs import name_process
from music_platform.orchestration.topic_state import moved_at, topic_materialization
from music_platform.settings import Settings
from music_platform.topics import topic_names

_DESCRIPTIONS = {
    events.LISTEN: "A user plays a song.",
    events.PAGE_VIEW: "A user views a page, or skips, pauses, rates or adds a song to a playlist.",
    events.AUTH: "A user tries to log in.",
    events.STATUS_CHANGE: "A user switches between free and paid.",
}


def build_topics(settings: Settings) -> dg.AssetsDefinition:
    """The topics of these settings, as one op that reads the offsets of any subset of them."""
    specs = [
        dg.AssetSpec(
            topic_key(name),
            group_name=KAFKA,
            kinds={"kafka"},
            owners=OWNERS,
            description=f"{_description(settings, name)} Records as producers wrote them, kept for the broker's "
            "retention. The lag sensor reports its offsets when they move; materializing it reads them now.",
            metadata={
                "topic": topic,
                "brokers": settings.bootstrap_servers,
                "dagster/uri": f"kafka://{settings.bootstrap_servers}/{topic}",
            },
        )
        for name, topic in topic_names(settings).items()
    ]

    @dg.multi_asset(name="topics", specs=specs, can_subset=True)
    def topics(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[None]]:
        name_process(context.instance, context.run_id)
        with sentences():
            offsets, backlog = read_kafka_backlog(settings)
            for name, topic in topic_names(settings).items():
                if topic_key(name) not in context.selected_asset_keys:
                    continue
                if topic in offsets.troubles:
                    raise offsets.troubles[topic]
                end = offsets.end[topic]
                moved = moved_at(context.instance, name, end, get_current_timestamp())
                state = topic_materialization(name, offsets.first[topic], end, backlog.behind[topic], moved)
                yield dg.MaterializeResult(asset_key=state.asset_key, metadata=state.metadata, tags=state.tags)

    return topics


def _description(settings: Settings, name: str) -> str:
    shape = settings.shape_of_topic.get(name)
    return shapes.mapped()[shape].description if shape else _DESCRIPTIONS[name]
