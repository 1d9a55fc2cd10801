"""Following small topics from outside: everything that lies in them, and then what is written as it is written."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from flumen.streams.errors import TopicMissing
from flumen.streams.kafka.connection import Connection, refusal
from flumen.streams.kafka.errors import failed_for_good, is_fatal, make_consumer
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.polling import poll
from flumen.streams.kafka.received import raw_message
from flumen.streams.settings import Settings

_POLL_S = 0.5
_TIMEOUT_S = 10.0
_END_MS = 100


class Follower:
    """Reads topics in no group and commits nothing. It sees committed records only."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        config = settings.lone_consumer_config()
        self._connection = Connection(config)
        self._topics = topics
        self._consumer = make_consumer(
            # A topic's end is known once the broker has nothing more to say, which it waits so long for.
            {
                "log_level": 2,
                **config,
                "fetch.wait.max.ms": _END_MS,
                "isolation.level": "read_committed",  # whatever kafka_properties say of other readers
                "error_cb": self._connection.hear,
            },
            logger=logging.getLogger("librdkafka"),
        )

    def read_to_end(self) -> Iterator[RawMessage]:
        """Yield what lies in the topics now.

        Raises:
            KafkaUnavailable: no broker answers, or none any more.
            TopicMissing: one of the topics is not there.
            ClientFailed: Kafka's client has failed for good.
        """
        places = self._places()
        self._consumer.assign(places)
        unread = {(place.topic, place.partition) for place in places}
        heard_at, reason = time.monotonic(), KafkaError(KafkaError._TRANSPORT, "reading broke off")
        while unread:
            if time.monotonic() - heard_at > _TIMEOUT_S:
                raise self._connection.failure(reason)
            message = self._consumer.poll(_POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if forbidden := refusal(error):
                    raise forbidden
                self._passing(error)
                reason = error
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

        Raises:
            ClientFailed: Kafka's client has failed for good.
        """
        wait_s = timeout_s
        while (message := poll(self._consumer, wait_s)) is not None:
            wait_s = 0.0
            error = message.error()
            if error is None:
                yield raw_message(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                on_error(self._passing(error))

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def _passing(self, error: KafkaError) -> str:
        if is_fatal(error):
            raise failed_for_good(f"reading from {', '.join(self._topics)}", error)
        return str(error.str())

    def _places(self) -> list[TopicPartition]:
        known = {
            topic: self._connection.ask(
                self._consumer, partial(self._consumer.list_topics, topic), _TIMEOUT_S
            ).topics[topic]
            for topic in self._topics
        }
        for topic, metadata in known.items():
            if metadata.error is not None:
                if forbidden := refusal(metadata.error):
                    raise forbidden
                raise TopicMissing(
                    f"there is no topic {topic!r}; the first `flumen worker` or `flumen models activate` makes it"
                )
        return [
            TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic, metadata in known.items()
            for number in metadata.partitions
        ]
