"""Topics for the tests of `flumen produce`, and reading back what was published."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import cast

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from flumen.interceptor import ImageMessage
from flumen.streams.kafka.message import Headers, RawMessage
from flumen.streams.wire import to_image


def create_topic(kafka: str, name: str, partitions: int = 1, **config: str) -> str:
    """Create a topic, with one partition where order is compared."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([topic], operation_timeout=30)[name].result()
    # The controller has made it; the broker learns of it a moment later.
    deadline = time.monotonic() + 60
    while name not in admin.list_topics(timeout=30).topics:
        assert time.monotonic() < deadline, f"no broker knows the topic {name}"
        time.sleep(0.05)
    return name


def published(kafka: str, topic: str, group: str, deadline_s: float = 60) -> list[ImageMessage]:
    """Return every image in a topic, from its beginning to the end it has now."""
    config = {
        "bootstrap.servers": kafka,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "enable.auto.commit": False,
    }
    with closing(Consumer(config)) as consumer:
        consumer.subscribe([topic])
        return [to_image(_raw(message), 1) for message in _until_the_end(consumer, deadline_s)]


def _until_the_end(consumer: Consumer, deadline_s: float) -> Iterator[Message]:
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.5):
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return
            yield message
    raise AssertionError(f"the topic was not read to its end in {deadline_s} s")


def _raw(message: Message) -> RawMessage:
    place = (str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
    headers = cast(Headers, message.headers() or ())
    return RawMessage(*place, message.key(), message.value(), tuple(headers), message.timestamp()[1])
