"""PNG and JPEG files that are plain, or nearly so, and the ways in which they are changed."""

import random
import struct
import zlib
from typing import Any

from hypothesis import strategies as st
from images import encoded, gradient
from PIL import Image

GREY = Image.fromarray(gradient())
COLOUR = Image.merge("RGB", [GREY, GREY.rotate(90), GREY.rotate(180)])
WIDE = Image.fromarray(gradient(45, 9))
LONG = Image.fromarray(gradient(520, 9))
DEEP = Image.fromarray(gradient(28, 28).astype("uint16") * 257)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    rows: bytes,
    size: tuple[int, int] = (28, 28),
    kind: tuple[int, ...] = (8, 0, 0, 0, 0),
    before: bytes = b"",
    behind: bytes = b"",
    pieces: int = 1,
) -> bytes:
    """A PNG of these filtered rows. `kind`: bit depth, colour type, compression, filter, interlace."""
    header = chunk(b"IHDR", struct.pack(">II5B", *size, *kind))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + before
        + idat(zlib.compress(rows), pieces)
        + behind
        + chunk(b"IEND", b"")
    )


def idat(stream: bytes, pieces: int = 1) -> bytes:
    step = -(-len(stream) // pieces)
    return b"".join(chunk(b"IDAT", stream[at : at + step]) for at in range(0, len(stream), step))


def filtered(width: int = 28, height: int = 28, channels: int = 1) -> bytes:
    """Rows of all filters, of noise."""
    noise = random.Random(width)
    return b"".join(bytes((row % 5,)) + noise.randbytes(width * channels) for row in range(height))


def jpeg_with(whole: bytes, marker: int, data: bytes) -> bytes:
    return whole[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + whole[2:]


def changed(whole: bytes, of: bytes, to: bytes) -> bytes:
    return whole.replace(of, to, 1)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "JPEG", **options)


ADOBE = b"Adobe\0\x64\0\0\0\0"
PLAIN = {
    "grey": encoded(GREY),
    "colour": encoded(COLOUR),
    "of another size": encoded(WIDE),
    "long": encoded(LONG),
    "all filters": png(filtered()),
    "all filters in colour": png(filtered(channels=3), kind=(8, 2, 0, 0, 0)),
    "a row short": png(filtered(height=27)),
    "with unreported chunks": png(
        filtered(), before=chunk(b"gAMA", bytes(4)) + chunk(b"pHYs", bytes(9)) + chunk(b"sRGB", b"\0")
    ),
    "grey JPEG": jpeg(GREY),
    "colour JPEG": jpeg(COLOUR),
    "JPEG of another size": jpeg(WIDE, quality=30),
    "progressive": jpeg(COLOUR, progressive=True),
    "progressive grey": jpeg(GREY, progressive=True),
    "4:4:4": jpeg(COLOUR, subsampling=0, quality=95),
    "4:2:2": jpeg(COLOUR, subsampling=1, optimize=True),
    "with restarts": jpeg(COLOUR, restart_marker_blocks=1),
    "with a comment": jpeg(GREY, comment="of nothing"),
    "odd factors": changed(jpeg(COLOUR), b"\x01\x22\x00", b"\x01\x41\x00"),
}
"""Files that are read here."""

TURNED = Image.Exif()
TURNED[274] = 6
NOT_PLAIN = {
    "in pieces": png(filtered(), pieces=5),
    "in pieces that Pillow refuses": png(b"", (1, 2))[:33]
    + b"".join(chunk(b"IDAT", data) for data in (b"x\1\1\2\0", b'\xfd\xff\0"\0', b"$\0#"))
    + chunk(b"IEND", b""),
    "16 bit": encoded(DEEP),
    "palette": encoded(COLOUR.quantize(8)),
    "alpha": encoded(COLOUR.convert("RGBA")),
    "grey and alpha": encoded(GREY.convert("LA")),
    "one bit": encoded(GREY.convert("1")),
    "a transparent shade": encoded(GREY, transparency=9),
    "interlaced": png(filtered(), kind=(8, 0, 0, 0, 1)),
    "another compression": png(filtered(), kind=(8, 0, 1, 0, 0)),
    "another filter": png(filtered(), kind=(8, 0, 0, 1, 0)),
    "EXIF": encoded(GREY, exif=TURNED),
    "EXIF behind the pixels": png(filtered(), behind=chunk(b"eXIf", TURNED.tobytes()[6:])),
    "text": png(filtered(), before=chunk(b"tEXt", b"interlace\0yes")),
    "a short chunk": png(filtered(), before=chunk(b"pHYs", bytes(5))),
    "a chunk between the pixels": png(filtered(), behind=chunk(b"gAMA", bytes(4)) + idat(b"more")),
    "something behind": encoded(GREY) + b"more",
    "a palette for grey": png(filtered(), before=chunk(b"PLTE", bytes(6))),
    "an animation": png(filtered(), before=chunk(b"acTL", struct.pack(">II", 1, 0))),
    "a long JPEG": jpeg(LONG),
    "JPEG with EXIF": jpeg(GREY, exif=TURNED),
    "CMYK": jpeg(COLOUR.convert("CMYK")),
    "Adobe's RGB": jpeg_with(jpeg(COLOUR), 0xEE, ADOBE + b"\0"),
    "Adobe's YCC": jpeg_with(jpeg(COLOUR), 0xEE, ADOBE + b"\1"),
    "Adobe in grey": jpeg_with(jpeg(GREY), 0xEE, ADOBE + b"\0"),
    "arithmetic coding": changed(jpeg(GREY), b"\xff\xc0", b"\xff\xc9"),
    "lossless": changed(jpeg(GREY), b"\xff\xc0", b"\xff\xc3"),
    "12 bit": changed(jpeg(GREY), b"\xff\xc0\0\x0b\x08", b"\xff\xc0\0\x0b\x0c"),
    "two frames": jpeg_with(jpeg(GREY), 0xC0, b"\x08\0\x1c\0\x1c\3" + bytes(9)),
    "a frame that is none": jpeg_with(jpeg(GREY), 0xC0, b"\x08\0\x1c\0\x1c\2" + bytes(6)),
    "several pictures": jpeg_with(jpeg(GREY), 0xE2, b"MPF\0" + bytes(40)),
    "a thumbnail": jpeg_with(jpeg(GREY), 0xE0, b"JFXX\0\x10"),
    "no tables": changed(jpeg(GREY), b"\xff\xdb\0\x43", b"\xff\xdb\0\x42"),
    "a padded marker": changed(jpeg(GREY), b"\xff\xdb", b"\xff\xff\xdb"),
}
"""Files of the same two formats that are Pillow's as a whole."""

FILES = [*PLAIN.values(), *NOT_PLAIN.values()]


def mended(content: bytes) -> bytes:
    """Give each whole chunk of a PNG the checksum that it should have."""
    whole, at = bytearray(content), 8
    while at + 12 <= len(whole):
        end = at + 12 + int.from_bytes(whole[at : at + 4])
        if end > len(whole):
            break
        struct.pack_into(">I", whole, end - 4, zlib.crc32(whole[at + 4 : end - 4]))
        at = end
    return bytes(whole)


@st.composite
def bytes_changed(draw: st.DrawFn) -> bytes:
    """A file with bytes or bits changed, a piece taken out or doubled, cut, or with something behind."""
    content = bytearray(draw(st.sampled_from(FILES)))
    places = st.integers(0, len(content) - 1) | st.integers(0, min(200, len(content) - 1))
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = value
    for place, bit in draw(st.lists(st.tuples(places, st.integers(0, 7)), max_size=3)):
        content[place] ^= 1 << bit
    start, length = draw(places), draw(st.sampled_from([0, 0, 0, 1, 2, 12, 40]))
    piece = content[start : start + length]
    content[start : start + length] = piece * draw(st.sampled_from([1, 0, 2]))
    content += draw(st.sampled_from([b"", b"", b"", b"\0", b"\xff\xd9", b"more"]))
    whole = bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])
    return mended(whole) if draw(st.booleans()) else whole


