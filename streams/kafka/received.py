"""What a consumer delivered, as a value of our own: the one place that reads a message of Kafka's client.

Where a header's name is not UTF-8, the client's `headers` returns a list and leaves an exception behind. A plain call
of it is no protection: once CPython has specialised the call, it looks for no exception, and some later call fails in
its place; and the list has holes, which end the process if they are touched. Neither happens here.
"""

import logging
from functools import partial
from typing import cast

from confluent_kafka import Message

from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers, RawMessage

log = logging.getLogger(__name__)

_told: set[str] = set()


def raw_message(message: Message) -> RawMessage:
    """Return what a consumer delivered; nothing is copied. Headers that the client cannot return are marked as such.

    To be called once for a message: the client keeps the list with the holes, and returns it without an exception.
    """
    # What a consumer delivers has a place; the types also allow for a producer's messages.
    return RawMessage(
        cast(str, message.topic()),
        cast(int, message.partition()),
        cast(int, message.offset()),
        message.key(),
        message.value(),
        _headers(message),
        message.timestamp()[1],
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


def _headers(message: Message) -> Headers:
    try:
        # `partial` calls from C, where the result of every call is checked, however often it was made before.
        return tuple(cast(Headers, partial(Message.headers, message)() or ()))
    except (SystemError, UnicodeDecodeError):
        return UNREADABLE_HEADERS
