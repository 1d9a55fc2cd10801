"""The wire format of the `images` topic: what a Kafka message looks like, and the image it carries.

Three forms are read: CloudEvents 1.0 in binary mode (attributes in `ce_` headers, the image as the value), in
structured mode (the value is JSON with `data_base64`), and bare bytes without headers.
`flumen produce` writes the first. docs/messages.md says what is a defect and what is tolerated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from flumen.interceptor import ImageMessage, Limits
from flumen.streams.events import Event, Malformed, read_event, text_of
from flumen.streams.kafka.message import RawMessage, SentHeaders

Identity = Literal["event", "key", "content"]
"""What tells one image from another: the setting `image_id`."""

EVENT_TYPE = "flumen.image.v1"

_FORMATS = Limits().formats
_KEY = "publish it with another key, or with a ce_id, or set image_id to content"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image to be published.

    `id` is not empty, and like `name` without characters that CloudEvents does not allow. `source` is a URI
    reference, `known_label` fits 32 bits. `time` (with its zone) is when it was read.
    """

    id: str
    content: bytes
    name: str
    source: str
    content_type: str
    known_label: int | None
    time: datetime


def to_images(
    messages: Iterable[RawMessage], arrived_at: int, identity: Identity = "event"
) -> list[ImageMessage]:
    """Return one image a message, in the same order. See `to_image`."""
    return [to_image(message, arrived_at, identity) for message in messages]


def to_image(message: RawMessage, arrived_at: int, identity: Identity = "event") -> ImageMessage:
    """Return the image a message carries. `arrived_at` is microseconds since the epoch.

    Never raises for what a message contains: one that is malformed becomes an image with a `defect`, with the
    message's own bytes as its content and the best id that can be told.
    """
    try:
        event = read_event(message.value, message.headers)
        return ImageMessage(
            _id(message, event, identity),
            event.content,
            arrived_at,
            event.source,
            event.subject,
            event.known_label,
            event.time,
            message.partition,
            message.offset,
            origin=message,
        )
    except Malformed as malformed:
        return ImageMessage(
            id=_fallback_id(message),
            content=message.value or b"",
            arrived_at=arrived_at,
            defect=str(malformed),
            partition=message.partition,
            offset=message.offset,
            origin=message,
        )


def _id(message: RawMessage, event: Event, identity: Identity) -> str:
    """Return the id of an image, by the rules of docs/messages.md."""
    if identity == "content":
        return _hash_or_position(message, event.content)
    if identity == "event" and event.id:
        named = event.id.encode() == message.key or not event.source
        # A source is a URI reference, which holds no space: so no two pairs make one id.
        return event.id if named else f"{event.source.replace(' ', '%20')} {event.id}"
    if message.key:
        return text_of("the message's key", message.key, _KEY)
    return event.id or _hash_or_position(message, event.content)


def _hash_or_position(message: RawMessage, content: bytes) -> str:
    if content:
        return sha256(content).hexdigest()
    return f"{message.topic}/{message.partition}/{message.offset}"


def _fallback_id(message: RawMessage) -> str:
    """Return the key or `ce_id` if readable, else the hash of the value, else where the message stands."""
    for candidate in (message.key, *(value for name, value in message.headers if name == "ce_id")):
        try:
            if candidate:
                return candidate.decode()
        except UnicodeDecodeError:
            continue
    return _hash_or_position(message, message.value or b"")


def to_message(image: SourceImage) -> tuple[bytes, bytes, SentHeaders]:
    """Return the key, the value and the headers of an image: CloudEvents 1.0, binary mode.

    An empty name or source is left out, as CloudEvents allows no empty attribute.
    """
    image_id = image.id.encode()
    time = image.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    headers: SentHeaders = [
        ("ce_specversion", b"1.0"),
        ("ce_id", image_id),
        ("ce_type", EVENT_TYPE.encode()),
        ("ce_time", time.encode()),
        ("content-type", image.content_type.encode()),
    ]
    if image.source:
        headers.append(("ce_source", image.source.encode()))
    if image.name:
        headers.append(("ce_subject", image.name.encode()))
    if image.known_label is not None:
        headers.append(("ce_knownlabel", b"%d" % image.known_label))
    return image_id, image.content, headers


def content_type_of(content: bytes) -> str:
    """Return the media type that the first bytes announce, or `application/octet-stream`."""
    from flumen.interceptor.formats import formats, media_type

    return media_type(content, formats(_FORMATS))
