"""Dead letters: an image that could not be classified or stored, with its original bytes and the reason.

Headers as Kafka Connect writes them (`__connect.errors.*`, KIP-298), so that its tools read them, and `flumen.*`.
"""

import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from interceptor import Classifier, Reject
from streams.errors import DeadLettersUnavailable, TopicTooSmall
from streams.sending import flush, is_fatal
from streams.wire import Headers, RawMessage, SentHeaders

Origin = tuple[str, int, int, int]
"""Topic, partition, offset and milliseconds since 1970 of a message."""

_DELIVERY_TIMEOUT_MS = 10_000
_TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
_MOST_BYTES = 1_000_000_000
_REMEMBERED = 100_000
_COUNT = re.compile(rb"[0-9]{1,6}")
_MAX_REASON = 4000
"""Characters. A reason may quote a hostile header; it must not make the dead letter too large to send."""


class DeadLetters:
    """Publishes rejects to the dead-letter topic, and returns when the broker has them all."""

    def __init__(self, topic: str, producer_config: Mapping[str, str | int | float | bool]) -> None:
        self.topic = topic
        self._config = {
            "linger.ms": 5,
            "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
            "batch.num.messages": 1,  # a broker refuses batches as a whole: letters that fit one by one, together not
            **producer_config,
            "message.max.bytes": _MOST_BYTES,  # what has arrived can be sent; the topic decides
        }
        # Kept for a while: a message that is delivered again to this worker is not buried again.
        self._acknowledged: OrderedDict[Origin, None] = OrderedDict()
        self._producer = self._connect()

    def publish(self, rejects: Sequence[Reject], model: Classifier) -> None:
        """Publish rejects with their reasons, and wait until the broker has acknowledged each.

        What was acknowledged before is remembered, so that the same call made again sends only the rest.

        Raises:
            DeadLettersUnavailable: at least one was not acknowledged; nothing of the batch may be committed.
            TopicTooSmall: the topic refuses one for its size, and would again.
        """
        origins = [_origin(reject) for reject in rejects]
        reasons: list[KafkaError | str] = []
        try:
            for origin, reject in zip(origins, rejects, strict=True):
                if origin not in self._acknowledged:
                    self._send(origin, reject, model, reasons)
        except BufferError as error:
            reasons.append(str(error))
        except KafkaException as error:
            reasons.append(error.args[0])
        if broken := flush(self._producer):
            reasons.append(broken)
        if any(isinstance(reason, KafkaError) and is_fatal(reason) for reason in reasons):
            self._producer = self._connect()
        if any(isinstance(reason, KafkaError) and reason.code() == _TOO_LARGE for reason in reasons):
            largest = max(len(reject.image.content) for reject in rejects)
            raise TopicTooSmall(
                f"the topic {self.topic!r} refuses a dead letter for its size; the largest image has "
                f"{largest:,} bytes. Raise its max.message.bytes with kafka-configs.sh --alter, and start again"
            )
        missing = sum(origin not in self._acknowledged for origin in origins)
        if missing:
            raise DeadLettersUnavailable(
                f"{missing} dead letters are not acknowledged by {self.topic!r}: "
                f"{reasons[0] if reasons else 'no answer from the broker'}. Is the broker up, and the topic there?"
            )
        while len(self._acknowledged) > _REMEMBERED:
            self._acknowledged.popitem(last=False)

    def _connect(self) -> Producer:
        return Producer(self._config, logger=logging.getLogger("librdkafka"))

    def _send(
        self, origin: Origin, reject: Reject, model: Classifier, reasons: list[KafkaError | str]
    ) -> None:
        raw = _message(reject)

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self._acknowledged[origin] = None
            else:
                reasons.append(error)

        self._producer.produce(
            self.topic,
            key=raw.key,
            value=raw.value,
            headers=[*raw.headers, *reason_headers(reject, raw, model)],
            on_delivery=delivered,
        )


def _message(reject: Reject) -> RawMessage:
    raw = reject.image.origin
    assert isinstance(raw, RawMessage), "an image from Kafka carries the message it came in"
    return raw


def _origin(reject: Reject) -> Origin:
    raw = _message(reject)
    # The time tells apart what a topic held before it was deleted and made anew.
    return raw.topic, raw.partition, raw.offset, raw.timestamp_ms


def reason_headers(reject: Reject, raw: RawMessage, model: Classifier) -> SentHeaders:
    """Return the headers that say where a reject came from, why it was refused and by which model."""
    cause = type(reject.error)
    content = raw.value or b""
    said = getattr(reject.error, "cause", "")  # of a library: nobody needs it to know what to do
    return [
        ("__connect.errors.topic", raw.topic),
        ("__connect.errors.partition", str(raw.partition)),
        ("__connect.errors.offset", str(raw.offset)),
        ("__connect.errors.stage", reject.stage),
        ("__connect.errors.class.name", f"flumen.{reject.stage}"),
        ("__connect.errors.exception.class.name", f"{cause.__module__}.{cause.__qualname__}"),
        ("__connect.errors.exception.message", _sendable(str(reject.error))),
        *([("__connect.errors.exception.stacktrace", _sendable(said))] if said else []),
        ("flumen.attempt", str(attempt_of(raw.headers) + 1)),
        ("flumen.timestamp", str(int(time.time() * 1000))),
        ("flumen.model", f"{model.name}@{model.version}"),
        ("flumen.sha256", hashlib.sha256(content).hexdigest()),
    ]


def attempt_of(headers: Headers) -> int:
    """Return how often a message has died already; 0 if it does not say so in a number of at most six digits."""
    given = dict(headers).get("flumen.attempt") or b""
    return int(given) if _COUNT.fullmatch(given) else 0


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:_MAX_REASON]
