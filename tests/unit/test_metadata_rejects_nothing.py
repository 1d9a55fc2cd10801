"""No image is rejected for what stands beside its pixels, and no pixel depends on it, in any container."""

import struct
import zlib
from functools import lru_cache
from io import BytesIO

import pytest
from exif_blocks import ASCII, SHORT, block
from exif_blocks import value as entry
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from images import encoded
from PIL import Image
from test_metadata_exif import everything

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import Decoded, decode_image
from flumen.interceptor.metadata.bare import without_metadata
from flumen.interceptor.metadata.segments import png_chunks

PNG_KINDS = b"iCCP zTXt iTXt tEXt eXIf tIME gAMA cHRM pHYs sRGB sBIT bKGD hIST sPLT cICP oFFs vpAg".split()
PILLOWS_NOTES = [
    "interlace",
    "bbox",
    "default_image",
    "transparency",
    "exif",
    "xmp",
    "icc_profile",
    "gamma",
    "dpi",
    "duration",
]
KEYWORDS = [*PILLOWS_NOTES, "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1", "Title"]
TIFF_TAGS = [
    *(
        270,
        271,
        272,
        282,
        283,
        285,
        296,
        305,
        306,
        315,
        316,
        700,
        33432,
        33723,
        34377,
        34665,
        34675,
        34853,
        36864,
    ),
    *(37510, 40091, 40965, 42112, 50706, 65000),
]

many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
few = settings(many, max_examples=30)
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

texts = st.builds(
    lambda keyword, between, data: keyword.encode() + between + data,
    st.sampled_from(KEYWORDS),
    st.sampled_from([b"\0", b"\0\0", b"\0\1", b"\0\0\0\0\0", b"\0\1\0\0\0", b""]),
    st.binary(max_size=40) | st.binary(max_size=40).map(zlib.compress),
)
payloads = st.binary(max_size=60) | texts


@lru_cache(maxsize=16)
def plain(image_format: str) -> bytes:
    mode = "L" if image_format in ("PNG", "GIF") else "RGB"
    return encoded(Image.linear_gradient("L").resize((28, 28)).convert(mode), image_format)


def decoded(content: bytes) -> Decoded:
    return decode_image(content, Limits(), Preprocess(width=28, height=28))


@lru_cache(maxsize=16)
def raster(image_format: str) -> bytes:
    return decoded(plain(image_format)).raster


def png_with(chunks: list[tuple[bytes, bytes, bool]], behind: int) -> bytes:
    """A PNG with these chunks, kind, data and whether its checksum is right, in front of the chunk `behind`."""
    content = plain("PNG")
    at = list(png_chunks(content))[behind].start
    more = b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data) ^ (not right))
        for kind, data, right in chunks
    )
    return content[:at] + more + content[at:]


def jpeg_with(segments: list[tuple[int, bytes]]) -> bytes:
    content = plain("JPEG")
    more = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data for marker, data in segments
    )
    return content[:2] + more + content[2:]


def keeps_its_pixels(image_format: str, content: bytes) -> None:
    image = decoded(content)
    turned = image.metadata.get("orientation", 1)
    assert turned != 1 or image.raster == raster(image_format)


@many
@given(
    st.lists(st.tuples(st.sampled_from(PNG_KINDS), payloads, st.booleans()), min_size=1, max_size=3),
    st.sampled_from([1, 2]),
)
@example([(b"iCCP", b"name\0\1" + zlib.compress(b"x"), True)], 1)  # an unknown way of compressing
@example([(b"iCCP", b"name", True)], 1)
@example([(b"zTXt", b"Title\0\0" + zlib.compress(bytes(2_000_000)), True)], 1)  # more than Pillow takes
@example([(b"zTXt", b"Title\0\1", True)], 2)
@example([(b"tEXt", b"interlace\0" + b"1", True)], 1)  # decoded as if it were interlaced
@example([(b"tEXt", b"bbox\0" + b"1", True)], 1)
@example([(b"tEXt", b"transparency\0" + b"1", True)], 2)
@example([(b"gAMA", b"", True), (b"cHRM", b"", True), (b"pHYs", b"", True), (b"sRGB", b"", True)], 1)
@example([(b"eXIf", b"", False), (b"tIME", b"", False)], 1)
def test_png(chunks: list[tuple[bytes, bytes, bool]], behind: int) -> None:
    keeps_its_pixels("PNG", png_with(chunks, behind))


def test_a_png_whose_last_text_is_cut_short() -> None:
    content = png_with([(b"tEXt", b"Title\0" + bytes(100), True)], 2)
    keeps_its_pixels("PNG", content[: content.index(b"Title") + 20])


MARKS = [
    b"JFIF\0",
    b"Exif\0\0",
    b"http://ns.adobe.com/xap/1.0/\0",
    b"ICC_PROFILE\0",
    b"MPF\0",
    b"Photoshop 3.0\0",
]
segments_of_jpeg = st.tuples(
    st.sampled_from([*range(0xE0, 0xF0), 0xFE]),
    st.builds(
        bytes.__add__,
        st.sampled_from([*MARKS, b"Adobe", b"Photoshop 3.0\x008BIM", b""]),
        st.binary(max_size=40),
    ),
)


