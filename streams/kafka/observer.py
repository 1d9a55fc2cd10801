"""Looking at topics from outside: how far a group has come, and what they hold."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from flumen.streams.errors import KafkaUnavailable, TopicMissing
from flumen.streams.kafka.connection import Connection, refusal
from flumen.streams.kafka.errors import kafka_error, make_consumer
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.received import raw_message
from flumen.streams.settings import Settings

Answer = TypeVar("Answer")

_TIMEOUT_S = 10.0
_MOVES = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Messages of a topic: all that are there, and how many of them a group has acknowledged."""

    published: int
    acknowledged: int


class TopicObserver:
    """Asks one broker about offsets, without joining any group."""

    def __init__(self, settings: Settings) -> None:
        config = settings.consumer_config()
        self._connection = Connection(config)
        self._consumer = make_consumer(
            {
                **config,
                "error_cb": self._connection.hear,
                "allow.auto.create.topics": False,
                "enable.partition.eof": True,
                "log_level": 2,
            }
        )

    def progress(self, topic: str) -> Progress:
        """Return how many messages of a topic there are, and how many the workers' group has acknowledged.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        with self._translated():
            partitions = self._partitions(topic)
            bounds = {p.partition: self._bounds(p) for p in partitions}
            committed = _settled(partial(self._consumer.committed, partitions, _TIMEOUT_S))
        published = sum(high - low for low, high in bounds.values())
        acknowledged = sum(max(p.offset, bounds[p.partition][0]) - bounds[p.partition][0] for p in committed)
        return Progress(published, acknowledged)

    def read(self, topic: str) -> Iterator[RawMessage]:
        """Read a topic from its beginning to the end it has now, one partition after the other.

        Raises:
            KafkaUnavailable: no broker answers, or none any more.
            TopicMissing: there is no such topic.
        """
        with self._translated():
            for place in self._partitions(topic):
                low, high = self._bounds(place)
                if low < high:
                    yield from self._read_span(TopicPartition(topic, place.partition, low), high)

    def read_one(self, topic: str, partition: int, offset: int) -> RawMessage | None:
        """Return the message at one place, or None if there is none (any more).

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        with self._translated():
            if partition not in {place.partition for place in self._partitions(topic)}:
                return None
            place = TopicPartition(topic, partition, offset)
            low, high = self._bounds(place)
            if not low <= offset < high:
                return None
            found = next(self._read_span(place, high), None)
        return found if found and found.offset == offset else None

    def _read_span(self, start: TopicPartition, end: int) -> Iterator[RawMessage]:
        """Read one partition up to an offset. The last offsets may be gaps, so that its end counts as well."""
        self._consumer.assign([start])
        try:
            while True:
                message = self._consumer.poll(_TIMEOUT_S)
                if message is None:
                    raise KafkaUnavailable(f"reading {start.topic!r} broke off; is the broker still up?")
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return
                    raise KafkaException(error)
                raw = raw_message(message)
                if raw.offset < end:
                    yield raw
                if raw.offset >= end - 1:
                    return
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        """Return a partition's first offset, and the one behind its last."""
        return _settled(partial(self._consumer.get_watermark_offsets, place, _TIMEOUT_S))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._consumer.poll(0)  # hands over why
            raise self._connection.failure(error.args[0]) from error

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._connection.ask(self._consumer, partial(self._consumer.list_topics, topic), _TIMEOUT_S)
        metadata = found.topics[topic]
        if metadata.error is not None:
            if forbidden := refusal(metadata.error):
                raise forbidden
            raise TopicMissing(f"there is no topic {topic!r}; the first `flumen worker` makes it")
        return [TopicPartition(topic, number) for number in metadata.partitions]


def _settled(ask: Callable[[], Answer]) -> Answer:
    """Ask until leader and coordinator are known: after a broker's start, or a topic's, they are still moving."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if kafka_error(error).code() not in _MOVES or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
