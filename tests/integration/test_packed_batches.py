"""Batches that brokers take and Kafka's client cannot unpack, or unpacks to far more than they are."""

import gzip
import struct
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from aiokafka.record.util import calc_crc32c
from produce_topics import create_topic
from raw_records import RawRecord, publish_batches, to_batch

from flumen.streams.errors import KafkaUnavailable
from flumen.streams.kafka.errors import make_consumer
from flumen.streams.kafka.places import Places, Positions
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics, packed_topics
from flumen.streams.settings import Settings

GZIP, LZ4, ZSTD = 1, 3, 4
HEAD = 61
"""Bytes of a batch before its records."""


def lz4_frame(content: bytes) -> bytes:
    """One frame of one block that is stored as it is; the last byte of its head is its checksum."""
    return b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(content) | 1 << 31) + content + bytes(4)


def packed(value: bytes, codec: int, pack: Callable[[bytes], bytes]) -> bytes:
    """A batch of one record, packed so."""
    plain = to_batch([RawRecord(b"packed", value)])
    body = pack(plain[HEAD:])
    rest = struct.pack(">h", codec) + plain[23:HEAD] + body
    return (
        plain[:8]
        + struct.pack(">i", HEAD - 12 + len(body))
        + plain[12:17]
        + struct.pack(">I", calc_crc32c(rest))
        + rest
    )


def in_two(content: bytes) -> bytes:
    """Two members, which are one file by RFC 1952."""
    return gzip.compress(content[:9]) + gzip.compress(content[9:])


def lz4_with_more(content: bytes) -> bytes:
    return lz4_frame(content) + b"more"


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd"))


def test_topics_as_flumen_makes_them_hold_nothing_that_ends_reading(
    settings: Settings, observer: Any, png: bytes
) -> None:
    """And nothing that unpacks to more than the topic takes."""
    ensure_topics(settings)
    assert packed_topics(settings) == []
    batches = [
        packed(png, GZIP, in_two),
        packed(png, LZ4, lz4_with_more),
        packed(bytes(50_000_000), ZSTD, zstd),
        packed(png, GZIP, gzip.compress),
    ]
    assert len(batches[2]) < 10_000
    for topic in (settings.images_topic, settings.dead_topic, settings.control_topic, settings.audit_topic):
        assert publish_batches(settings.kafka_servers, topic, batches) == [0, 1, None, 2], topic
        assert [raw.value for raw in observer.read(topic)] == [png] * 3, topic


class Hastening:
    """A clock that each look sets forth by six seconds, once it is told to: nobody waits for what never comes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.hastens = False

    def hasten(self, _: object) -> None:
        self.hastens = True

    def __call__(self) -> float:
        self.now += 6 * self.hastens
        return self.now


@pytest.mark.parametrize("pack", [in_two, lz4_with_more])
def test_where_another_topic_cannot_be_read_on_is_known(
    pack: Callable[[bytes], bytes],
    settings: Settings,
    wait_until: Callable[..., Any],
    png: bytes,
) -> None:
    """Also to a worker that begins there, and never takes a message."""
    servers, topic = settings.kafka_servers, settings.images_topic
    create_topic(servers, topic, partitions=2)
    assert packed_topics(settings) == [topic]
    plain = packed(png, 0, bytes)
    codec = GZIP if pack is in_two else LZ4
    assert publish_batches(servers, topic, [plain, packed(png, codec, pack), plain]) == [0, 1, 2]
    clock = Hastening()
    with closing(TopicReader(settings, clock)) as reader:
        for read in (reader.read, lambda name: reader.follow([name])):
            said = f"{topic}/0/1 (cannot be read, nor|and) what stands behind"
            with pytest.raises(KafkaUnavailable, match=said):
                list(map(clock.hasten, read(topic)))
            clock.hastens = False
    for lag in (2, 0):
        with closing(make_consumer(settings.consumer_config())) as consumer:
            consumer.subscribe([topic])
            positions = Positions(settings.consumer_config())

            def is_told(expected: Places) -> bool:
                message = consumer.poll(0)
                if message is not None and message.error() is None:
                    consumer.commit(message, asynchronous=False)
                return positions.look(consumer, frozenset()) == expected  # noqa: B023

            wait_until(partial(is_told, Places(lag, frozenset({f"{topic}/0/1"}))), "the place to be told")
            assert positions.look(consumer, {(topic, 0)}) == Places(lag, frozenset()), (
                "nobody waits at a paused one"
            )
