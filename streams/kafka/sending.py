"""Sending messages, and learning of each whether the broker has it."""

import logging
from collections.abc import Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from flumen.streams.kafka.errors import kafka_error, make_producer
from flumen.streams.kafka.message import Outgoing
from flumen.streams.settings import Settings

_DELIVERY_TIMEOUT_MS = 30_000


def flush(producer: Producer) -> KafkaError | None:
    """Wait until every message is answered or its delivery has timed out; return a fatal error that came with it."""
    try:
        producer.flush()
    except KafkaException as error:  # librdkafka tells a fatal error once, to whoever calls next
        producer.flush()
        return kafka_error(error)
    return None


class Sender:
    """Sends a few messages from outside the live path, and waits for the broker's answers."""

    def __init__(self, settings: Settings) -> None:
        config = {
            "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
            "batch.num.messages": 1,  # a broker refuses batches as a whole: one message must not spoil others
            "log_level": 2,
            **settings.producer_config(),
        }
        self._producer = make_producer(config, logging.getLogger("librdkafka"))

    def send(self, messages: Sequence[Outgoing]) -> list[str]:
        """Send all, and return of each why it was not acknowledged; an empty text says that it was."""
        reasons = ["no answer from the broker"] * len(messages)

        def answered(number: int, error: KafkaError | None, _message: Message) -> None:
            reasons[number] = "" if error is None else error.str()

        for number, message in enumerate(messages):
            try:
                self._producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=message.headers,
                    on_delivery=partial(answered, number),
                )
            except KafkaException as error:
                reasons[number] = kafka_error(error).str()
            except BufferError as error:
                reasons[number] = str(error)
        flush(self._producer)
        return reasons
