"""Each row of the tables in docs/messages.md."""

import base64
from hashlib import sha256

import orjson
import pytest

from flumen.interceptor import ImageMessage
from flumen.streams.kafka.message import UNREADABLE_HEADERS, RawMessage
from flumen.streams.wire import to_image, to_images

IMAGE = b"\x89PNG\r\n\x1a\n and so on"
HASH = sha256(IMAGE).hexdigest()
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=utf-8")

Header = tuple[str, bytes | None]


def message(*headers: Header, key: bytes | None = b"k", value: bytes | None = IMAGE) -> RawMessage:
    return RawMessage("images", 3, 42, key, value, headers, 1_700_000_000_000)


def event(**attributes: object) -> bytes:
    full = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/camera",
        "type": "t",
        "data_base64": base64.b64encode(IMAGE).decode(),
    }
    return orjson.dumps({name: value for name, value in {**full, **attributes}.items() if value != "drop"})


def structured(value: bytes, key: bytes | None = None) -> ImageMessage:
    return to_image(message(STRUCTURED, key=key, value=value), 7)


def test_binary_mode_is_read() -> None:
    raw = message(
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e-1"),
        ("ce_source", b"/camera"),
        ("ce_type", b"t"),
        ("ce_time", b"2026-01-01T00:00:00Z"),
        ("ce_subject", "schön.png".encode()),
        ("content-type", b"image/png"),
        ("ce_knownlabel", b"-7"),
    )
    image = to_image(raw, 7)
    assert image == ImageMessage("/camera e-1", IMAGE, 7, "/camera", "schön.png", -7, 1_767_225_600_000_000)
    assert image.origin is raw


def test_structured_mode_is_read() -> None:
    image = structured(event(subject="a.png", knownlabel=4))
    assert image == ImageMessage("/camera e-1", IMAGE, 7, "/camera", "a.png", 4)


def test_bare_bytes_are_read() -> None:
    assert to_image(message(key=None), 7) == ImageMessage(HASH, IMAGE, 7)


def test_a_batch_is_read_in_order() -> None:
    images = to_images([message(key=b"a"), message(("ce_id", b"\xff"), key=None), message(key=b"c")], 7)
    assert [(image.id, image.defect is None) for image in images] == [("a", True), (HASH, False), ("c", True)]


SOURCE = ("ce_source", b"/camera")


@pytest.mark.parametrize(
    ("raw", "by_event", "by_key"),
    [
        (message(("ce_id", b"e"), SOURCE, key=b"camera"), "/camera e", "camera"),
        (message(("ce_id", b"e"), SOURCE, key=None), "/camera e", "e"),
        (message(("ce_id", b"e"), SOURCE, key=b"e"), "e", "e"),
        (message(("ce_id", b"e"), key=b"camera"), "e", "camera"),
        (message(("ce_id", b"e"), ("ce_source", b"a b"), key=None), "a%20b e", "e"),
        (message(("ce_id", b"b e"), ("ce_source", b"a"), key=None), "a b e", "b e"),
        (message(SOURCE, key=b"k"), "k", "k"),
        (message(("ce_id", b"e"), key=b"\xff"), "e", None),
        (message(("ce_id", b"e"), key=b"\0\0\0\5"), "e", "\0\0\0\5"),
        (message(STRUCTURED, key=b"k", value=event(id="k")), "k", "k"),
        (message(STRUCTURED, key=b"k", value=event()), "/camera e-1", "k"),
    ],
)
def test_identity(raw: RawMessage, by_event: str, by_key: str | None) -> None:
    assert to_image(raw, 7, "event").id == to_image(raw, 7).id == by_event
    image = to_image(raw, 7, "key")
    assert (None if image.defect else image.id) == by_key
    assert to_image(raw, 7, "content").id == HASH
    assert to_image(raw, 7, "content").defect is None


def test_a_message_without_bytes_is_named_by_its_place_where_its_bytes_would_name_it() -> None:
    assert to_image(message(value=b""), 7, "content").id == "images/3/42"


