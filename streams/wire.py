"""The wire format of the `images` topic: what a Kafka message looks like, and the image it carries.

Three forms are read: CloudEvents 1.0 in binary mode (attributes in `ce_` headers, the image as the value), in
structured mode (the value is JSON with `data_base64`), and bare bytes without headers.
`flumen produce` writes the first. docs/messages.md says what is a defect and what is tolerated.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from reprlib import Repr
from typing import Any, NoReturn

import orjson

from interceptor import ImageMessage

Headers = tuple[tuple[str, bytes | None], ...]
"""As Kafka's client returns them."""

SentHeaders = list[tuple[str, str | bytes | None]]
"""As Kafka's client takes them."""

UNREADABLE_HEADERS: Headers = (("flumen.unreadable", b"headers"),)
"""Stands for the headers of a message where a header's name is not UTF-8: Kafka's client cannot return those."""

EVENT_TYPE = "flumen.image.v1"

_SPEC_VERSION = "1.0"
_READ_HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_subject", "ce_knownlabel", "content-type"}
)
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_INT32 = range(-(2**31), 2**31)

_SHORT = Repr()  # unlike repr(), it survives JSON nested a thousand levels deep
_SHORT.maxstring = 60

_MAGIC = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "image/tiff"),
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL), "image/bmp"),
    (re.compile(rb"P[1-6]\s"), "image/x-portable-anymap"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as Kafka delivered it, free of any Kafka client.

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
class SourceImage:
    """One image to be published.

    `id` is not empty, `source` is a URI reference, `known_label` fits 32 bits. `time` (with its zone) is when
    it was read.
    """

    id: str
    content: bytes
    name: str
    source: str
    content_type: str
    known_label: int | None
    time: datetime


class _Malformed(Exception):
    """The message around an image cannot be understood. Says why."""


def to_images(messages: Iterable[RawMessage], arrived_at: int) -> list[ImageMessage]:
    """Return one image a message, in the same order. See `to_image`."""
    return [to_image(message, arrived_at) for message in messages]


def to_image(message: RawMessage, arrived_at: int) -> ImageMessage:
    """Return the image a message carries. `arrived_at` is microseconds since the epoch.

    Never raises for what a message contains: one that is malformed becomes an image with a `defect`, with the
    message's own bytes as its content and the best id that can be told.
    """
    try:
        return _read(message, arrived_at)
    except _Malformed as malformed:
        return ImageMessage(
            id=_fallback_id(message),
            content=message.value or b"",
            arrived_at=arrived_at,
            defect=str(malformed),
            partition=message.partition,
            offset=message.offset,
            origin=message,
        )


def _read(message: RawMessage, arrived_at: int) -> ImageMessage:
    if message.value is None:
        raise _Malformed("the message has no value (a tombstone): there is no image to classify")
    if message.headers is UNREADABLE_HEADERS:
        raise _Malformed("the headers cannot be read: the name of one is not UTF-8 text")
    headers = dict(message.headers)
    if len(headers) != len(message.headers):
        _check_repeated(message.headers)
    content_type = headers.get("content-type")
    if content_type is not None and content_type[:23].lower() == b"application/cloudevents":
        return _read_structured(message, message.value, content_type, arrived_at)
    if headers.get("ce_specversion", b"1.0") not in (b"1.0", None):
        _refuse_version(headers["ce_specversion"])
    label = headers.get("ce_knownlabel")
    return ImageMessage(
        id=_text("message's key", message.key)
        or _text("header ce_id", headers.get("ce_id"))
        or _hash_or_position(message, message.value),
        content=message.value,
        arrived_at=arrived_at,
        source=_text("header ce_source", headers.get("ce_source")),
        name=_text("header ce_subject", headers.get("ce_subject")),
        known_label=_label("header ce_knownlabel", _text("header ce_knownlabel", label)) if label else None,
        partition=message.partition,
        offset=message.offset,
        origin=message,
    )


def _read_structured(message: RawMessage, value: bytes, content_type: bytes, arrived_at: int) -> ImageMessage:
    event = _event(value, content_type)
    if event.get("specversion") not in (_SPEC_VERSION, None):
        _refuse_version(event["specversion"])
    content = _data(event)
    label = event.get("knownlabel")
    return ImageMessage(
        id=_text("message's key", message.key)
        or _attribute(event, "id")
        or _hash_or_position(message, content),
        content=content,
        arrived_at=arrived_at,
        source=_attribute(event, "source"),
        name=_attribute(event, "subject"),
        known_label=None if label in (None, "") else _label("`knownlabel`", label),
        partition=message.partition,
        offset=message.offset,
        origin=message,
    )


def _event(value: bytes, content_type: bytes) -> Mapping[str, Any]:
    media_type = content_type.split(b";")[0].strip().lower()
    if media_type != b"application/cloudevents+json":
        raise _Malformed(
            f"the content type {_shown(content_type)} is not read; "
            "send application/cloudevents+json, or the image itself with ce_ headers"
        )
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _Malformed(f"the structured CloudEvent is not valid JSON: {error}") from error
    if not isinstance(event, dict):
        raise _Malformed("the structured CloudEvent is not a JSON object")
    return event


def _data(event: Mapping[str, Any]) -> bytes:
    data = event.get("data_base64")
    if data is None:
        instead = "; it has `data`, which cannot hold an image" if "data" in event else ""
        raise _Malformed(f"the structured CloudEvent has no `data_base64`{instead}")
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError) as error:
        raise _Malformed(f"`data_base64` of the structured CloudEvent is not base64: {error}") from error


def _attribute(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Malformed(f"`{name}` of the structured CloudEvent is {_shown(value)}, not a text")
    return value


def _text(what: str, value: bytes | None) -> str:
    if not value:
        return ""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _Malformed(f"the {what} is not UTF-8 text: {_shown(value)}") from error


def _label(what: str, value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is int and value in _INT32:  # a bool is an int, and no label
        return value
    raise _Malformed(f"the known label ({what}) is {_shown(value)}; it must be a whole number of 32 bits")


def _check_repeated(headers: Headers) -> None:
    """Refuse a header that is read and stands there twice with different values."""
    seen: dict[str, bytes | None] = {}
    for name, value in headers:
        if name in _READ_HEADERS and seen.setdefault(name, value) != value:
            raise _Malformed(f"the header {name} is given twice: {_shown(seen[name])} and {_shown(value)}")


def _refuse_version(given: object) -> NoReturn:
    raise _Malformed(f"the CloudEvents version is {_shown(given)}; only {_SPEC_VERSION!r} is read")


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


def _shown(value: object) -> str:
    """Return a value in quotes, without control characters, and short enough for a message."""
    return _SHORT.repr(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)


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
    start = content[:32]
    for magic, media_type in _MAGIC:
        if magic.match(start):
            return media_type
    return "application/octet-stream"
