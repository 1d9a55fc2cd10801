"""Reading topics from outside: to their ends, on from there, or at one place; and how far a group has come in them."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar, cast

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from flumen.streams.errors import KafkaUnavailable, TopicMissing
from flumen.streams.kafka.connection import Connection, refusal
from flumen.streams.kafka.errors import UNREADABLE, failed_for_good, is_fatal, kafka_error, make_consumer
from flumen.streams.kafka.message import Partition, RawMessage
from flumen.streams.kafka.polling import Arrivals, poll
from flumen.streams.kafka.progress import PartitionProgress, Progress
from flumen.streams.kafka.received import raw_message
from flumen.streams.settings import Settings

Answer = TypeVar("Answer")

_POLL_S = 0.5
_TIMEOUT_S = 10.0
_END_MS = 100
_MOVES = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)
_GO_ON = "docs/delivery.md says how to go on (a batch that cannot be read)"
_BROKE_OFF = KafkaError(KafkaError._TRANSPORT, "reading broke off")


class Follower(Protocol):
    """Who follows small topics: over Kafka, or in memory for tests."""

    def follow(self, topics: Sequence[str]) -> Iterator[RawMessage]:
        """Yield what lies in the topics now; see `TopicReader.follow`."""

    def news(
        self, timeout_s: float, on_error: Callable[[str], None] = lambda _: None
    ) -> Iterator[RawMessage]:
        """Wait for something new, and yield it and what came with it; see `TopicReader.news`."""

    def close(self) -> None:
        """Release the connection."""


class TopicReader:
    """Reads topics in no group and commits nothing. It sees committed records only. One thread at a time uses it.

    One that follows topics reads nothing else.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        config = settings.lone_consumer_config()
        self._connection = Connection(config)
        self._clock = clock
        self._topics: Sequence[str] = ()
        self._follows = False
        self._consumer = make_consumer(
            # A topic's end is known once the broker has nothing more to say, which it waits so long for.
            {
                "log_level": 2,
                **config,
                "fetch.wait.max.ms": _END_MS,
                "isolation.level": "read_committed",  # whatever kafka_properties say of other readers
                "allow.auto.create.topics": False,
                "enable.partition.eof": True,
                "error_cb": self._connection.hear,
            },
            logging.getLogger("librdkafka"),
        )
        self._arrivals = Arrivals(self._consumer)

    def read(self, topic: str) -> Iterator[RawMessage]:
        """Read a topic from its beginning to the end it has now, one partition after the other.

        Raises:
            KafkaUnavailable: no broker answers, or none any more; or a batch cannot be unpacked.
            KafkaRefused: a broker does not let us read it.
            TopicMissing: there is no such topic.
            ClientFailed: Kafka's client has failed for good.
        """
        with self._reading(topic):
            for place in self._places(topic):
                low, high = self._bounds(place)
                if low < high:
                    yield from self._read_span(TopicPartition(topic, place.partition, low), high)

    def read_one(self, topic: str, partition: int, offset: int) -> RawMessage | None:
        """Return the message at one place, or None if there is none (any more). Raises as `read`."""
        with self._reading(topic):
            if partition not in {place.partition for place in self._places(topic)}:
                return None
            place = TopicPartition(topic, partition, offset)
            low, high = self._bounds(place)
            if not low <= offset < high:
                return None
            found = next(self._read_span(place, high), None)
        return found if found and found.offset == offset else None

    def follow(self, topics: Sequence[str], newest: Mapping[str, int] | None = None) -> Iterator[RawMessage]:
        """Yield what lies in the topics now, of all at once; `news` goes on behind it. Raises as `read`.

        Of the topics in `newest` only so many messages, the last of their partitions.
        """
        with self._reading(*topics):
            self._follows = True
            places = [place for topic in topics for place in self._places(topic)]
            for topic, most in (newest or {}).items():
                self._start_at_newest([place for place in places if place.topic == topic], most)
            self._consumer.assign(places)
            unread = {(place.topic, place.partition): place.offset for place in places}
            for message in self._until_silent(unread):
                if message.error() is None:
                    yield raw_message(message)
                else:
                    unread.pop(cast(Partition, (message.topic(), message.partition())), None)
                if not unread:
                    return

    def news(
        self, timeout_s: float, on_error: Callable[[str], None] = lambda _: None
    ) -> Iterator[RawMessage]:
        """Wait for something new in the topics that are followed, and yield it and what came with it; else nothing.

        A broker that is down brings no news but `on_error`; librdkafka goes on where it was once it is back.

        Raises:
            ClientFailed: Kafka's client has failed for good.
        """
        wait_s = timeout_s
        while (message := poll(self._consumer, self._arrivals.wait, wait_s)) is not None:
            wait_s = 0.0
            error = message.error()
            if error is None:
                yield raw_message(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                self._check_lives(error)
                on_error(str(error.str()))

    def progress(self, topic: str) -> Progress:
        """Return how many messages of a topic there are, and how many the workers' group has acknowledged.

        Raises:
            KafkaUnavailable, KafkaRefused, TopicMissing: as `read`.
        """
        partitions = self.partitions(topic)
        published = sum(each.ends - each.begins for each in partitions)
        return Progress(published, sum(each.acknowledged - each.begins for each in partitions))

    def partitions(self, topic: str) -> Sequence[PartitionProgress]:
        """Return how far the workers' group is in each partition of a topic, by number. Raises as `progress`."""
        with self._reading(topic):
            places = self._places(topic)
            bounds = {place.partition: self._bounds(place) for place in places}
            committed = _settled(partial(self._consumer.committed, places, _TIMEOUT_S))
        return [
            PartitionProgress(place.partition, low, high, max(place.offset, low))
            for place in sorted(committed, key=lambda place: place.partition)
            for low, high in [bounds[place.partition]]
        ]

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()
        self._arrivals.close()

    def _read_span(self, start: TopicPartition, end: int) -> Iterator[RawMessage]:
        """Read one partition up to an offset. The last offsets may be gaps, so that its end counts as well."""
        self._consumer.assign([start])
        try:
            for message in self._until_silent({(start.topic, start.partition): start.offset}):
                if message.error() is not None:
                    return
                raw = raw_message(message)
                if raw.offset < end:
                    yield raw
                if raw.offset >= end - 1:
                    return
        finally:
            self._consumer.unassign()

    def _until_silent(self, unread: Mapping[Partition, int]) -> Iterator[Message]:
        """Yield messages and, as errors, the ends of partitions, while they come; errors that pass are waited out.

        `unread`: the partitions whose ends have not come, and the offset at which each was begun.

        Raises:
            StreamError: nothing came for 10 s, or nothing will.
        """
        reason, heard_at = _BROKE_OFF, self._clock()
        while self._clock() - heard_at <= _TIMEOUT_S:
            message = poll(self._consumer, self._arrivals.wait, _POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                yield message
                heard_at = self._clock()  # not before: what is done with a message may take its time
            else:
                self._check_passes(error, message)
                reason = error
        if reason is _BROKE_OFF:
            self._check_stands_still(unread)
        raise self._connection.failure(reason)

    def _check_stands_still(self, unread: Mapping[Partition, int]) -> None:
        """Where brokers answer and yet give nothing, say of what: of some batches librdkafka says no more than that."""
        positions = self._consumer.position([TopicPartition(*partition) for partition in unread])
        standing = []
        for place, begun in zip(positions, unread.values(), strict=True):
            self._connection.ask(self._consumer, partial(self._consumer.list_topics, place.topic), _TIMEOUT_S)
            low, high = self._bounds(place)
            at = max(low, begun, place.offset)
            if at < high:
                standing.append(f"{place.topic}/{place.partition}/{at}")
        if standing:
            raise KafkaUnavailable(
                f"Kafka gives nothing of {', '.join(standing)} and what stands behind it. {_GO_ON}"
            )

    def _check_passes(self, error: KafkaError, message: Message) -> None:
        self._check_lives(error)
        if forbidden := refusal(error):
            raise forbidden
        if error.code() in UNREADABLE:
            raise KafkaUnavailable(
                f"{message.topic()}/{message.partition()}/{message.offset()} cannot be read, nor what stands behind "
                f"it: its sender packed it so that Kafka's client does not unpack it ({error.str()}). {_GO_ON}"
            )

    def _check_lives(self, error: KafkaError) -> None:
        if is_fatal(error):
            raise failed_for_good(f"reading from {', '.join(self._topics)}", error)

    def _start_at_newest(self, places: Sequence[TopicPartition], most: int) -> None:
        """Move places so far back from the ends of their partitions that there are so many messages behind them."""
        bounds = [(*self._bounds(place), place) for place in places]
        bounds.sort(key=lambda each: each[1] - each[0])  # what small partitions leave, the large ones have
        for left, (low, high, place) in zip(range(len(bounds), 0, -1), bounds, strict=True):
            place.offset = max(low, high - most // left)
            most -= high - place.offset

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        """Return a partition's first offset, and the one behind its last."""
        return _settled(partial(self._consumer.get_watermark_offsets, place, _TIMEOUT_S))

    @contextmanager
    def _reading(self, *topics: str) -> Iterator[None]:
        assert not self._follows, "one that follows topics reads nothing else"
        self._topics = topics
        try:
            yield
        except KafkaException as error:
            self._consumer.poll(0)  # hands over why
            raise self._connection.failure(kafka_error(error)) from error

    def _places(self, topic: str) -> list[TopicPartition]:
        """Return the beginnings of the partitions that a topic has now."""
        found = self._connection.ask(self._consumer, partial(self._consumer.list_topics, topic), _TIMEOUT_S)
        metadata = found.topics[topic]
        if metadata.error is not None:
            if forbidden := refusal(metadata.error):
                raise forbidden
            makers = "`flumen worker` or `flumen models activate`" if self._follows else "`flumen worker`"
            raise TopicMissing(f"there is no topic {topic!r}; the first {makers} makes it")
        return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in metadata.partitions]


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