@st.composite
def pixels_changed(draw: st.DrawFn) -> bytes:
    """A PNG whose chunks are right, and whose compressed pixels, their checksum or their number may not be."""
    width, height, channels = (
        draw(st.integers(1, 40)),
        draw(st.integers(1, 40)),
        draw(st.sampled_from([1, 3])),
    )
    rows = bytearray(filtered(width, height, channels))
    for place, value in draw(
        st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 255)), max_size=3)
    ):
        rows[place] = value
    rows += bytes(draw(st.sampled_from([0, 0, 1, width + 1, 500])))
    del rows[len(rows) - draw(st.sampled_from([0, 0, 0, 1, width + 1])) :]
    stream = bytearray(zlib.compress(rows, draw(st.integers(0, 9))))
    for place, value in draw(
        st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255)), max_size=2)
    ):
        stream[place] = value
    stream += draw(st.sampled_from([b"", b"", b"\0", b"more"]))
    del stream[len(stream) - draw(st.sampled_from([0, 0, 0, 1, 4, 9])) :]
    start = png(b"", (width, height), (8, {1: 0, 3: 2}[channels], 0, 0, 0))[:33]
    return start + idat(bytes(stream), draw(st.integers(1, 6))) + chunk(b"IEND", b"")


@st.composite
def scans_changed(draw: st.DrawFn) -> bytes:
    """A plain JPEG that is changed behind its header, where only its decoder looks."""
    content = bytearray(
        draw(st.sampled_from([whole for whole in PLAIN.values() if whole[:2] == b"\xff\xd8"]))
    )
    places = st.integers(content.index(b"\xff\xda"), len(content) - 1)
    values = st.integers(0, 255) | st.sampled_from([0, 0xFF, 0xD0, 0xD9, 0xDA])
    for place, value in draw(st.lists(st.tuples(places, values), max_size=4)):
        content[place] = value
    start, length = draw(places), draw(st.sampled_from([0, 0, 0, 1, 2, 12, 40]))
    content[start : start + length] = content[start : start + length] * draw(st.sampled_from([0, 2]))
    return bytes(content) + draw(st.sampled_from([b"", b"", b"\0", b"\xff\xd9", b"more"]))


changed_files = bytes_changed() | pixels_changed() | scans_changed() | st.sampled_from(FILES)
