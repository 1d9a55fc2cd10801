"""Dead letters: an image that could not be classified or stored, with its original bytes and the reason.

Headers as Kafka Connect writes them (`__connect.errors.*`, KIP-298), so that its tools read them, and `flumen.*`.

A few hundred kilobytes, compressed, may be a message of hundreds of megabytes: a topic's limit is one of what it keeps,
and not of what comes out. So dead letters are compressed as well; and one that is larger than any image may be, and
does not fit even so, is sent without its bytes.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flumen.interceptor import Classifier, Reject
from flumen.streams.errors import DeadLettersUnavailable, TopicTooSmall
from flumen.streams.kafka.message import Headers, Outgoing, RawMessage, SentHeaders
from flumen.streams.kafka.producer import Cause, Producer, Sender, Undelivered

Origin = tuple[str, int, int, int]
"""Topic, partition, offset and milliseconds since 1970 of a message."""

_DELIVERY_TIMEOUT_MS = 10_000
_MOST_BYTES = 1_000_000_000
_MAX_KEY_BYTES = 65_536
LEFT_OUT_HEADER = "flumen.left_out_bytes"
"""How many bytes the message had that was too large for a dead letter, which has neither its value nor its headers."""

_REMEMBERED = 100_000
_COUNT = re.compile(rb"[0-9]{1,6}")
_MAX_REASON = 4000
"""Characters. A reason may quote a hostile header; it must not make the dead letter too large to send."""


class DeadLetterWriter:
    """Publishes rejects to the dead-letter topic, and returns when the broker has them all."""

    def __init__(
        self,
        topic: str,
        producer_config: Mapping[str, str | int | float | bool],
        producer: Sender | None = None,
    ) -> None:
        """Make one; it sends by `producer`, or else by one of Kafka's that is made for it."""
        self.topic = topic
        self._largest_bytes = int(producer_config.get("message.max.bytes", _MOST_BYTES))
        config = {
            "linger.ms": 5,
            "compression.type": "zstd",
            "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
            "batch.num.messages": 1,  # a broker refuses batches as a whole: what fits one by one may not together
            **producer_config,
            "message.max.bytes": _MOST_BYTES,  # what has arrived can be sent; the topic decides
        }
        # Kept for a while: a message that is delivered again to this worker is not sent there again.
        self._acknowledged: OrderedDict[Origin, None] = OrderedDict()
        self._producer = producer or Producer(config)

    def publish(self, rejects: Sequence[Reject], model: Classifier) -> None:
        """Publish rejects with their reasons, and wait until the broker has acknowledged each.

        What was acknowledged before is remembered, so that the same call made again sends only the rest.

        Raises:
            DeadLettersUnavailable: at least one was not acknowledged; nothing of the batch may be committed.
            TopicTooSmall: the topic refuses one for its size, and would again.
        """
        origins = {_origin(reject): reject for reject in rejects}
        reasons = self._send(origins, partial(_dead_letter, topic=self.topic, model=model))
        bare = {
            origin: origins[origin]
            for origin, reason in reasons.items()
            if _is_too_large(reason) and _size_of(origins[origin]) > self._largest_bytes
        }
        if bare:
            others = {origin: reason for origin, reason in reasons.items() if origin not in bare}
            reasons = others | self._send(bare, partial(_dead_letter_without, topic=self.topic, model=model))
        if refused := [origin for origin, reason in reasons.items() if _is_too_large(reason)]:
            largest = max(len(origins[origin].image.content) for origin in refused)
            raise TopicTooSmall(
                f"the topic {self.topic!r} refuses a dead letter for its size; the largest image has "
                f"{largest:,} bytes. Raise its max.message.bytes with kafka-configs.sh --alter, and start again"
            )
        missing = [origin for origin in origins if origin not in self._acknowledged]
        if missing:
            raise DeadLettersUnavailable(
                f"{len(missing)} dead letters are not acknowledged by {self.topic!r}: "
                f"{next(iter(reasons.values()), 'no answer from the broker')}. Is the broker up, and the topic there?"
            )
        while len(self._acknowledged) > _REMEMBERED:
            self._acknowledged.popitem(last=False)

    def _send(
        self, rejects: Mapping[Origin, Reject], to_dead_letter: Callable[[Reject], Outgoing]
    ) -> dict[Origin, Undelivered]:
        """Send what is not acknowledged yet, and return of each why it was not taken."""
        origins = [origin for origin in rejects if origin not in self._acknowledged]
        answers = self._producer.send(to_dead_letter(rejects[origin]) for origin in origins)
        reasons: dict[Origin, Undelivered] = {}
        for origin, answer in zip(origins, answers, strict=True):
            if answer is None:
                self._acknowledged[origin] = None
            else:
                reasons[origin] = answer
        return reasons


def _dead_letter(reject: Reject, topic: str, model: Classifier) -> Outgoing:
    raw = _message(reject)
    return Outgoing(topic, raw.key, raw.value, [*raw.headers, *reason_headers(reject, raw, model)])


def _dead_letter_without(reject: Reject, topic: str, model: Classifier) -> Outgoing:
    """Return a dead letter that says all there is to say, of a message that is too large to be kept."""
    raw = _message(reject)
    key = raw.key if len(raw.key or b"") <= _MAX_KEY_BYTES else None
    size = str(_size_of(reject))
    return Outgoing(topic, key, None, [*reason_headers(reject, raw, model), (LEFT_OUT_HEADER, size)])


def _size_of(reject: Reject) -> int:
    raw = _message(reject)
    return len(raw.key or b"") + len(raw.value or b"") + sum(len(value or b"") for _, value in raw.headers)


def _is_too_large(reason: Undelivered) -> bool:
    return reason.cause is Cause.TOO_LARGE


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
        ("__connect.errors.exception.message", _sendable(str(reject.error)).encode()),
        *([("__connect.errors.exception.stacktrace", _sendable(said).encode())] if said else []),
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
