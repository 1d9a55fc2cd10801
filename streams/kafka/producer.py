"""Sending messages, and learning of each whether a broker has it. All but transactions goes here."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from flumen.streams.kafka.errors import ClientConfig, failed_for_good, is_fatal, kafka_error, make_producer
from flumen.streams.kafka.message import Outgoing
from flumen.streams.settings import Settings


class Cause(Enum):
    """Why a broker does not have a message, as far as that decides what to do."""

    TOO_LARGE = "too large"
    TIMED_OUT = "timed out"
    FATAL = "fatal"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message is not acknowledged, in the client's words."""

    reason: str
    cause: Cause = Cause.OTHER

    def __str__(self) -> str:
        return self.reason


OnAnswer = Callable[[Undelivered | None], None]
"""Told of one message: None when the broker has acknowledged it."""

_UNANSWERED = KafkaError(KafkaError._TRANSPORT, "no answer from the broker")
_CAUSES = {
    KafkaError.MSG_SIZE_TOO_LARGE: Cause.TOO_LARGE,
    KafkaError._MSG_TIMED_OUT: Cause.TIMED_OUT,
}
_COMMAND: ClientConfig = {
    "delivery.timeout.ms": 30_000,
    "batch.num.messages": 1,  # a broker refuses batches as a whole: one message must not spoil others
    "log_level": 2,
}


class Sender(Protocol):
    """Who sends messages and waits for the answers: over Kafka, or in memory for tests."""

    def send(self, messages: Iterable[Outgoing]) -> list[Undelivered | None]:
        """Send all, wait for the answers, and return of each why it is not acknowledged; None where it is."""


class Producer:
    """Sends messages over one client of Kafka's, which is made anew once it has failed for good.

    `send` is for a batch whose answers are waited for; `put`, `serve` and `flush` for a stream of messages.
    """

    def __init__(self, config: ClientConfig, what: str = "sending to Kafka") -> None:
        """Make one. `what` is what cannot go on where it has failed for good.

        Raises:
            BadSetting: librdkafka refuses the configuration.
        """
        self._config = config
        self._what = what
        self._client = make_producer(config, logging.getLogger("librdkafka"))

    def send(self, messages: Iterable[Outgoing]) -> list[Undelivered | None]:
        """Send all, wait for the answers, and return of each why it is not acknowledged; None where it is."""
        answers: list[KafkaError | None] = []

        def answered(number: int, error: KafkaError | None, _message: Message) -> None:
            answers[number] = error

        for number, message in enumerate(messages):
            answers.append(_UNANSWERED)
            try:
                self._produce(message, partial(answered, number))
            except BufferError:
                answers[number] = KafkaError(KafkaError._QUEUE_FULL)
            except KafkaException as error:
                answers[number] = kafka_error(error)
        if broken := self._flush():
            answers = [broken if answer is _UNANSWERED else answer for answer in answers]
        if any(answer is not None and is_fatal(answer) for answer in answers):
            self._client = make_producer(self._config, logging.getLogger("librdkafka"))
        return [None if answer is None else _undelivered(answer) for answer in answers]

    def put(self, message: Outgoing, on_answer: OnAnswer = lambda _: None) -> bool:
        """Queue one message, and return at once; False where the queue is full: `serve`, and put it again.

        `on_answer` is called by whichever call serves next, or here where the client refuses the message.
        """

        def answered(error: KafkaError | None, _message: Message) -> None:
            on_answer(None if error is None else _undelivered(error))

        try:
            self._produce(message, answered)
        except BufferError:
            return False
        except KafkaException as error:
            on_answer(_undelivered(kafka_error(error)))
        return True

    def serve(self, timeout_s: float = 0.0) -> None:
        """Hand over the answers that have come, waiting for at most so long for the first.

        Raises:
            ClientFailed: the client has failed for good.
        """
        try:
            self._client.poll(timeout_s)
        except KafkaException as error:
            raise failed_for_good(self._what, kafka_error(error)) from error

    def flush(self, timeout_s: float) -> int:
        """Wait until every message is answered, for at most so long; return how many are not.

        Raises:
            ClientFailed: the client has failed for good.
        """
        try:
            return int(self._client.flush(timeout_s))
        except KafkaException as error:
            raise failed_for_good(self._what, kafka_error(error)) from error

    def purge(self) -> None:
        """Forget what is queued."""
        self._client.purge()

    def close(self) -> None:
        """Wait until every message is answered, or its delivery has timed out."""
        self._flush()

    def _produce(self, message: Outgoing, answered: Callable[[KafkaError | None, Message], None]) -> None:
        self._client.produce(
            message.topic,
            key=message.key,
            value=message.value,
            headers=message.headers,
            on_delivery=answered,
        )

    def _flush(self) -> KafkaError | None:
        """Wait for all answers; return a fatal error that came with them."""
        try:
            self._client.flush()
        except KafkaException as error:  # librdkafka tells a fatal error once, to whoever calls next
            self._client.flush()
            return kafka_error(error)
        return None


def command_producer(settings: Settings) -> Producer:
    """Return a producer for the few messages of a command."""
    return Producer({**_COMMAND, **settings.producer_config()})


def _undelivered(error: KafkaError) -> Undelivered:
    cause = Cause.FATAL if is_fatal(error) else _CAUSES.get(error.code(), Cause.OTHER)
    return Undelivered(str(error.str()), cause)
