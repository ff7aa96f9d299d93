"""Topics of brokers that give no ids."""

import re

from confluent_kafka import Uuid
from hypothesis import given
from hypothesis import strategies as st

from music_platform.contracts.events import COORDINATES
from music_platform.topics import NO_ID, identity


def test_topics_without_an_id_are_told_apart_by_their_names() -> None:
    """Coordinates begin with it, and the earliest record with an id wins: two topics must not share theirs."""
    assert str(Uuid(0, 0)) == NO_ID
    assert identity("listen_events", NO_ID) != identity("page_view_events", NO_ID)
    assert identity("listen_events", str(Uuid(1, 2))) == str(Uuid(1, 2))


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, INT64)
def test_every_topic_id_that_kafka_can_give_is_one_of_a_records_coordinates(high: int, low: int) -> None:
    """The client writes ids in base64 with + and /: a header that names such a record has to be taken for one."""
    topic_id = identity("listen_events", str(Uuid(high, low)))
    assert re.match(COORDINATES, f"{topic_id}/0/9223372036854775807")
