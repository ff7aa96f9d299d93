"""When a topic moved, which the watch asks for, and that materializing a topic by hand does not change it."""

import dagster as dg

from music_platform.contracts import events
from music_platform.orchestration.topic_state import last_movement, moved_at, topic_materialization


def test_a_topic_has_moved_when_its_end_is_another_than_the_last_reported_one() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert last_movement(instance) is None
        assert moved_at(instance, events.LISTEN, {0: 7}, 100.0) == 100.0
        instance.report_runless_asset_event(topic_materialization(events.LISTEN, {0: 2}, {0: 7}, 5, 100.0))
        assert moved_at(instance, events.LISTEN, {0: 7}, 200.0) == 100.0
        instance.report_runless_asset_event(topic_materialization(events.LISTEN, {0: 2}, {0: 7}, 5, 100.0))
        assert last_movement(instance) == 100.0
        assert moved_at(instance, events.LISTEN, {0: 8}, 200.0) == 200.0
        instance.report_runless_asset_event(topic_materialization(events.AUTH, {0: 0}, {0: 1}, 0, 150.0))
        assert last_movement(instance) == 150.0
