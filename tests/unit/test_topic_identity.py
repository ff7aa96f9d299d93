"""Topics of brokers that give no ids."""

from confluent_kafka import Uuid

from music_platform.topics import NO_ID, identity


def test_topics_without_an_id_are_told_apart_by_their_names() -> None:
    """Coordinates begin with it, and the earliest record with an id wins: two topics must not share theirs."""
    assert str(Uuid(0, 0)) == NO_ID
    assert identity("listen_events", NO_ID) != identity("page_view_events", NO_ID)
    assert identity("listen_events", str(Uuid(1, 2))) == str(Uuid(1, 2))
