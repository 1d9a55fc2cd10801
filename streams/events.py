"""What a message says of the image it carries, by CloudEvents 1.0: binary mode (headers) or structured mode (JSON).

docs/messages.md says what is a defect and what is tolerated.
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from reprlib import Repr
from typing import Any, NamedTuple, NoReturn

import orjson

from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers

SPEC_VERSION = "1.0"
HEADERS = "correct the message's headers and publish it again"
BODY = "correct the JSON in the message's value and publish it again"

_READ_HEADERS = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_knownlabel",
        "content-type",
    }
)
_CLOUDEVENTS = b"application/cloudevents"
_STRUCTURED = b"application/cloudevents+json"
_MARKS_OF_EVENTS = (b'"specversion"', b'"data_base64"')
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_INT32 = range(-(2**31), 2**31)
_DIGITS_OF_INT32 = 10

# What a String of CloudEvents must not hold: control characters, halves of UTF-16 pairs, and noncharacters.
_NO_STRING = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_TO_THE_MICROSECOND = len("2026-05-17T12:30:00.000000Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(2, 9999)
"""In UTC the first and the last year that the stores take could be the year beyond."""

_SHORT = Repr()  # unlike repr(), it survives JSON nested a thousand levels deep
_SHORT.maxstring = 60
_JSON_WORDS = {None: "null", True: "true", False: "false"}


class Malformed(Exception):
    """The message around an image cannot be understood. Says why, and what to do."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(f"{why}; {advice}")


class Event(NamedTuple):
    """What is read of an event. Texts are empty where they are not given; `time` is microseconds since the epoch."""

    content: bytes
    id: str
    source: str
    subject: str
    known_label: int | None
    time: int | None


def read_event(value: bytes | None, headers: Headers) -> Event:
    """Return the event that a message is; one that says nothing is an event all the same.

    Raises:
        Malformed: it cannot be understood.
    """
    if value is None:
        raise Malformed(
            "the message has no value (a tombstone): there is no image to classify",
            "publish the image's bytes as its value",
        )
    if headers is UNREADABLE_HEADERS:
        raise Malformed("the headers cannot be read: the name of one is not UTF-8 text", HEADERS)
    given = dict(headers)
    if len(given) != len(headers):
        _check_repeated(headers)
    content_type = given.get("content-type")
    if content_type is not None and content_type[: len(_CLOUDEVENTS)].lower() == _CLOUDEVENTS:
        return _structured(value, content_type)
    if value[:1] == b"{" and any(mark in value for mark in _MARKS_OF_EVENTS):
        said = f"says {shown(content_type)}" if content_type else "is missing"
        raise Malformed(
            f"its value is a structured CloudEvent, and the header content-type {said}",
            f"publish it with content-type: {_STRUCTURED.decode()}",
        )
    return _binary(value, given)


def _binary(value: bytes, headers: Mapping[str, bytes | None]) -> Event:
    given = headers.get
    version = given("ce_specversion")
    if version != b"1.0" and version is not None:
        _refuse_version(version, HEADERS)
    image_id = _header("ce_id", given("ce_id"))
    source = _header("ce_source", given("ce_source"))
    _header("ce_type", given("ce_type"))
    subject = _header("ce_subject", given("ce_subject"))
    label = given("ce_knownlabel")
    time = given("ce_time")
    return Event(
        value,
        image_id,
        source,
        subject,
        _label_header(label) if label else None,
        _time(time.decode("utf-8", "replace")) if time else None,
    )


def _structured(value: bytes, content_type: bytes) -> Event:
    event = _json(value, content_type)
    if event.get("specversion") not in (SPEC_VERSION, None):
        _refuse_version(event["specversion"], BODY)
    content = _data(event)
    label = event.get("knownlabel")
    texts = {name: _attribute(event, name) for name in ("id", "source", "type", "subject")}
    return Event(
        content=content,
        id=texts["id"],
        source=texts["source"],
        subject=texts["subject"],
        known_label=None if label in (None, "") else _label("`knownlabel`", label, BODY),
        time=_time(event.get("time")),
    )


def _json(value: bytes, content_type: bytes) -> Mapping[str, Any]:
    media_type = content_type.split(b";")[0].strip().lower()
    if media_type != _STRUCTURED:
        raise Malformed(
            f"the content type {shown(content_type)} is not read",
            "send application/cloudevents+json, or the image itself with ce_ headers",
        )
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"the structured CloudEvent is not valid JSON ({where})", BODY) from error
    if not isinstance(event, dict):
        raise Malformed("the structured CloudEvent is not a JSON object", BODY)
    return event


