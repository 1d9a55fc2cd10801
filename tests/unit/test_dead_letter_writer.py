"""What no real broker can be made to answer here; the rest stands in tests/integration and tests/faults."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from flumen.interceptor import ImageMessage, Reject
from flumen.streams.dead_letters.writer import DeadLetterWriter
from flumen.streams.errors import DeadLettersUnavailable
from flumen.streams.kafka import producer
from flumen.streams.kafka.message import RawMessage


class Model:
    name, version = "mnist", 1


class StandIn:
    """As a producer: `fatal` ones refuse everything, the others acknowledge when they are flushed."""

    made: list["StandIn"]
    fatal: bool = False

    def __init__(self, *_: Any, **__: Any) -> None:
        self.sent: list[bytes] = []
        self._waiting: list[Callable[[object, object], None]] = []
        StandIn.made.append(self)

    def produce(self, _topic: str, *, key: bytes, on_delivery: Any, **_: Any) -> None:
        if self.fatal:
            raise KafkaException(KafkaError(KafkaError._FATAL, "out of order", True))
        self.sent.append(key)
        self._waiting.append(on_delivery)

    def flush(self) -> None:
        for on_delivery in self._waiting:
            on_delivery(None, None)
        self._waiting.clear()


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> DeadLetterWriter:
    StandIn.made = []
    monkeypatch.setattr(producer, "make_producer", StandIn)
    return DeadLetterWriter("images.dead", {})


def reject(offset: int, timestamp_ms: int = 1) -> Reject:
    raw = RawMessage("images", 0, offset, f"key-{offset}".encode(), b"no image", (), timestamp_ms)
    return Reject(ImageMessage(f"key-{offset}", b"no image", 0, origin=raw), "decode", ValueError("no image"))


def test_a_message_that_is_delivered_again_is_not_sent_again(writer: DeadLetterWriter) -> None:
    model: Any = Model()
    writer.publish([reject(1), reject(2)], model)
    writer.publish([reject(2), reject(3)], model)
    assert StandIn.made[0].sent == [b"key-1", b"key-2", b"key-3"]


def test_an_offset_of_a_topic_made_anew_is_another_message(writer: DeadLetterWriter) -> None:
    model: Any = Model()
    writer.publish([reject(1, timestamp_ms=1)], model)
    writer.publish([reject(1, timestamp_ms=2)], model)
    assert StandIn.made[0].sent == [b"key-1", b"key-1"]


def test_only_so_many_are_remembered(writer: DeadLetterWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = Model()
    monkeypatch.setattr("flumen.streams.dead_letters.writer._REMEMBERED", 2)
    writer.publish([reject(1), reject(2), reject(3)], model)
    writer.publish([reject(1), reject(3)], model)
    assert StandIn.made[0].sent == [b"key-1", b"key-2", b"key-3", b"key-1"]


def test_a_producer_that_failed_for_good_is_made_anew(writer: DeadLetterWriter) -> None:
    model: Any = Model()
    StandIn.made[0].fatal = True
    with pytest.raises(DeadLettersUnavailable, match=r"1 dead letters are not acknowledged .*out of order"):
        writer.publish([reject(1)], model)
    writer.publish([reject(1)], model)
    assert [producer.sent for producer in StandIn.made] == [[], [b"key-1"]]
