"""What the brokers say while a partition's leader changes."""

import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from music_platform import topics
from music_platform.topics import TopicOffsets, high_watermarks

CONFIG = {"bootstrap.servers": "127.0.0.1:1"}


class Answers:
    """An admin client that gives each partition's answers in turn, the last one for ever."""

    def __init__(self, answers: dict[int, list[int | KafkaError]]) -> None:
        self.answers, self.asked = answers, list[list[int]]()

    def list_offsets(self, wanted: dict[TopicPartition, object], **_: object) -> dict[TopicPartition, Any]:
        self.asked.append([where.partition for where in wanted])
        futures = {}
        for where in wanted:
            answers = self.answers[where.partition]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            future: Future[Any] = Future()
            if isinstance(answer, KafkaError):
                future.set_exception(KafkaException(answer))
            else:
                future.set_result(SimpleNamespace(offset=answer))
            futures[where] = future
        return futures


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "ELECTION_PAUSE", 0.01)


def asked_of(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[int, int]]:
    client = SimpleNamespace(admin=answers, result=lambda future: future.result(), last_error="")
    monkeypatch.setattr(topics, "Brokers", lambda _: client)
    parts = dict.fromkeys(answers.answers, 0)
    return high_watermarks(CONFIG, TopicOffsets({"t": parts}, {"t": parts}, {"t": "id"}, {}))


def test_a_partition_whose_leader_is_changing_is_asked_about_again_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moving = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)
    answers = Answers({0: [7], 1: [moving, KafkaError(KafkaError.LEADER_NOT_AVAILABLE), 9]})
    assert asked_of(answers, monkeypatch) == {"t": {0: 7, 1: 9}}
    assert answers.asked == [[0, 1], [1], [1]]


def test_an_election_that_does_not_end_is_the_trouble_of_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "TIMEOUT", 0.1)
    started = time.monotonic()
    answers = Answers({0: [7], 1: [KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)]})
    assert asked_of(answers, monkeypatch) == {}
    assert time.monotonic() - started >= 0.1
    refused = Answers({0: [KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)]})
    assert asked_of(refused, monkeypatch) == {}
    assert len(refused.asked) == 1