def _data(event: Mapping[str, Any]) -> bytes:
    data = event.get("data_base64")
    has_text = event.get("data") is not None
    if data is None:
        instead = "; it has `data`, which cannot hold an image" if has_text else ""
        raise Malformed(f"the structured CloudEvent has no `data_base64`{instead}", BODY)
    if has_text:
        raise Malformed(
            "the structured CloudEvent has both `data` and `data_base64`, of which CloudEvents allows one",
            "publish the image as `data_base64` alone",
        )
    if not isinstance(data, str):
        raise Malformed(f"`data_base64` of the structured CloudEvent is {shown(data)}, not a text", BODY)
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise Malformed(
            "`data_base64` of the structured CloudEvent is not base64 (the standard alphabet, padded, in one line)",
            BODY,
        ) from error


def _header(name: str, value: bytes | None) -> str:
    if not value:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = text_of(f"the header {name}", value, HEADERS)  # says what is wrong with it
    # What can be printed holds nothing that is not allowed, and is told in a tenth of the time.
    return text if text.isprintable() else _string(text, f"the header {name}", HEADERS)


def _label_header(value: bytes) -> int:
    if value.isdigit() and len(value) < _DIGITS_OF_INT32:
        return int(value)
    return _label("header ce_knownlabel", text_of("the header ce_knownlabel", value, HEADERS), HEADERS)


def _attribute(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if value is None:
        return ""
    what = f"`{name}` of the structured CloudEvent"
    if not isinstance(value, str):
        raise Malformed(f"{what} is {shown(value)}, not a text", BODY)
    return _string(value, what, BODY)


def text_of(what: str, value: bytes, advice: str) -> str:
    """Return bytes as the text that they are.

    Raises:
        Malformed: they are not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8 text: {shown(value)}", advice) from error


def escaped(text: str) -> str:
    r"""Return a text with the characters that CloudEvents does not allow as escapes: a line break as `\n`."""
    return _NO_STRING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _string(text: str, what: str, advice: str) -> str:
    found = _NO_STRING.search(text)
    if found is not None:
        raise Malformed(
            f"{what} holds the character U+{ord(found[0]):04X}, which CloudEvents does not allow: {shown(text)}",
            advice,
        )
    return text


def _label(what: str, value: object, advice: str) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is int and value in _INT32:  # a bool is an int, and no label
        return value
    raise Malformed(
        f"the known label ({what}) is {shown(value)}; it must be a whole number of 32 bits", advice
    )


def _time(value: object) -> int | None:
    """Return a time of RFC 3339; None where it is none: no image is refused for that."""
    if not isinstance(value, str):
        return None
    # As `flumen produce` writes it, to the microsecond: many images have one second in common.
    fraction = value[20:-1]
    if (
        len(value) == _TO_THE_MICROSECOND
        and value[19] == "."
        and value[-1] == "Z"
        and fraction.isascii()
        and fraction.isdigit()
    ):
        second = _second(value[:19])
        return None if second is None else second + int(fraction)
    return _any_time(value)


@lru_cache(maxsize=64)
def _second(value: str) -> int | None:
    return _any_time(f"{value}Z")


def _any_time(value: str) -> int | None:
    parts = _TIMESTAMP.fullmatch(value)
    if parts is None:
        return None
    day, clock, fraction, zone = parts.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + int((fraction or "").ljust(6, "0"))


def _check_repeated(headers: Headers) -> None:
    """Refuse a header that is read and stands there twice with different values."""
    seen: dict[str, bytes | None] = {}
    for name, value in headers:
        if name in _READ_HEADERS and seen.setdefault(name, value) != value:
            raise Malformed(
                f"the header {name} is given twice: {shown(seen[name])} and {shown(value)}", HEADERS
            )


def _refuse_version(given: object, advice: str) -> NoReturn:
    raise Malformed(f"the CloudEvents version is {shown(given)}; only {SPEC_VERSION!r} is read", advice)


def shown(value: object) -> str:
    """Return a value in quotes, without control characters, and short enough for a message."""
    if value is None or isinstance(value, bool):
        return _JSON_WORDS[value]
    return _SHORT.repr(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)
