"""Dead letters against the size that their topic takes."""

from typing import Any

import pytest
from produce_topics import create_topic

from interceptor import ImageMessage, Reject
from streams.dead_letters import DeadLetters
from streams.errors import TopicTooSmall
from streams.settings import Settings
from streams.wire import RawMessage


class Model:
    name, version = "mnist", 1


def reject(offset: int, size_bytes: int) -> Reject:
    raw = RawMessage("images", 0, offset, f"key-{offset}".encode(), b"x" * size_bytes, (), 1)
    return Reject(
        ImageMessage(f"key-{offset}", b"x" * size_bytes, 0, origin=raw), "decode", ValueError("bad")
    )


def test_letters_that_each_fit_are_taken_together(settings: Settings, observer: Any) -> None:
    create_topic(settings.kafka_servers, settings.dead_topic, **{"max.message.bytes": "60000"})
    letters = DeadLetters(settings.dead_topic, settings.producer_config())
    model: Any = Model()
    letters.publish([reject(offset, 30_000) for offset in range(10)], model)
    assert len(list(observer.read(settings.dead_topic))) == 10
    with pytest.raises(TopicTooSmall, match="70,000 bytes"):
        letters.publish([reject(10, 30_000), reject(11, 70_000), reject(12, 30_000)], model)
    assert len(list(observer.read(settings.dead_topic))) == 12, "one that is too large spoils no other"