def test_no_two_events_have_one_id() -> None:
    """A URI reference has no space, and what is none gets none."""
    pairs = [(b"/a", b"b c"), (b"/a b", b"c"), (b"/a%20b", b"c d")]
    raws = [message(("ce_source", source), ("ce_id", ident)) for source, ident in pairs]
    assert [to_image(raw, 7).id for raw in raws] == ["/a b c", "/a%20b c", "/a%20b c d"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"2026-01-01T00:00:00Z", 1_767_225_600_000_000),
        (b"2026-01-01t00:00:00.5z", 1_767_225_600_500_000),
        (b"2026-01-01T02:00:00.123456789+02:00", 1_767_225_600_123_456),
        (b"1969-12-31T23:59:59.999999Z", -1),
        (b"2026-01-01T00:00:00", None),
        (b"2026-01-01", None),
        (b"2026-02-30T00:00:00Z", None),
        (b"2026-01-01T00:00:60Z", None),
        (b"2026-01-01T00:00:00+25:00", None),
        (b"0001-01-01T00:00:00+14:00", None),
        (b"9999-12-31T23:59:59-14:00", None),
        ("\u0662026-01-01T00:00:00Z".encode(), None),
        (b"yesterday", None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_time_of_an_event(given: bytes | None, expected: int | None) -> None:
    image = to_image(message(("ce_time", given)), 7)
    assert (image.event_time, image.defect) == (expected, None)
    if given is not None and given.isascii():
        image = structured(event(time=given.decode()))
        assert (image.event_time, image.defect) == (expected, None)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (message(("ce_id", b"e"), key=b"k"), "e"),
        (message(("ce_id", b"e"), key=None), "e"),
        (message(("ce_id", b"e"), key=b""), "e"),
        (message(("ce_id", b""), key=None), HASH),
        (message(("ce_id", None), key=None), HASH),
        (message(key=None), HASH),
        (message(key=None, value=b""), "images/3/42"),
        (message(STRUCTURED, key=None, value=event(source="drop")), "e-1"),
        (message(STRUCTURED, key=None, value=event(id="drop")), HASH),
    ],
)
def test_the_id_is_the_event_s_else_the_key_else_the_hash(raw: RawMessage, expected: str) -> None:
    image = to_image(raw, 7)
    assert (image.id, image.defect) == (expected, None)


@pytest.mark.parametrize(
    ("header", "known_label"),
    [
        (("ce_knownlabel", b"7"), 7),
        (("ce_knownlabel", b"007"), 7),
        (("ce_knownlabel", b"2147483647"), 2**31 - 1),
        (("ce_knownlabel", b"-2147483648"), -(2**31)),
        (("ce_knownlabel", b""), None),
        (("ce_knownlabel", None), None),
    ],
)
def test_known_labels(header: Header, known_label: int | None) -> None:
    image = to_image(message(header), 7)
    assert (image.known_label, image.defect) == (known_label, None)


@pytest.mark.parametrize(("given", "known_label"), [(7, 7), ("7", 7), ("", None), (None, None)])
def test_known_labels_in_structured_mode(given: object, known_label: int | None) -> None:
    image = structured(event(knownlabel=given))
    assert (image.known_label, image.defect) == (known_label, None)


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_time", b"yesterday")],
        [("ce_time", b"\xff")],
        [("ce_type", b""), ("ce_anything", b"\xff")],
        [("ce_anything", b"a\nb")],
        [("traceparent", b"\xff"), ("traceparent", b"\xfe")],
        [("ce_source", None), ("ce_subject", None), ("ce_specversion", None)],
        [("ce_source", b"/camera"), ("ce_source", b"/camera")],
        [("content-type", b"\xff")],
        [("content-type", b"text/plain")],
    ],
)
def test_headers_that_are_tolerated(headers: list[Header]) -> None:
    image = to_image(message(*headers), 7)
    assert (image.id, image.content, image.defect) == ("k", IMAGE, None)


