"""What is small is told from the bytes, and Pillow never sees more in them."""

import io
import random
import struct
import warnings
import zlib

import pytest
from images import FORMATS, animation, encoded, gradient, png_of_header, sample, with_size
from large_images import endless_jpeg, tiff_of_a_tile
from PIL import Image

from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.formats import formats, identify, open_header
from flumen.interceptor.small import SMALL_BYTES, SMALL_PIXELS, small_size

PLAIN = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")


@pytest.mark.parametrize("image_format", PLAIN)
def test_plain_images(image_format: str) -> None:
    assert small_size(sample(image_format)) == (40, 24)
    assert small_size(encoded(Image.fromarray(gradient()), image_format)) == (28, 28)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks: bytes) -> bytes:
    whole = sample("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def jpeg_with(kind: int, data: bytes) -> bytes:
    whole = sample("JPEG")
    return whole[:2] + bytes((0xFF, kind)) + struct.pack(">H", len(data) + 2) + data + whole[2:]


def gif_wider_than_its_screen() -> bytes:
    content = bytearray(sample("GIF"))
    struct.pack_into("<HH", content, 13 + 768 + 5, 4_000, 4_000)
    return bytes(content)


NOT_SMALL = {
    "nothing": b"",
    "no image": b"no image",
    "AVIF": sample("AVIF"),
    "TIFF": sample("TIFF"),
    "a tile": tiff_of_a_tile(46_000),
    "animated WEBP": animation("WEBP"),
    "animated PNG": animation("PNG"),
    "lossless WEBP": encoded(Image.fromarray(gradient()), "WEBP", lossless=True),
    "too many pixels": encoded(Image.new("L", (SMALL_PIXELS // 256, 257))),
    "too many bytes": encoded(Image.new("L", (8, 8))) + bytes(SMALL_BYTES),
    "no pixels": png_of_header(0, 9),
    "cut PNG": sample("PNG")[:-13],
    "cut JPEG": sample("JPEG")[:100],
    "compressed text": png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000)))),
    "international text": png_with(chunk(b"iTXt", b"k\0\0\0\0\0text")),
    "two profiles": png_with(*[chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile"))] * 2),
    "much text": png_with(chunk(b"tEXt", b"k\0" + bytes(9_000))),
    "many chunks": png_with(*[chunk(b"tEXt", b"k\0v")] * 64),
    "much EXIF": jpeg_with(0xE1, b"Exif\0\0" + bytes(9_000)),
    "several pictures": jpeg_with(0xE2, b"MPF\0" + bytes(50)),
    "many scans": endless_jpeg(SMALL_BYTES),
    "two sizes": jpeg_with(0xC0, struct.pack(">BHHB", 8, 24, 40, 3) + bytes(9)),
    "beyond the screen": gif_wider_than_its_screen(),
    "much comment": encoded(Image.fromarray(gradient()), "GIF", comment=b"c" * 9_000),
    "compressed BMP": sample("BMP")[:30] + b"\1" + sample("BMP")[31:],
    "plain text PPM": b"P2 1 1 255 7 ",
    **{
        f"large {name}": with_size(name, 5_000, 5_000)
        for name in ("PNG", "BMP", "GIF", "JPEG", "WEBP", "PPM")
    },
}


@pytest.mark.parametrize("name", NOT_SMALL)
def test_all_else_is_not_small(name: str) -> None:
    assert small_size(NOT_SMALL[name]) is None


@pytest.mark.parametrize("image_format", PLAIN)
def test_what_is_told_to_be_small_is_no_larger_to_pillow(image_format: str) -> None:
    """Bytes of a small image changed at random: Pillow refuses it, or sees the size that was told."""
    chance = random.Random(image_format)
    known = formats(frozenset(FORMATS))
    small = refused = 0
    whole = sample(image_format)
    for _ in range(1_500):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(min(len(content), 400))] = chance.choice(
                (0, 1, 0x2C, 0xFF, chance.randrange(256))
            )
        told = small_size(bytes(content))
        if told is None:
            continue
        small += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = open_header(bytes(content), identify(bytes(content), known))
            except Unclassifiable:
                refused += 1
                continue
        assert image.size == told
        assert image_format == "GIF" or getattr(image, "n_frames", 1) == 1
    assert small - refused > 100


def test_a_small_image_is_opened_as_what_it_was_taken_for() -> None:
    out = io.BytesIO()
    Image.new("L", (28, 28)).save(out, "JPEG", exif=Image.Exif().tobytes(), comment="a comment")
    assert small_size(out.getvalue()) == (28, 28)
