import hashlib
from dataclasses import replace

import pytest
from images import ARRIVED_AT, context, grey

from flumen.interceptor import Batch, ImageMessage, Limits
from flumen.interceptor.envelope import MAX_ID_BYTES, MAX_TEXT_BYTES, Envelope
from flumen.interceptor.errors import BadEnvelope, EmptyImage, ImageTooLarge

GOOD = ImageMessage("a", grey(0), ARRIVED_AT, source="camera/1", name="a.png", known_label=7, event_time=5)


def rejected(image: ImageMessage, limits: Limits | None = None) -> Exception:
    step = Envelope().intercept(Batch([GOOD, image]), context(limits=limits))
    assert step.oks.columns["id"] == ["a"]
    (reject,) = step.errs
    assert reject.image is image
    assert reject.stage == "envelope"
    return reject.error


def test_stores_what_the_message_says_of_itself():
    unknown = ImageMessage("b", b"no image, and not for the envelope to judge", ARRIVED_AT + 1)
    step = Envelope().intercept(Batch([GOOD, unknown]), context())
    columns = step.oks.columns
    assert list(columns) == [column.name for column in Envelope.columns]
    assert columns["id"] == ["a", "b"]
    assert columns["source"] == ["camera/1", ""]
    assert columns["name"] == ["a.png", ""]
    assert columns["size_bytes"].tolist() == [len(GOOD.content), len(unknown.content)]
    assert columns["sha256"] == [hashlib.sha256(image.content).hexdigest() for image in (GOOD, unknown)]
    assert columns["knownlabel"] == [7, None]
    assert columns["event_time"] == [5, None]
    assert columns["ingested_at"].tolist() == [ARRIVED_AT, ARRIVED_AT + 1]
    assert step.errs == ()


def test_an_empty_batch_has_every_column():
    step = Envelope().intercept(Batch([]), context())
    assert {name: len(values) for name, values in step.oks.columns.items()} == {
        column.name: 0 for column in Envelope.columns
    }


def test_rejects_a_defect_in_its_own_words():
    error = rejected(replace(GOOD, defect="the header ce_id is not UTF-8; correct it"))
    assert isinstance(error, BadEnvelope)
    assert str(error) == ("image 'a': the header ce_id is not UTF-8; correct it")


def test_rejects_an_empty_image():
    error = rejected(ImageMessage("nothing", b"", ARRIVED_AT))
    assert isinstance(error, EmptyImage)
    assert str(error) == "image 'nothing': the message has no bytes; publish the image's content"


def test_rejects_more_bytes_than_allowed():
    limits = Limits(max_image_bytes=len(GOOD.content))
    error = rejected(replace(GOOD, id="b", content=GOOD.content + b"\0"), limits)
    assert isinstance(error, ImageTooLarge)
    assert str(error).startswith(f"image 'b': it has {len(GOOD.content) + 1:,} bytes and max_image_bytes is ")


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("id", "", "its id is empty"),
        ("id", "k" * 17 * 1024, "its id has 17,408 bytes in UTF-8, more than the 16,384"),
        ("id", "é" * (MAX_ID_BYTES // 2) + "e", "its id has 16,385 bytes in UTF-8"),
        ("id", "a\0b", "its id holds the control character U+0000"),
        ("id", "a\nb", "its id holds the control character U+000A"),
        ("source", "a\x7fb", "its source holds the control character U+007F"),
        ("name", "a\x85b", "its name holds the control character U+0085"),
        ("id", "a\udcff", "its id is not valid Unicode"),
        ("source", "s" * (MAX_TEXT_BYTES + 1), "its source has 4,097 bytes in UTF-8"),
        ("source", "\ud800", "its source is not valid Unicode"),
        ("name", "n" * (MAX_TEXT_BYTES + 1), "its name has 4,097 bytes in UTF-8"),
        ("name", "x\0.png", "its name holds the control character U+0000"),
    ],
)
def test_rejects_a_text_that_no_store_can_hold(field: str, text: str, reason: str):
    error = rejected(replace(GOOD, **{field: text}))
    assert isinstance(error, BadEnvelope)
    assert reason in str(error)
    assert len(str(error)) < 400, "a long id must not make a long message"
    str(error).encode()


@pytest.mark.parametrize("label", [2**31, -(2**31) - 1, 10**20])
def test_rejects_a_known_label_that_is_no_32_bit_number(label: int):
    error = rejected(replace(GOOD, id="b", known_label=label))
    assert isinstance(error, BadEnvelope)
    assert "its known label needs more than 32 bits" in str(error)


def test_takes_the_longest_texts_and_any_script():
    image = replace(GOOD, id="é" * (MAX_ID_BYTES // 2), source="s" * MAX_TEXT_BYTES, name="写真 🖼.png")
    step = Envelope().intercept(Batch([image]), context())
    assert step.errs == ()
    assert step.oks.columns["name"] == ["写真 🖼.png"]
