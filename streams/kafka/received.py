"""What a consumer delivered, as a value of our own: the one place that reads a message of Kafka's client.

Where a header's name is not UTF-8, the client's `headers` returns a list and leaves an exception behind. A plain call
of it is no protection: once CPython has specialised the call, it looks for no exception, and some later call fails in
its place; and the list has holes, which end the process if they are touched. Neither happens here.
"""

import logging
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import cast

from confluent_kafka import Message

from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers, RawMessage

log = logging.getLogger(__name__)

_told: set[str] = set()


def raw_message(message: Message) -> RawMessage:
    """Return what a consumer delivered; see `raw_messages`."""
    (raw,) = raw_messages((message,))
    return raw


def raw_messages(messages: Sequence[Message]) -> list[RawMessage]:
    """Return what a consumer delivered; nothing is copied. Headers that the client cannot return are marked as such.

    To be called once for a message: the client keeps the list with the holes, and returns it without an exception.
    """
    # What a consumer delivers has a place; the types also allow for a producer's messages.
    return list(
        map(
            RawMessage,
            cast(Iterable[str], map(Message.topic, messages)),
            cast(Iterable[int], map(Message.partition, messages)),
            cast(Iterable[int], map(Message.offset, messages)),
            map(Message.key, messages),
            map(Message.value, messages),
            _headers(messages),
            map(itemgetter(1), map(Message.timestamp, messages)),
        )
    )


def is_readable(raw: RawMessage) -> bool:
    """Say whether the headers of a record can be read: else it does not count. Of each topic, the first one is told."""
    if raw.headers is not UNREADABLE_HEADERS:
        return True
    if raw.topic not in _told:
        _told.add(raw.topic)
        log.warning(
            "%s/%d/%d does not count, nor does any record like it: the name of one of its headers is not UTF-8 text",
            raw.topic,
            raw.partition,
            raw.offset,
        )
    return False


def _headers(messages: Sequence[Message]) -> list[Headers]:
    # `map` calls from C, where the result of every call is checked, however often it was made before.
    calls = map(Message.headers, messages)
    found: list[Headers] = []
    while len(found) < len(messages):
        try:
            for headers in calls:
                found.append(tuple(cast(Headers, headers or ())))  # noqa: PERF401 - what was found before one that raises stays
        except (SystemError, UnicodeDecodeError):
            found.append(UNREADABLE_HEADERS)
    return found
