"""Following small topics from outside: everything that lies in them, and then what is written as it is written."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.errors import KafkaUnavailable, TopicMissing
from streams.offsets import raw_message
from streams.polling import poll
from streams.settings import Settings
from streams.wire import RawMessage

_POLL_S = 0.5
_TIMEOUT_S = 10.0
_END_MS = 100


class Follower:
    """Reads topics in no group and commits nothing. It sees committed records only."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._servers = settings.kafka_servers
        self._topics = topics
        self._consumer = Consumer(
            # A topic's end is known once the broker has nothing more to say, which it waits so long for.
            {
                "log_level": 2,
                "fetch.wait.max.ms": _END_MS,
                **settings.lone_consumer_config(),
                "isolation.level": "read_committed",  # whatever kafka_properties say of other readers
            },
            logger=logging.getLogger("librdkafka"),
        )

    def read_to_end(self) -> Iterator[RawMessage]:
        """Yield what lies in the topics now.

        Raises:
            KafkaUnavailable: no broker answers, or none any more.
            TopicMissing: one of the topics is not there.
        """
        places = self._places()
        self._consumer.assign(places)
        unread = {(place.topic, place.partition) for place in places}
        heard_at, reason = time.monotonic(), "reading broke off"
        while unread:
            if time.monotonic() - heard_at > _TIMEOUT_S:
                raise KafkaUnavailable.at(self._servers, reason)
            message = self._consumer.poll(_POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                reason = error.str()
                continue
            heard_at = time.monotonic()
            if error is None:
                yield raw_message(message)
            else:
                unread.discard((message.topic(), message.partition()))

    def news(
        self, timeout_s: float, on_error: Callable[[str], None] = lambda _: None
    ) -> Iterator[RawMessage]:
        """Wait for something new, and yield it and what came with it; nothing if none came in time.

        A broker that is down brings no news but `on_error`; librdkafka goes on where it was once it is back.
        """
        wait_s = timeout_s
        while (message := poll(self._consumer, wait_s)) is not None:
            wait_s = 0.0
            error = message.error()
            if error is None:
                yield raw_message(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                on_error(error.str())

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def _places(self) -> list[TopicPartition]:
        try:
            known = {
                topic: self._consumer.list_topics(topic, _TIMEOUT_S).topics[topic] for topic in self._topics
            }
        except KafkaException as error:
            raise KafkaUnavailable.at(self._servers, error.args[0].str()) from error
        for topic, metadata in known.items():
            if metadata.error is not None:
                raise TopicMissing(
                    f"there is no topic {topic!r}; the first `flumen worker` or `flumen models activate` makes it"
                )
        return [
            TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic, metadata in known.items()
            for number in metadata.partitions
        ]
