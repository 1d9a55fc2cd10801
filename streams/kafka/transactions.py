"""A right to write that one has at a time, and records that are written all or none.

A producer with a transactional id shuts out whoever used the same id before: his transaction fails. A broker need not
say what became of a transaction: it may die first, or answer that it does not know, as Kafka 4.4 does to one who ends a
transaction while he is being shut out. Whoever takes the right next waits until that is decided.
"""

import logging
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Producer

from flumen.streams.kafka.connection import Connection
from flumen.streams.kafka.errors import ClientConfig, kafka_error, make_producer
from flumen.streams.kafka.message import Outgoing

_TIMEOUT_S = 30.0
_SHUT_OUT = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)

_SILENCE = logging.Logger("librdkafka")
"""To be shut out is an error to librdkafka, that it prints as critical; here it is what tells two writers apart."""

_SILENCE.addHandler(logging.NullHandler())


class ShutOut(Exception):
    """Somebody else has taken the exclusive right."""


class InDoubt(Exception):
    """The broker has not said what became of a transaction, but something else."""


class ExclusiveProducer:
    """The exclusive right under one transactional id, once it is taken."""

    def __init__(self, config: ClientConfig, transactional_id: str) -> None:
        self._config = config
        self._transactional_id = transactional_id
        self._client: Producer | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the right was taken here; somebody else may have taken it since, which `commit` tells."""
        return self._client is not None

    def take(self) -> None:
        """Take the right, and shut out whoever has it. What he was committing is decided when this returns.

        Raises:
            ShutOut: somebody else takes it at the same time.
            KafkaUnavailable, KafkaRefused: no broker answers, or it does not let us.
        """
        connection = Connection(self._config)
        client = make_producer(
            {
                **self._config,
                "error_cb": connection.hear,
                "transactional.id": self._transactional_id,
                "transaction.timeout.ms": int(_TIMEOUT_S * 1000),
                "linger.ms": 0,
            },
            _SILENCE,
        )
        try:
            client.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            if _is_shut_out(error):
                raise ShutOut from error
            client.poll(0)  # hands over why
            raise connection.failure(kafka_error(error)) from error
        self._client = client

    def let_go(self) -> None:
        """Give the right up, and what was not committed with it; never while something sent is unanswered.

        An answer that says `fenced` while librdkafka (2.16) takes a producer apart frees its message a second time.
        A fatal error is told twice: by the call that met it, and by whichever comes next.
        """
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.flush(_TIMEOUT_S)
        except KafkaException:
            client.flush(_TIMEOUT_S)

    def commit(self, messages: Iterable[Outgoing]) -> None:
        """Write messages: all or none.

        Raises:
            ShutOut: somebody else has the right. (It may be the answer to a repeated question, after the first was
                heard: then they are written.)
            InDoubt: whether they are written is not known.
        """
        assert self._client is not None, "the right is taken before anything is committed"
        try:
            self._client.begin_transaction()
            for message in messages:
                self._client.produce(
                    message.topic, key=message.key, value=message.value, headers=message.headers
                )
            self._client.commit_transaction(_TIMEOUT_S)
        except KafkaException as error:
            if _is_shut_out(error):
                raise ShutOut from error
            raise InDoubt(str(kafka_error(error).str())) from error


def _is_shut_out(error: KafkaException) -> bool:
    return kafka_error(error).code() in _SHUT_OUT
