"""One reader of topics: to their ends, at a place, and on behind it, over a real broker."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from produce_topics import create_topic

from flumen.streams.errors import TopicMissing
from flumen.streams.kafka.message import Outgoing
from flumen.streams.kafka.producer import command_producer
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.transactions import ExclusiveProducer
from flumen.streams.settings import Settings


def outgoing(topic: str, *values: bytes) -> list[Outgoing]:
    return [Outgoing(topic, b"key", value, []) for value in values]


@pytest.fixture
def topic(settings: Settings) -> str:
    create_topic(settings.kafka_servers, settings.images_topic, partitions=1)
    return settings.images_topic


def test_a_topic_is_read_to_its_end_also_by_one_who_takes_his_time(settings: Settings, topic: str) -> None:
    assert command_producer(settings).send(outgoing(topic, b"1", b"2", b"3")) == [None] * 3
    now = 0.0
    with closing(TopicReader(settings, lambda: now)) as reader:
        for read in (reader.read, lambda name: reader.follow([name])):
            values = []
            for raw in read(topic):
                values.append(raw.value)
                now += 3600
            assert values == [b"1", b"2", b"3"]


def test_one_place_is_read(settings: Settings, observer: Any, topic: str) -> None:
    assert command_producer(settings).send(outgoing(topic, b"1", b"2")) == [None] * 2
    found = [observer.read_one(topic, partition, offset) for partition, offset in ((0, 1), (0, 2), (1, 0))]
    assert [raw and raw.value for raw in found] == [b"2", None, None]
    with pytest.raises(TopicMissing, match="no topic 'nobody-made-it'; the first `flumen worker` makes it"):
        observer.read_one("nobody-made-it", 0, 0)


def test_partitions_that_are_added_later_are_read(
    settings: Settings, observer: Any, topic: str, wait_until: Callable[..., Any]
) -> None:
    assert list(observer.read(topic)) == []
    admin = AdminClient(settings.admin_config())
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result()
    wait_until(lambda: len(observer._places(topic)) == 3, "the new partitions")
    messages = [Outgoing(topic, b"%d" % number, b"", []) for number in range(20)]
    assert set(command_producer(settings).send(messages)) == {None}
    read = list(observer.read(topic))
    assert {raw.partition for raw in read} == {0, 1, 2}
    assert [raw.partition for raw in read] == sorted(raw.partition for raw in read), "one after the other"
    assert observer.progress(topic).published == 20


def test_what_is_new_is_read_once_it_is_committed(
    settings: Settings, topic: str, wait_until: Callable[..., Any]
) -> None:
    def news(reader: TopicReader) -> Iterator[bytes | None]:
        return (raw.value for raw in reader.news(0.2))

    properties = settings.kafka_properties | {"isolation.level": "read_uncommitted"}
    anyhow = settings.model_copy(update={"kafka_properties": properties})
    writer = ExclusiveProducer(settings.producer_config(), f"flumen-{topic}")
    writer.take()
    writer.commit(outgoing(topic, b"first"))
    with closing(TopicReader(anyhow)) as reader:
        assert [raw.value for raw in reader.follow([topic])] == [b"first"]
        assert writer._client is not None
        writer._client.begin_transaction()
        writer._client.produce(topic, value=b"given up")
        writer._client.flush()
        assert list(news(reader)) == []
        writer._client.abort_transaction()
        writer.commit(outgoing(topic, b"second"))
        heard: list[bytes | None] = []
        wait_until(lambda: heard.extend(news(reader)) or heard, "what was committed")
        assert heard == [b"second"]
    writer.let_go()
