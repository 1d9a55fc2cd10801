"""What ImageMagick keeps in a PNG's texts as hexadecimal digits: `Raw profile type APP1` and its siblings."""

import shutil
import struct
import subprocess
from pathlib import Path

import orjson
import pytest
from exif_blocks import ASCII, SHORT, block
from exif_blocks import value as entry
from images import encoded, gradient
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from test_metadata_texts import IPTC, PACKET, TEXTS, columns_of

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import decode_image

EXIF = block({0: {272: entry("<", ASCII, b"M10\0"), 274: entry("<", SHORT, 6)}})
XMP = PACKET.encode()
RESOURCES = (
    b"8BIM" + struct.pack(">HBBL", 0x03ED, 0, 0, 5) + b"12345\0"
    b"8BIM" + struct.pack(">HB5sL", 0x0404, 5, b"named", len(IPTC)) + IPTC
)  # fmt: skip
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def raw(kind: str, data: bytes) -> str:
    """As ImageMagick writes it: 36 bytes a line."""
    digits = data.hex()
    return f"\n{kind}\n{len(data):8}\n" + "".join(
        f"{digits[at : at + 72]}\n" for at in range(0, len(digits), 72)
    )


def png(kind: str, data: bytes, *, packed: bool = False) -> bytes:
    text = PngInfo()
    text.add_text(f"Raw profile type {kind}", raw(kind, data), zip=packed)
    return encoded(Image.fromarray(gradient(20, 10)), "PNG", pnginfo=text)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("kind", "data"), [("exif", EXIF), ("APP1", EXIF), ("APP1", EXIF.removeprefix(b"Exif\0\0"))]
)
def test_exif(kind: str, data: bytes, packed: bool) -> None:
    content = png(kind, data, packed=packed)
    row = columns_of(content)
    assert (row["camera_model"], row["orientation"]) == ("M10", 6)
    assert "metadata_errors" not in row
    image = decode_image(content, Limits(), Preprocess(width=10, height=20))
    assert (image.width, image.height) == (10, 20)
    assert image.raster == Image.fromarray(gradient(20, 10)).transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize(("kind", "data"), [("xmp", XMP), ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP)])
def test_xmp(kind: str, data: bytes) -> None:
    row = columns_of(png(kind, data))
    assert {name: row[name] for name in TEXTS} == TEXTS
    assert "metadata_errors" not in row


@pytest.mark.parametrize("kind", ["iptc", "8bim"])
@pytest.mark.parametrize("data", [IPTC, RESOURCES])
def test_iptc(kind: str, data: bytes) -> None:
    row = columns_of(png(kind, data))
    assert (row["title"], row["keywords"], row["creator"]) == ("A title", ["one", "zwölf"], ["Ada"])


@pytest.mark.parametrize("kind", ["icc", "icm"])
def test_a_colour_profile(kind: str) -> None:
    assert columns_of(png(kind, PROFILE))["icc_profile"] == "sRGB built-in"


def test_xmp_in_a_text_that_is_not_international() -> None:
    text = PngInfo()
    text.add_text("XML:com.adobe.xmp", XMP.decode("latin-1"), zip=True)
    row = columns_of(encoded(Image.new("L", (9, 9)), "PNG", pnginfo=text))
    assert row["title"] == TEXTS["title"]


@pytest.mark.parametrize(
    ("kind", "text", "error"),
    [
        ("exif", "\nexif\n   9\nno digits\n", "EXIF"),
        ("APP1", "no lines", "EXIF"),
        ("xmp", "\nxmp\n 3\nabc\n", "XMP"),
        ("icc", "\nicc\n 3\nabcdef\n", "ICC"),
        ("iptc", "\niptc\n 3\n1c0000\n", "IPTC"),
        ("8bim", "\n8bim\n 3\n1c000x\n", "IPTC"),
    ],
)
def test_what_is_no_profile_is_named(kind: str, text: str, error: str) -> None:
    info = PngInfo()
    info.add_text(f"Raw profile type {kind}", text)
    row = columns_of(encoded(Image.new("L", (9, 9)), "PNG", pnginfo=info))
    assert [said.partition(":")[0] for said in row["metadata_errors"]] == [error]


def test_the_chunk_comes_first() -> None:
    text = PngInfo()
    text.add_text("Raw profile type APP1", raw("exif", EXIF))
    other = block({0: {272: entry("<", ASCII, b"Q2\0")}})
    content = encoded(Image.new("L", (9, 9)), "PNG", pnginfo=text, exif=other)
    assert columns_of(content)["camera_model"] == "Q2"


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("exif", EXIF),
        ("APP1", EXIF),
        ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        ("xmp", XMP),
        ("iptc", IPTC),
        ("iptc", RESOURCES),
        ("8bim", RESOURCES),
        ("icc", PROFILE),
    ],
)
def test_as_exiftool_reads_it(tmp_path: Path, kind: str, data: bytes) -> None:
    content = png(kind, data, packed=True)
    (tmp_path / "a.png").write_bytes(content)
    tags = ["-Model", "-Orientation", "-XMP-dc:Title", "-IPTC:ObjectName", "-ICC_Profile:ProfileDescription"]
    read = subprocess.run(
        ["exiftool", "-j", "-n", *tags, str(tmp_path / "a.png")], check=True, capture_output=True
    )
    (said,) = orjson.loads(read.stdout)
    row = columns_of(content)
    assert row.get("camera_model") == said.get("Model")
    assert row.get("orientation") == said.get("Orientation")
    assert row.get("title") == said.get("Title", said.get("ObjectName"))
    assert row.get("icc_profile") == said.get("ProfileDescription")