@pytest.mark.parametrize(
    ("raw", "image_id", "reason"),
    [
        (message(value=None), "k", "no value (a tombstone)"),
        (message(key=None, value=None), "images/3/42", "no value (a tombstone)"),
        (
            message()._replace(headers=UNREADABLE_HEADERS),
            "k",
            "headers cannot be read: the name of one is not UTF-8",
        ),
        (message(key=b"\xff\x00"), HASH, r"message's key is not UTF-8 text: '\\xff\x00'"),
        (message(("ce_id", b"\xff")), "k", "header ce_id is not UTF-8"),
        (message(("ce_type", b"\xff")), "k", "header ce_type is not UTF-8"),
        (
            message(("ce_subject", b"a\nb.png")),
            "k",
            r"ce_subject holds the character U+000A, which CloudEvents does not allow: 'a\nb.png'; correct the mess",
        ),
        (message(("ce_source", b"/a\x1b[31m")), "k", "ce_source holds the character U+001B"),
        (message(("ce_id", "a\u0085".encode())), "k", "ce_id holds the character U+0085"),
        (message(("ce_type", "a\ufdd0".encode())), "k", "ce_type holds the character U+FDD0"),
        (message(("ce_subject", "a\U0010ffff".encode())), "k", "ce_subject holds the character U+10FFFF"),
        (
            message(value=event()),
            "k",
            "a structured CloudEvent, and the header content-type is missing; publish it with content-type: ",
        ),
        (
            message(("content-type", b"application/json"), value=event()),
            "k",
            "and the header content-type says 'application/json'; publish it with",
        ),
        (message(("ce_id", b"\xff"), key=None), HASH, "header ce_id is not UTF-8"),
        (message(("ce_source", b"\xff")), "k", "header ce_source is not UTF-8"),
        (message(("ce_subject", b"\xe9t\xe9.png")), "k", "header ce_subject is not UTF-8"),
        (message(("ce_specversion", b"0.3")), "k", "version is '0.3'; only '1.0'"),
        (message(("ce_specversion", b"")), "k", "version is ''; only '1.0'"),
        (message(("ce_knownlabel", b"seven")), "k", "'seven'; it must be a whole number of 32 bits"),
        (message(("ce_knownlabel", b"7.0")), "k", "'7.0'; it must be"),
        (message(("ce_knownlabel", b" 7")), "k", "' 7'; it must be"),
        (message(("ce_knownlabel", b"1_0")), "k", "'1_0'; it must be"),
        (message(("ce_knownlabel", "\u0667".encode())), "k", "'\u0667'; it must be"),
        (message(("ce_knownlabel", b"2147483648")), "k", "2147483648; it must be"),
        (message(("ce_knownlabel", b"9" * 9000)), "k", "it must be"),
        (message(("ce_knownlabel", b"\xff")), "k", "header ce_knownlabel is not UTF-8"),
        (message(("ce_id", b"a"), ("ce_id", b"b"), key=None), "a", "ce_id is given twice: 'a' and 'b'"),
        (message(("ce_knownlabel", b"1"), ("ce_knownlabel", None)), "k", "given twice: '1' and null"),
        (message(("content-type", b"application/cloudevents")), "k", "is not read; send"),
        (message(("content-type", b"application/cloudevents+avro")), "k", "is not read; send"),
        (message(("content-type", b"Application/CloudEvents-batch+JSON")), "k", "is not read; send"),
    ],
)
def test_defects(raw: RawMessage, image_id: str, reason: str) -> None:
    image = to_image(raw, 7)
    assert (image.id, image.content) == (image_id, raw.value or b"")
    assert reason in str(image.defect)
    assert str(image.defect).count("; ") >= 1, "it says what to do"
    assert image.origin is raw


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (IMAGE, "not valid JSON"),
        (b'{"id": "\\ud800"}', "not valid JSON"),
        (b"[]", "not a JSON object"),
        (event(data_base64="drop"), "has no `data_base64`"),
        (event(data_base64=None), "has no `data_base64`"),
        (event(data_base64="drop", data="text"), "it has `data`, which cannot hold an image"),
        (
            event(data_base64="AA"),
            "is not base64 (the standard alphabet, padded, in one line); correct the JSON",
        ),
        (event(data="text"), "has both `data` and `data_base64`, of which CloudEvents allows one"),
        (event(subject="a\nb"), "`subject` of the structured CloudEvent holds the character U+000A"),
        (event(type="a\0b"), "`type` of the structured CloudEvent holds the character U+0000"),
        (event(id="a\rb"), "`id` of the structured CloudEvent holds the character U+000D"),
        (event(source="a\x7fb"), "`source` of the structured CloudEvent holds the character U+007F"),
        (event(data_base64="A-_A"), "is not base64"),
        (event(data_base64="AAAA\n"), "is not base64"),
        (event(data_base64="é"), "is not base64"),
        (event(data_base64=5), "`data_base64` of the structured CloudEvent is 5, not a text"),
        (event(specversion="2.0"), "version is '2.0'"),
        (event(specversion=1.0), "version is 1.0; only '1.0'"),
        (event(source=["a"]), "`source` of the structured CloudEvent is ['a']"),
        (event(subject={}), "`subject` of the structured CloudEvent is {}"),
        (event(knownlabel=True), "is true; it must be"),
        (event(knownlabel=7.0), "is 7.0; it must be"),
        (event(knownlabel=2**31), "is 2147483648; it must be"),
        (event(knownlabel="seven"), "is 'seven'; it must be"),
    ],
)
def test_defects_of_structured_mode(value: bytes, reason: str) -> None:
    image = structured(value, key=b"k")
    assert (image.id, image.content) == ("k", value)
    assert reason in str(image.defect)
    assert "headers" not in str(image.defect), "it is the body that is wrong"


def test_attributes_of_structured_mode_that_are_tolerated() -> None:
    value = event(
        specversion=None, source="drop", type="drop", time="yesterday", data=None, anything={"a": [1]}
    )
    assert structured(value) == ImageMessage("e-1", IMAGE, 7)


def test_the_id_of_a_structured_event_is_a_text() -> None:
    value = event(id=5)
    defect = structured(value).defect
    assert defect is not None
    assert defect.startswith("`id` of the structured CloudEvent is 5, not a text; correct the JSON")
    assert structured(value).id == sha256(value).hexdigest()


def test_a_structured_event_of_no_bytes_is_left_to_the_interceptor() -> None:
    image = structured(event(data_base64=""), key=b"k")
    assert (image.content, image.defect) == (b"", None)


def test_a_defect_shows_deeply_nested_json_shortly() -> None:
    nested = b'{"data_base64": "AAAA", "id": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    defect = structured(nested).defect
    assert defect is not None
    assert "not a text" in defect
    assert len(defect) < 200


def test_a_defect_shows_a_long_value_shortly() -> None:
    defect = to_image(message(("ce_subject", b"\xff" * 100_000)), 7).defect
    assert defect is not None
    assert len(defect) < 200
