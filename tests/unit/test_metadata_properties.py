"""Whatever stands in an image's metadata: the image is classified, and what was read fits into every store."""

import math
import struct
from functools import lru_cache
from typing import Any

import pytest
from exif_blocks import ASCII, Raw, block
from exif_blocks import value as entry
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from images import batch, context, encoded
from PIL import Image
from test_metadata_exif import everything
from test_metadata_texts import IPTC, PACKET, icc

from flumen.interceptor.columns import Kind
from flumen.interceptor.decode import Decode
from flumen.interceptor.metadata.findings import MAX_ERRORS
from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.step import Metadata, read_metadata
from flumen.interceptor.metadata.words import MAX_CHARACTERS, MAX_WORDS
from flumen.stores.values import refusal

without_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXIF_BYTES = 2_000
FORMATS_WITH_EXIF = ["JPEG", "PNG", "WEBP", "AVIF"]
COLUMNS = {column.name: column for column in Metadata.columns}


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """A good block with entries replaced by any others, then with bytes changed, then cut."""
    order = draw(st.sampled_from("<>"))
    directories = everything(order)
    tags = [(number, tag) for number, entries in directories.items() for tag in entries]
    pointers = [(0, 34665), (0, 34853)]
    for number, tag in draw(st.lists(st.sampled_from(tags + pointers), max_size=6)):
        directories[number][tag] = draw(entries)
    content = bytearray(block(directories, order))
    for place, byte in draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = byte
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


offsets = st.none() | st.integers(0, 400) | st.integers(0, 2**32 - 1)
entries = st.builds(Raw, st.integers(0, 20), st.binary(max_size=40), offsets, offsets)
any_exif = st.binary(max_size=300) | blocks()


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    changed = bytearray(content)
    places = st.integers(0, len(content) - 1)
    for place, byte in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        changed[place] = byte
    return bytes(changed[: draw(st.just(len(content)) | places)])


def assert_fits(values: dict[str, Any]) -> None:
    for name, value in values.items():
        column = COLUMNS[name]
        assert refusal(column, value) is None
        texts = value if column.kind is Kind.STRINGS else [value] if column.kind is Kind.STRING else []
        assert len(texts) <= MAX_WORDS
        for text in texts:
            assert isinstance(text, str)
            assert 0 < len(text) <= MAX_CHARACTERS
            assert text.isprintable() or not any(ord(letter) < 32 for letter in text)
        if column.kind in (Kind.FLOAT, Kind.DOUBLE):
            assert math.isfinite(value)
        if column.kind is Kind.FLOAT:
            assert math.isfinite(struct.unpack("f", struct.pack("f", value))[0])
    assert abs(values.get("latitude", 0)) <= 90
    assert abs(values.get("longitude", 0)) <= 180
    assert values.get("orientation", 1) in range(1, 9)
    assert -62_135_596_800_000_000 <= values.get("taken_at", 0) <= 253_402_300_799_999_999


@settings(without_deadline, max_examples=500)
@given(any_exif)
def test_any_exif(content: bytes) -> None:
    findings = read_metadata(Header("RGB", 8, exif=content))
    assert_fits(findings.values)
    assert len(findings.errors) <= MAX_ERRORS
    assert all(": " in error for error in findings.errors)


@without_deadline
@given(mutated(PACKET.encode()), mutated(IPTC), mutated(icc(b"desc" + bytes(4) + b"\0\0\0\x05sRGB\0")))
def test_any_texts(xmp: bytes, iptc: bytes, profile: bytes) -> None:
    assert_fits(read_metadata(Header("RGB", 8, xmp=xmp, iptc=iptc, icc=profile)).values)


@lru_cache(maxsize=8)
def pixels(image_format: str) -> bytes:
    return bytes(Decode().intercept(batch(picture(image_format)), context()).oks.columns["image_as_pgm"][0])


def picture(image_format: str, **options: Any) -> bytes:
    return encoded(Image.linear_gradient("L").resize((28, 28)).convert("RGB"), image_format, **options)


@pytest.mark.parametrize("image_format", FORMATS_WITH_EXIF)
@without_deadline
@given(any_exif.filter(len))
@example(b"Exif\0\0MM\0\x2a" + bytes(4))
def test_an_image_is_classified_whatever_its_exif(image_format: str, exif: bytes) -> None:
    placeholder = block({0: {272: entry("<", ASCII, b"M10\0")}}).ljust(EXIF_BYTES, b"x")
    content = picture(image_format, exif=placeholder)
    if image_format == "PNG":
        content = picture(image_format, exif=exif)  # its chunk has a checksum
    else:  # not written by Pillow, which reads it first
        written = placeholder.removeprefix(b"Exif\0\0")
        assert written in content
        content = content.replace(written, exif.removeprefix(b"Exif\0\0").ljust(len(written), b"\0"))
    check(image_format, content)


@settings(without_deadline, max_examples=150)
@given(st.data())
def test_a_tiff_is_classified_whatever_its_other_tags(data: st.DataObject) -> None:
    """The directory is the image's own: tags that describe pixels are left alone, any others are drawn."""
    tags = data.draw(
        st.dictionaries(st.sampled_from([271, 272, 305, 315, 700, 33723, 34665, 34853, 40965]), entries)
    )
    content = bytearray(picture("TIFF"))
    start = struct.unpack_from("<L", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    kept = content[start + 2 : start + 2 + 12 * count]
    more = b""
    for tag, raw in tags.items():
        place = struct.pack("<L", raw.offset) if raw.offset is not None else raw.data[:4].ljust(4, b"\0")
        length = len(raw.data) if raw.count is None else raw.count
        more += struct.pack("<HHL", tag, raw.kind, length) + place
    struct.pack_into("<L", content, 4, len(content))
    content += struct.pack("<H", count + len(tags)) + kept + more + bytes(4)
    check("TIFF", bytes(content))


def check(image_format: str, content: bytes) -> None:
    decoded = Decode().intercept(batch(content), context())
    assert not decoded.errs, [str(reject.error) for reject in decoded.errs]
    oks = Metadata().intercept(decoded.oks, context()).oks
    found = {name: values[0] for name, values in oks.columns.items() if name in COLUMNS}
    if found.get("orientation") in (None, 1):
        assert oks.columns["image_as_pgm"][0] == pixels(image_format)
    assert_fits({name: value for name, value in found.items() if value is not None})
