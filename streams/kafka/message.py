"""Messages as values of our own, free of any Kafka client: what was delivered, and what is to be sent."""

from dataclasses import dataclass
from typing import NamedTuple

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


class RawMessage(NamedTuple):
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
    _, _, _, key, value, headers, _ = raw
    size = _MESSAGE_BYTES + len(value or b"") + len(key or b"") + len(headers) * _HEADER_BYTES
    for name, content in headers:
        size += len(name) + len(content or b"")
    return size
