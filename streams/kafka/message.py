"""Messages as values of our own, free of any Kafka client: what was delivered, and what is to be sent."""

from dataclasses import dataclass

_MESSAGE_BYTES = 400
_HEADER_BYTES = 170
"""What Python's objects take around a message's bytes and around a header's, at least."""

Partition = tuple[str, int]
"""Topic and partition number."""

Headers = tuple[tuple[str, bytes | None], ...]
"""As Kafka delivers them: names may repeat."""

UNREADABLE_HEADERS: Headers = (("flumen.unreadable", b"headers"),)
"""In place of headers that Kafka's client cannot return, since the name of one is not UTF-8; known by identity."""

SentHeaders = list[tuple[str, str | bytes | None]]
"""As Kafka's client takes them."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as Kafka delivered it.

    `timestamp_ms` is milliseconds since the epoch: the producer's or the broker's, as the topic says.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: SentHeaders


def size_of(raw: RawMessage) -> int:
    """Return about how many bytes a message keeps in memory: what it carries, and the objects that carry it."""
    carried = len(raw.value or b"") + len(raw.key or b"")
    headers = sum(len(name) + len(value or b"") + _HEADER_BYTES for name, value in raw.headers)
    return carried + headers + _MESSAGE_BYTES
