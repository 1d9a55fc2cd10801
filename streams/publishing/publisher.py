"""Publishing images to Kafka: each is acknowledged by the broker, or counted and named as failed."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from flumen.streams.errors import ClientFailed, PublishFailed
from flumen.streams.kafka.errors import whole_number
from flumen.streams.kafka.message import Outgoing
from flumen.streams.kafka.producer import Cause, Producer, Undelivered
from flumen.streams.kafka.topics import size_limit_for
from flumen.streams.wire import SourceImage, to_message

ProducerConfig = Mapping[str, str | int | float | bool]
OnProgress = Callable[[int], None]
"""Told now and then how many images are settled: acknowledged or failed."""

OnSettled = Callable[[str, str | None], None]
"""Told of each image, by its id: None when the broker has acknowledged it, else why it was not published."""

SHOWN_FAILURES = 10

_CONNECT_S = 8.0
_POLL_S = 0.1
_PROGRESS_S = 0.1
_CATCH_UP_S = 0.1
_QUEUE_KBYTES = 65_536
_BATCH_BYTES = 1_000_000  # these two are librdkafka's own
_LARGEST_BYTES = 1_000_000

_DEFAULTS: ProducerConfig = {
    "enable.idempotence": True,
    "linger.ms": 5,
    "compression.type": "none",  # images are compressed already
    "delivery.timeout.ms": 60_000,  # a broker may restart meanwhile
    "log_level": 0,  # what matters is said in our own words
}


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What became of the images. `bytes` counts the content of those that were sent, which is: acknowledged.

    `failures` gives the reasons of the first `SHOWN_FAILURES` failed ones. `interrupted`: ended by Ctrl-C.
    """

    sent: int
    failed: int
    bytes: int
    seconds: float
    failures: tuple[str, ...] = ()
    interrupted: bool = False


def publish(
    images: Iterable[SourceImage],
    producer_config: ProducerConfig,
    topic: str,
    rate: float | None,
    on_progress: OnProgress,
    on_settled: OnSettled = lambda _id, _failure: None,
) -> PublishReport:
    """Publish images in their order, at most `rate` a second, and wait for the broker's answer to each.

    An image that the broker refuses is counted as failed, and the others go on. After Ctrl-C what was sent is
    still waited for.

    Raises:
        KafkaUnavailable: no broker answers.
        PublishFailed: the broker has stopped to acknowledge anything, for a minute, or Kafka's client has failed.
        TopicMissing: the topic does not exist.
        BadSetting: librdkafka refuses the configuration.
    """
    producer = _connect(producer_config, topic)
    deliveries = _Deliveries(topic, on_settled)
    started = time.monotonic()
    interrupted = False
    try:
        try:
            for image in _paced(images, rate, producer):
                _send(producer, topic, image, deliveries)
                deliveries.show(on_progress)
        except KeyboardInterrupt:
            interrupted = True
        while producer.flush(_POLL_S):
            deliveries.check_progress(producer)
            deliveries.show(on_progress)
        deliveries.check_progress(producer)
    except ClientFailed as error:
        deliveries.give_up(producer, str(error))
    on_progress(deliveries.sent + deliveries.failed)
    return PublishReport(
        sent=deliveries.sent,
        failed=deliveries.failed,
        bytes=deliveries.bytes,
        seconds=time.monotonic() - started,
        failures=tuple(deliveries.failures),
        interrupted=interrupted,
    )


