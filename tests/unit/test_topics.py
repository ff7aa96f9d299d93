"""What the brokers say while a partition's leader changes."""

import time
from collections.abc import Collection
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from music_platform import topics
from music_platform.topics import LeaderlessError, TopicOffsets, high_watermarks, readable_offsets

CONFIG = {"bootstrap.servers": "127.0.0.1:1"}
MOVING, AWAY = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION), KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
FORBIDDEN = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Answers:
    """An admin client of one topic that gives each partition's answers in turn, the last one for ever: an offset, an
    error, or None while the description shows no leader."""

    def __init__(self, answers: dict[int, list[int | KafkaError | None]]) -> None:
        self.answers, self.described = answers, 0

    def describe_topics(self, *_: object, **__: object) -> dict[str, Any]:
        self.described += 1
        leaders = {number: self._next(number) if answers[0] is None else 1 for number, answers in self.answers.items()}
        infos = [SimpleNamespace(id=number, leader=leader) for number, leader in leaders.items()]
        return {"t": done(SimpleNamespace(topic_id="id", partitions=infos))}

    def list_offsets(self, wanted: dict[TopicPartition, object], **_: object) -> dict[TopicPartition, Any]:
        return {where: done(self._next(where.partition), offset=True) for where in wanted}

    def _next(self, number: int) -> int | KafkaError | None:
        answers = self.answers[number]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def done(answer: Any, offset: bool = False) -> "Future[Any]":
    future: Future[Any] = Future()
    if isinstance(answer, KafkaError):
        future.set_exception(KafkaException(answer))
    else:
        future.set_result(SimpleNamespace(offset=answer) if offset else answer)
    return future


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "ELECTION_PAUSE", 0.01)


def ask(
    monkeypatch: pytest.MonkeyPatch, answers: Answers, patience: float = 10.0, hopeless: Collection[str] = ()
) -> TopicOffsets:
    client = SimpleNamespace(admin=answers, where="here", result=lambda future: future.result(), last_error="")
    monkeypatch.setattr(topics, "Brokers", lambda _: client)
    return readable_offsets(CONFIG, ["t"], patience, hopeless)


@pytest.mark.parametrize("electing", [[MOVING, AWAY, 9], [None, None, 9], [None, MOVING, 9]])
def test_while_leaders_are_elected_it_asks_again(
    monkeypatch: pytest.MonkeyPatch, electing: list[int | KafkaError | None]
) -> None:
    found = ask(monkeypatch, Answers({0: [7], 1: electing}))
    assert (found.end, found.ids, found.troubles) == ({"t": {0: 7, 1: 9}}, {"t": "id"}, {})


@pytest.mark.parametrize("answer", [MOVING, None])
def test_an_election_that_does_not_end_is_the_trouble_of_its_topic(
    monkeypatch: pytest.MonkeyPatch, answer: KafkaError | None
) -> None:
    started, answers = time.monotonic(), Answers({0: [7], 1: [answer]})
    found = ask(monkeypatch, answers, patience=0.1)
    assert time.monotonic() - started >= 0.1
    assert (found.end, found.ids) == ({}, {})
    assert isinstance(found.troubles["t"], LeaderlessError)
    assert "no leader for partition 1" in str(found.troubles["t"])
    answers.described = 0
    assert ask(monkeypatch, answers, hopeless=["t"]).troubles.keys() == {"t"}
    assert answers.described == 1, "it was waited for before"


def test_what_no_election_explains_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers({0: [FORBIDDEN]})
    found = ask(monkeypatch, answers)
    assert answers.described == 1
    assert not isinstance(found.troubles["t"], LeaderlessError)


def test_the_high_watermarks_are_those_of_the_topics_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, Answers({0: [7], 1: [8]}))
    parts = {0: 0, 1: 0}
    offsets = TopicOffsets({"t": parts}, {"t": parts}, {"t": "id"}, {})
    assert high_watermarks(CONFIG, offsets) == {"t": {0: 7, 1: 8}}
    ask(monkeypatch, Answers({0: [7], 1: [MOVING]}), patience=0)
    assert high_watermarks(CONFIG, offsets) == {}