@many
@given(st.lists(segments_of_jpeg.filter(lambda it: it[0] != 0xEE or len(it[1]) < 12), min_size=1, max_size=3))
@example([(0xE0, b"JFIF\0")])
@example([(0xE2, b"ICC_PROFILE\0")])
@example([(0xEE, b"Adobe")])
@example([(0xED, b"Photoshop 3.0\x008BIM\x04\x04")])
def test_jpeg(segments: list[tuple[int, bytes]]) -> None:
    keeps_its_pixels("JPEG", jpeg_with(segments))


@pytest.mark.parametrize("image_format", ["WEBP", "AVIF"])
@few
@given(data=st.data())
def test_webp_and_avif(image_format: str, data: st.DataObject) -> None:
    """A profile, XMP and EXIF of any bytes; written as placeholders first, since Pillow reads what it writes."""
    placeholders = {
        "icc_profile": b"\1" * 200,
        "xmp": b"\2" * 200,
        "exif": block({0: {272: entry("<", ASCII, b"M10\0")}}, prefix=b"").ljust(200, b"\3"),
    }
    content = encoded(Image.open(BytesIO(plain("PNG"))).convert("RGB"), image_format, **placeholders)
    expected = decoded(content).raster
    for placeholder in placeholders.values():
        assert placeholder in content
        content = content.replace(placeholder, data.draw(st.binary(max_size=200)).ljust(200, b"\0"))
    image = decoded(content)
    turned = image.metadata.get("orientation", 1)
    assert turned != 1 or image.raster == expected


@few
@given(
    st.lists(
        st.tuples(st.sampled_from([0xFE, 0xFF, 0x01, 0x7F]), st.binary(max_size=300)), min_size=1, max_size=3
    )
)
@example([(0xFF, b"NETSCAPE2.0")])
@example([(0xFF, b"")])
@example([(0x01, b"")])
def test_gif(extensions: list[tuple[int, bytes]]) -> None:
    content = plain("GIF")
    start = 13 + (3 << (content[10] & 7) + 1)
    more = b""
    for label, data in extensions:
        pieces = [data[at : at + 255] for at in range(0, len(data), 255)]
        more += bytes((0x21, label)) + b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"
    keeps_its_pixels("GIF", content[:start] + more + content[start:])


@lru_cache(maxsize=16)
def tiff(compression: str | None, mode: str) -> bytes:
    image = Image.linear_gradient("L").resize((28, 28))
    if mode.endswith("A"):
        image.putalpha(image.rotate(90))
    if mode == "RGBX":  # the fourth sample says nothing
        image = Image.merge("RGBX", [image, image, image, image.rotate(90)])
    return encoded(image.convert(mode), "TIFF", compression=compression)


@many
@given(
    st.dictionaries(
        st.sampled_from(TIFF_TAGS),
        st.tuples(
            st.integers(0, 20),
            st.integers(0, 40) | st.integers(0, 2**32 - 1),
            st.binary(min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([None, "tiff_lzw", "tiff_adobe_deflate"]),
    st.sampled_from(["RGB", "RGBA", "RGBX", "LA", "I;16"]),
)
@example({282: (5, 1, b"\xff\xff\xff\0")}, None, "RGBX")  # Pillow reads no tag behind it
def test_tiff(tags: dict[int, tuple[int, int, bytes]], compression: str | None, mode: str) -> None:
    """Entries of any type, length and place; those that describe pixels are left alone."""
    content = bytearray(tiff(compression, mode))
    expected = decoded(bytes(content)).raster
    (start,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    kept = [content[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    more = [struct.pack("<HHL4s", tag, *said) for tag, said in tags.items()]
    entries = sorted([*kept, *more], key=lambda raw: struct.unpack_from("<H", raw))
    struct.pack_into("<L", content, 4, len(content))
    content += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    assert decoded(bytes(content)).raster == expected


def test_the_exif_is_kept_where_something_else_is_broken() -> None:
    """The image is turned as it says, and what was left out is named."""
    exif = block({0: {274: entry("<", SHORT, 6), 272: entry("<", ASCII, b"M10\0")}}, prefix=b"")
    content = png_with([(b"iCCP", b"name\0\1x", True), (b"eXIf", exif, True)], 1)
    image = decoded(content)
    upright = Image.open(BytesIO(plain("PNG"))).transpose(Image.Transpose.ROTATE_270)
    assert image.raster == upright.tobytes()
    assert (image.metadata["orientation"], image.metadata["camera_model"]) == (6, "M10")
    assert image.metadata["metadata_errors"] == [
        "metadata: the image can only be decoded without some of them"
    ]


@pytest.mark.parametrize("image_format", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF"])
def test_of_a_bare_file_nothing_is_left_out(image_format: str) -> None:
    content: bytes | None = plain(image_format)
    steps = 0
    while (content := without_metadata(content, image_format)) is not None:  # type: ignore[arg-type]
        steps += 1
        assert decoded(content).raster == raster(image_format)
    assert steps <= 2


def test_bigtiff_too() -> None:
    content = encoded(Image.new("L", (28, 28), 7), "TIFF", big_tiff=True, description="text", software="text")
    bare = without_metadata(content, "TIFF")
    assert bare is not None
    assert decoded(bare).raster == decoded(content).raster


def test_a_block_of_everything_is_kept() -> None:
    exif = block(everything("<"), prefix=b"Exif\0\0")
    assert decoded(jpeg_with([(0xE1, exif)])).metadata.get("metadata_errors") is None