def _connect(config: ProducerConfig, topic: str) -> Producer:
    largest = whole_number(config, "message.max.bytes", _LARGEST_BYTES)
    limit = size_limit_for(config, topic, _CONNECT_S)
    if limit is not None:
        largest = min(largest, limit)
    queue_kbytes = whole_number(config, "queue.buffering.max.kbytes", _QUEUE_KBYTES)
    return Producer(
        {
            **_DEFAULTS,
            **config,
            "message.max.bytes": largest,
            # The broker holds its limit against a whole batch, and refuses all of it.
            "batch.size": min(whole_number(config, "batch.size", _BATCH_BYTES), largest),
            # A queue too small for one image would be full for ever.
            "queue.buffering.max.kbytes": max(queue_kbytes, 2 * largest // 1024),
        }
    )


def _send(producer: Producer, topic: str, image: SourceImage, deliveries: "_Deliveries") -> None:
    key, value, headers = to_message(image)
    message = Outgoing(topic, key, value, headers)
    settle = partial(deliveries.settle, key.decode(), len(value))
    deliveries.check_progress(producer)
    while not producer.put(message, settle):
        producer.serve(_POLL_S)
        deliveries.check_progress(producer)
    producer.serve()


def _paced(images: Iterable[SourceImage], rate: float | None, producer: Producer) -> Iterator[SourceImage]:
    """Yield each image when its turn has come; meanwhile take the broker's answers."""
    limiter = RateLimiter(rate, time.monotonic()) if rate else None
    for image in images:
        turn = limiter.next_turn(time.monotonic()) if limiter else 0.0
        while (wait_s := turn - time.monotonic()) > 0:
            producer.serve(min(wait_s, _POLL_S))
        yield image


class RateLimiter:
    """Spreads turns evenly: the n-th comes no earlier than n / rate seconds after `start`.

    A delay is made up for by a burst of at most a tenth of a second's worth. Times are seconds of one clock.
    """

    def __init__(self, rate: float, start: float) -> None:
        self._interval_s = 1 / rate
        self._next = start

    def next_turn(self, now: float) -> float:
        """Take the next turn and return its time; one in the past is due."""
        turn = max(self._next, now - _CATCH_UP_S)
        self._next = turn + self._interval_s
        return turn


class _Deliveries:
    """Counts the broker's answers."""

    def __init__(self, topic: str, on_settled: OnSettled) -> None:
        self.sent = 0
        self.failed = 0
        self.bytes = 0
        self.failures: list[str] = []
        self._topic = topic
        self._on_settled = on_settled
        self._ended_by: str | None = None
        self._shown_at = 0.0

    def settle(self, image_id: str, size_bytes: int, failure: Undelivered | None) -> None:
        """Count one image, once; keep the reasons of the first few that failed."""
        if failure is None:
            self.sent += 1
            self.bytes += size_bytes
            self._on_settled(image_id, None)
            return
        self.failed += 1
        if failure.cause in (Cause.TIMED_OUT, Cause.FATAL):
            self._ended_by = failure.reason
        reason = self._reason(failure, size_bytes)
        if len(self.failures) < SHOWN_FAILURES:
            self.failures.append(f"image {image_id!r} was not published: {reason}")
        self._on_settled(image_id, reason)

    def _reason(self, failure: Undelivered, size_bytes: int) -> str:
        if failure.cause is Cause.TOO_LARGE:
            return (
                f"its {size_bytes:,} bytes are more than the topic {self._topic!r} takes (max.message.bytes), "
                "or more than FLUMEN_MAX_IMAGE_BYTES"
            )
        return failure.reason

    def check_progress(self, producer: Producer) -> None:
        """Give up when a message was not acknowledged in all the time it had: neither would the others be."""
        if self._ended_by is not None:
            self.give_up(producer, self._ended_by)

    def give_up(self, producer: Producer, reason: str) -> NoReturn:
        """End it.

        Raises:
            PublishFailed: says how far it came.
        """
        producer.purge()
        raise PublishFailed(
            f"Kafka has stopped to acknowledge images ({reason}); {self.sent:,} were before. "
            "Look at the broker with `flumen status` and run the same command again: "
            "what is published twice is stored once"
        )

    def show(self, on_progress: OnProgress) -> None:
        """Report progress, not too often."""
        now = time.monotonic()
        if now - self._shown_at >= _PROGRESS_S:
            self._shown_at = now
            on_progress(self.sent + self.failed)
