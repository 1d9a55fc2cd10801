"""What an image's rejection says: our own sentences, whatever Pillow, a library or Python said to it."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import FORMATS, encoded
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import decode_image
from flumen.interceptor.errors import (
    BrokenImage,
    FormatNotAllowed,
    NotAnImage,
    Unclassifiable,
    UnsupportedImage,
)

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
NAMES = "AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP"
LIMITS = Limits(max_image_pixels=200_000, max_image_frames=50)
NUMBER = r"-?[\d,]+(\.\d+)?(e[+-]?\d+)?|-?inf|nan"
VARIANT = (
    rf"of a rare kind|hierarchical|lossless with arithmetic coding|in Apple's own variant \(CgBI\)"
    rf"|with ({NUMBER}) (bits a pixel|bits a sample|colour components|samples a pixel)"
    rf"|with a header of ({NUMBER}) bytes|with the photometric interpretation \d+"
    rf"|with the compression \d+( \([A-Za-z0-9 ]+\))?"
)
SENTENCES = re.compile(
    rf"its [A-Z]+ header cannot be read or announces no pixels( \(it is truncated\))?; publish it again from the "
    rf"original"
    rf"|it starts as [A-Z]+ and cannot be decoded to its end( \(it is truncated\))?; publish it again from the original"
    rf"|it is [A-Z]+ ({VARIANT}), which no decoder here reads; save it in another way, as PNG for example, and "
    rf"publish that"
    rf"|it starts as [A-Z0-9]+, which is not allowed; publish it as one of {NAMES}"
    rf"|it is (HEIC/HEIF|JPEG XL|PAM|TGA), which no decoder here reads; publish it as one of {NAMES}"
    rf"|its first bytes '[ -~]*' are of no known image; publish one of {NAMES}"
    rf"|its header announces ({NUMBER}|({NUMBER}) x ({NUMBER})) pixels.*; publish a smaller version.*"
    rf"|decoding it takes more memory than max_decode_memory_bytes; publish a smaller version or raise it"
    rf"|to decode .*; publish a smaller version, or in another format, or raise the limit"
    rf"|it has ({NUMBER}) frames or pages .*; publish the first of them alone or raise the limit"
    rf"|its grey values run from ({NUMBER}) to ({NUMBER}), and white is taken to be .*; scale them and publish it again"
)


def noise(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


COMPRESSIONS = ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "zstd", "lzma", "group4", "tiff_ccitt"]
SAMPLES = [
    *(encoded(noise(), image_format) for image_format in FORMATS),
    *(
        encoded(noise("1" if name in ("group4", "tiff_ccitt") else "RGB"), "TIFF", compression=name)
        for name in COMPRESSIONS
    ),
    encoded(noise(), "JPEG", progressive=True),
    encoded(noise(), "WEBP", lossless=True),
    encoded(noise("P"), "BMP"),
    b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12",
    b"Pf 2 2 -1.0\n" + struct.pack("<4f", 0, 0.5, 1, 0.2),
]


def rejection(content: bytes) -> Unclassifiable | None:
    try:
        decode_image(content, LIMITS, Preprocess(width=28, height=28))
    except Unclassifiable as error:
        return error
    return None


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(SAMPLES)))
    last = len(content) - 1
    places = st.integers(0, last) | st.integers(0, min(last, 60))
    for place, byte in draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        content[place] = byte
    return bytes(content[: draw(st.just(len(content)) | places)])


@pytest.mark.filterwarnings("ignore:::PIL")
@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_reason_is_one_of_our_sentences(content: bytes) -> None:
    error = rejection(content)
    assert error is None or SENTENCES.fullmatch(str(error)), str(error)


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_a_reason_of_the_corpus(path: Path) -> None:
    error = rejection(path.read_bytes())
    assert error is None or SENTENCES.fullmatch(str(error)), str(error)


def test_what_pillow_says_is_the_cause() -> None:
    error = rejection(encoded(noise())[:400])
    assert type(error) is BrokenImage
    assert error.cause.startswith("OSError: image file is truncated")


def bmp(header_size: int = 40, bits: int = 24, compression: int = 0) -> bytes:
    """A BMP of 2 x 2 pixels that says so of itself."""
    header = struct.pack("<LllHHLLllLL", header_size, 2, 2, 1, bits, compression, 16, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 16, 0, 0, 54) + header + bytes(120)


def with_precision(bits: int, start_of_frame: int = 0xC0, components: int = 3) -> bytes:
    content = bytearray(encoded(noise(), "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4], content[at + 9] = start_of_frame, bits, components
    return bytes(content)


def tiff_with(tag: int, value: int) -> bytes:
    content = bytearray(encoded(noise(), "TIFF"))
    (directory,) = struct.unpack_from("<L", content, 4)
    for at in range(directory + 2, len(content) - 12, 12):
        if struct.unpack_from("<H", content, at)[0] == tag:
            struct.pack_into("<HHLL", content, at, tag, 4, 1, value)
            return bytes(content)
    raise AssertionError(f"there is no tag {tag}")


@pytest.mark.parametrize(
    ("content", "variant"),
    [
        (bmp(compression=6), "BMP with the compression 6"),
        (bmp(compression=4, bits=0), "BMP with the compression 4"),
        (bmp(compression=11, bits=32), "BMP with the compression 11"),
        (bmp(bits=2), "BMP with 2 bits a pixel"),
        (bmp(bits=64), "BMP with 64 bits a pixel"),
        (bmp(header_size=16), "BMP with a header of 16 bytes"),
        (bmp(bits=32, compression=3), None),
        (with_precision(12), "JPEG with 12 bits a sample"),
        (with_precision(8, 0xC5), "JPEG hierarchical"),
        (with_precision(8, 0xCB), "JPEG lossless with arithmetic coding"),
        (with_precision(8, components=2), "JPEG with 2 colour components"),
        (tiff_with(259, 50_001), "TIFF with the compression 50001 (WebP)"),
        (tiff_with(259, 34_712), "TIFF with the compression 34712 (JPEG 2000)"),
        (tiff_with(259, 4_711), "TIFF with the compression 4711"),
        (tiff_with(262, 32_803), "TIFF with the photometric interpretation 32803"),
        (tiff_with(277, 7), "TIFF with 7 samples a pixel"),
        (tiff_with(258, 12), "TIFF of a rare kind"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(60), "PNG in Apple's own variant (CgBI)"),
    ],
)
def test_unsupported_is_not_broken(content: bytes, variant: str | None) -> None:
    error = rejection(content)
    if variant is None:
        assert error is None
        return
    assert type(error) is UnsupportedImage
    assert str(error) == (
        f"it is {variant}, which no decoder here reads; save it in another way, as PNG for example, and publish that"
    )


@pytest.mark.parametrize("compression", [*COMPRESSIONS[:6], "tiff_deflate"])
def test_a_broken_tiff_of_a_compression_that_is_read_is_broken(compression: str) -> None:
    content = encoded(noise(), "TIFF", compression=compression)
    assert rejection(content) is None
    at = struct.unpack_from("<L", content, 4)[0]
    error = rejection(content[:8] + bytes(at - 8) + content[at:])  # no pixels but zeros
    assert error is None or type(error) is BrokenImage


TGA = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 2, 2, 24, 0x20) + bytes(12)
HEIC = struct.pack(">L4s4sL4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"heic") + bytes(40)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (HEIC, "HEIC/HEIF"),
        (HEIC.replace(b"mif1", b"heic"), "HEIC/HEIF"),
        (HEIC.replace(b"mif1", b"msf1"), "HEIC/HEIF"),
        (TGA, "TGA"),
        (encoded(noise(), "TGA"), "TGA"),
        (encoded(noise("P"), "TGA", compression="tga_rle"), "TGA"),
        (encoded(noise("L"), "TGA"), "TGA"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 1\nMAXVAL 255\nENDHDR\n" + bytes(4), "PAM"),
    ],
)
def test_a_format_that_nobody_reads_is_called_by_its_name(content: bytes, name: str) -> None:
    error = rejection(content)
    assert type(error) is FormatNotAllowed
    assert str(error) == f"it is {name}, which no decoder here reads; publish it as one of {NAMES}"


def test_an_avif_with_the_brand_of_all_heif_is_one() -> None:
    content = encoded(noise(), "AVIF")
    assert content[8:12] == b"avif"
    assert rejection(content[:8] + b"mif1" + content[12:]) is None


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (struct.pack("<HHHBBBBHHLL", 0, 2, 1, 1, 1, 0, 0, 0, 0, 48, 22) + bytes(48), "CUR"),
        (b"/* XPM */\nstatic char * x[] = {", "XPM"),
        (b"#define x_width 16\n", "XBM"),
        (struct.pack(">LLLLL4sL", 28, 2, 2, 2, 1, b"GIMP", 10) + bytes(4), "GBR"),
        (b"qoif" + struct.pack(">LLBB", 1, 1, 3, 0), "QOI"),
    ],
)
def test_no_format_is_taken_for_another(content: bytes, name: str) -> None:
    error = rejection(content)
    assert type(error) is FormatNotAllowed
    assert str(error).startswith(f"it starts as {name}, which is not allowed")


@pytest.mark.parametrize(
    "text",
    [b"BMW builds cars in Munich and Spartanburg", b"Python", b"Pyramids of Giza", b"P1ckles, jars of 40 g"],
)
def test_a_text_is_no_image(text: bytes) -> None:
    assert type(rejection(text)) is NotAnImage
