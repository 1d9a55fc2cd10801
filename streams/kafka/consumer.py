"""Kafka's consumer as `flumen.streams.kafka.group.GroupConsumer`: its errors and callbacks in our words."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from flumen.streams.kafka.brokers import Brokers, Waits, callback, group_config
from flumen.streams.kafka.errors import (
    ClientConfig,
    failed_for_good,
    is_fatal,
    kafka_error,
    make_consumer,
    translated,
)
from flumen.streams.kafka.group import Member, Places
from flumen.streams.kafka.message import Partition, RawMessage
from flumen.streams.kafka.places import Positions
from flumen.streams.kafka.polling import Arrivals
from flumen.streams.kafka.received import raw_messages

log = structlog.get_logger(__name__)


class KafkaConsumer:
    """`GroupConsumer` over confluent-kafka. What its callbacks raise goes to `end`: none may leave them."""

    def __init__(
        self, topic: str, config: ClientConfig, waits: Waits, end: Callable[[Exception], None]
    ) -> None:
        """Make one, which joins nothing yet. `waits` is told of brokers that are down.

        Raises:
            BadSetting: librdkafka refuses the configuration.
        """
        self._topic = topic
        self._end = end
        self._member: Member | None = None
        self._paused: set[Partition] = set()
        self._positions = Positions(config)
        self._brokers = Brokers(topic, config, waits, end)
        self._client: Consumer = make_consumer(
            {
                **group_config(config),
                **config,
                "error_cb": callback(self._brokers.failed, end),
                "on_commit": callback(self._on_commit, end),
            },
            logging.getLogger("librdkafka"),
        )
        self._arrivals = Arrivals(self._client)
        if not self._arrivals.is_told:
            log.info("this version of confluent-kafka is not known; looking for messages 200 times a second")
        self._went: set[Partition] = set()
        """What went to others, and did not come back, within the call of `take` that is being made."""

    def join(self, member: Member) -> None:
        """Join the group, and read what it assigns."""
        self._member = member
        self._client.subscribe(
            [self._topic],
            on_assign=self._callback(self._on_assign),
            on_revoke=self._callback(partial(self._gone, member.on_revoke)),
            on_lost=self._callback(partial(self._gone, member.on_lost)),
        )

    def take(self, most: int) -> list[RawMessage]:
        """Return what has come; see `GroupConsumer.take`."""
        self._went.clear()
        troubles = self._brokers.troubles
        come = self._client.consume(most, 0)
        if not come:
            return []
        delivered = [message for message in come if not self._brokers.is_error(message.error())]
        if (
            delivered and self._brokers.troubles == troubles
        ):  # else it may stand behind them, and is said once
            self._brokers.delivered()
        raws = raw_messages(delivered)
        if self._went:  # behind some of these messages, and before they were returned
            raws = [raw for raw in raws if (raw.topic, raw.partition) not in self._went]
        if len(raws) < len(come):
            self._arrivals.wake()  # there may be more
        return raws

    def wait(self, timeout_s: float) -> None:
        """Wait until something has come; see `GroupConsumer.wait`."""
        self._arrivals.wait(timeout_s)

    def wake(self) -> None:
        """End a wait; see `GroupConsumer.wake`."""
        self._arrivals.wake()

    def commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        """Commit where reading goes on; see `GroupConsumer.commit`."""
        places = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            if wait:
                self._client.commit(offsets=places, asynchronous=False)
            else:
                self._client.commit(offsets=places, asynchronous=True)  # `_on_commit` hears how it went
        except KafkaException as error:
            failure = kafka_error(error)
            if not wait and not is_fatal(failure):
                raise failed_for_good(self._brokers.reading, failure) from error
            # Why it is fatal, if it is, stands in place of the next message.
            self._on_commit(failure, places)

    def pause(self) -> None:
        """Take nothing of the partitions that are assigned now."""
        assigned = self._client.assignment()
        self._client.pause(assigned)
        self._paused.update(_partitions(assigned))

    def resume(self) -> None:
        """Resume what was paused. A partition that was lost while paused is still paused when it comes back."""
        if not self._paused:
            return
        back = [p for p in self._client.assignment() if (p.topic, p.partition) in self._paused]
        if back:
            self._client.resume(back)
            self._paused.difference_update(_partitions(back))

    def look(self) -> Places:
        """Return what is left to take. Looks whether a broker is back, where one is waited for."""
        self._brokers.ask(self._client)
        return self._positions.look(self._client, self._paused)

    def close(self) -> None:
        """Leave the group."""
        self._client.close()
        self._arrivals.close()

    def _callback(self, function: Callable[[Sequence[Partition]], None]) -> Callable[..., None]:
        return callback(lambda _consumer, places: function(_partitions(places)), self._end_translated)

    def _end_translated(self, error: Exception) -> None:
        self._end(translated(self._brokers.reading, error))

    def _on_assign(self, partitions: Sequence[Partition]) -> None:
        self._brokers.delivered()
        self._went.difference_update(partitions)
        assert self._member is not None
        self._member.on_assign(partitions)

    def _gone(self, tell: Callable[[Sequence[Partition]], None], partitions: Sequence[Partition]) -> None:
        tell(partitions)
        self._went.update(partitions)
        self._positions.forget(partitions)

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        if error is not None and self._member is not None:
            self._member.on_commit_refused(_partitions(places))


def _partitions(places: Sequence[Any]) -> list[Partition]:
    return [(place.topic, place.partition) for place in places]
