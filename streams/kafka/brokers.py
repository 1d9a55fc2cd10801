"""Kafka's side of reading: whether a broker is there, and what its errors mean for the worker."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException

from flumen.streams.errors import StreamError, TopicMissing
from flumen.streams.kafka.connection import Connection
from flumen.streams.kafka.errors import UNREADABLE, failed_for_good, is_fatal

log = structlog.get_logger(__name__)

ConsumerConfig = Mapping[str, str | int | float | bool]

KAFKA = "kafka"
_LEAVE_TO_READ = "kafka's leave to read"
_ASK_TIMEOUT_S = 0.5
_REFUSALS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.GROUP_MAX_SIZE_REACHED,
    KafkaError.INVALID_SESSION_TIMEOUT,
)
"""What passes once somebody changes the broker, or the group: until then nothing is read, and no lag is seen."""


class Waits(Protocol):
    """Who is told what is waited for: the worker's pulse."""

    def waits_for(self, what: str, reason: str) -> bool:
        """Note that a server is waited for. Return whether that is news."""

    def is_waiting_for(self, what: str) -> bool:
        """Say whether a server is waited for."""

    def waits_no_more(self, what: str) -> float | None:
        """Note that it answers again; return for how many seconds it was waited for, None where it was not."""


class Brokers:
    """Hears what librdkafka says of the brokers, and notes whether they are waited for."""

    def __init__(
        self, topic: str, config: ConsumerConfig, waits: Waits, end: Callable[[Exception], None]
    ) -> None:
        """Listen for the topic as a consumer that is configured so. `end` is called with what no waiting mends."""
        self._topic = topic
        self._connection = Connection(config)
        name = config.get("group.instance.id")
        self.reading = f"reading from {topic!r}" + (f" as {name!r}" if name else "")
        self._waits = waits
        self.troubles = 0
        """How often something was heard that is no message, and no good news."""
        self._has_trouble = False
        self._end = end
        self._told: set[str] = set()

    def failed(self, error: KafkaError) -> None:
        """Hear an error of the connection: librdkafka's `error_cb`."""
        self._connection.hear(error)
        self._note_trouble()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self._waits.waits_for(KAFKA, self._connection.reason()):
                log.warning("no broker answers; waiting", reason=self._connection.reason())
        elif is_fatal(error):
            self._end(self._failed_for_good(error))

    def answered(self) -> None:
        """Note that something came from a broker."""
        self._connection.answered()
        if (waited_s := self._waits.waits_no_more(KAFKA)) is not None:
            log.info("a broker answers again", waited_s=round(waited_s, 1))

    def delivered(self) -> None:
        """Note that messages or partitions came: reading is not refused any more either."""
        if not self._has_trouble:
            return
        self._has_trouble = False
        self.answered()
        if (waited_s := self._waits.waits_no_more(_LEAVE_TO_READ)) is not None:
            log.info("kafka lets this worker read again", waited_s=round(waited_s, 1))

    def ask(self, consumer: Consumer) -> None:
        """Ask whether a broker is back, where one is waited for: without new images nothing else would tell."""
        if not self._waits.is_waiting_for(KAFKA):
            return
        try:
            consumer.list_topics(self._topic, timeout=_ASK_TIMEOUT_S)
        except KafkaException:
            return
        self.answered()

    def is_error(self, error: KafkaError | None) -> bool:
        """Say whether a message is an error in place of one; a passing error is logged and left out.

        Raises:
            TopicMissing: the topic is gone.
            ClientFailed: reading cannot go on.
        """
        if error is None:
            return False
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissing(
                f"the topic {self._topic!r} does not exist any more; create it and start again"
            )
        if is_fatal(error):
            raise self._failed_for_good(error)
        self._note_trouble()
        if error.code() in UNREADABLE:
            if str(error.str()) not in self._told:
                self._told.add(str(error.str()))
                log.error(
                    "kafka's client cannot read a batch, nor what is behind it; docs/delivery.md says how to go on",
                    error=error.str(),
                )
        elif error.code() not in _REFUSALS:
            log.warning("kafka reports a passing error", error=error.str())
        elif self._waits.waits_for(_LEAVE_TO_READ, str(error.str())):
            log.error("kafka does not let this worker read; waiting until it does", error=error.str())
        return True

    def _note_trouble(self) -> None:
        self.troubles += 1
        self._has_trouble = True

    def _failed_for_good(self, error: KafkaError) -> StreamError:
        return failed_for_good(self.reading, error)


def callback(function: Callable[..., None], end: Callable[[Exception], None]) -> Callable[..., None]:
    """Return a callback for librdkafka that raises nothing: what it would raise goes to `end`.

    The binding hands an exception that leaves a callback on to whoever polls, but one that C code raised comes out
    as its bare argument, a `KafkaError`, which is no exception: no `except` clause catches that.
    """

    def call(*args: Any) -> None:
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - see above; `end` raises it where it can be caught
            end(error)

    return call


def group_config(config: ConsumerConfig) -> dict[str, str]:
    """Return how partitions are to be shared out, for a consumer that is configured so.

    With the protocol `consumer` the broker does that, as `group.remote.assignor` says; librdkafka refuses to be told.
    """
    if str(config.get("group.protocol", "")).lower() == "consumer":
        return {}
    return {"partition.assignment.strategy": "cooperative-sticky"}
