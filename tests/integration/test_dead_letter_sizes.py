"""Dead writer against the size that their topic takes."""

from random import Random
from typing import Any

import pytest
from produce_topics import create_topic

from flumen.interceptor import ImageMessage, Reject
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.dead_letters.queue import Entry, ReplayRules, refusal
from flumen.streams.dead_letters.resolutions import UNRESOLVED
from flumen.streams.dead_letters.writer import DeadLetterWriter
from flumen.streams.errors import TopicTooSmall
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings


class Model:
    name, version = "mnist", 1


def reject(offset: int, content: bytes) -> Reject:
    raw = RawMessage("images", 0, offset, f"key-{offset}".encode(), content, (("own", b"1"),), 1)
    return Reject(ImageMessage(f"key-{offset}", content, 0, origin=raw), "decode", ValueError("bad"))


def noise(size_bytes: int) -> bytes:
    return Random(1).randbytes(size_bytes)


def test_dead_letters_that_each_fit_are_taken_together(settings: Settings, observer: Any) -> None:
    create_topic(settings.kafka_servers, settings.dead_topic, **{"max.message.bytes": "60000"})
    writer = DeadLetterWriter(settings.dead_topic, settings.producer_config())
    model: Any = Model()
    writer.publish([reject(offset, noise(30_000)) for offset in range(10)], model)
    assert len(list(observer.read(settings.dead_topic))) == 10
    with pytest.raises(TopicTooSmall, match="70,000 bytes"):
        writer.publish(
            [reject(10, noise(30_000)), reject(11, noise(70_000)), reject(12, noise(30_000))], model
        )
    assert len(list(observer.read(settings.dead_topic))) == 12, "one that is too large spoils no other"


def test_what_came_packed_is_sent_packed_and_what_is_too_large_even_so_without_its_bytes(
    settings: Settings, observer: Any
) -> None:
    create_topic(settings.kafka_servers, settings.dead_topic, **{"max.message.bytes": "60000"})
    config = settings.producer_config() | {"message.max.bytes": 50_000}  # what a message may have
    writer = DeadLetterWriter(settings.dead_topic, config)
    model: Any = Model()
    writer.publish([reject(1, bytes(5_000_000)), reject(2, noise(30_000)), reject(3, noise(70_000))], model)
    raws = {raw.key: raw for raw in observer.read(settings.dead_topic)}
    assert raws[b"key-1"].value == bytes(5_000_000)
    assert raws[b"key-2"].value == noise(30_000)
    assert raws[b"key-3"].value is None
    dead_letter = read_dead_letter(raws[b"key-3"])
    assert (dead_letter.origin, dead_letter.reason, dead_letter.left_out_bytes) == (
        "images/0/3",
        "bad",
        70_006,
    )
    assert "own" not in dict(raws[b"key-3"].headers)
    entry = Entry(dead_letter, UNRESOLVED, raws[b"key-3"])
    assert "70,006 bytes" in refusal(entry, ReplayRules(), frozenset({"images"}))
