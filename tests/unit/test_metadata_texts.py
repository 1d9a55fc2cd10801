"""Titles, keywords and creators from XMP and IPTC, and the names of colour profiles."""

import io
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from exif_blocks import ASCII, Raw, block, value
from images import batch, context, encoded
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from flumen.interceptor.decode import Decode
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.icc import profile_name
from flumen.interceptor.metadata.iptc import read_iptc
from flumen.interceptor.metadata.step import Metadata, read_metadata
from flumen.interceptor.metadata.xmp import MAX_BYTES, read_xmp

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li xml:lang="de">Strand bei Nacht</rdf:li>
<rdf:li xml:lang="x-default">Beach at night</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>beach</rdf:li><rdf:li>  night
sky </rdf:li><rdf:li>beach</rdf:li><rdf:li/></rdf:Bag></dc:subject>
<dc:creator><rdf:Seq><rdf:li>Ada &amp; Co</rdf:li><rdf:li>Grace</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li>not a title</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""

TEXTS = {"title": "Beach at night", "keywords": ["beach", "night sky"], "creator": ["Ada & Co", "Grace"]}


def columns_of(content: bytes) -> dict[str, Any]:
    """What the interceptors make of one image: its row, without what is null."""
    step = Metadata().intercept(Decode().intercept(batch(content), context()).oks, context())
    assert len(step.oks) == 1
    declared = {column.name for column in Metadata.columns}
    found = {name: values[0] for name, values in step.oks.columns.items() if name in declared}
    return {name: value for name, value in found.items() if value is not None}


def xmp(packet: bytes) -> Findings:
    findings = Findings()
    read_xmp(packet, findings)
    return findings


def dataset(record: int, number: int, text: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(text)) + text


def iptc(datasets: Sequence[tuple[int, int, bytes]]) -> bytes:
    return b"".join(dataset(*each) for each in datasets)


IPTC = iptc(
    [(1, 90, b"\x1b%G"), (2, 5, b"A title"), (2, 25, b"one"), (2, 25, "zwölf".encode()), (2, 80, b"Ada")]
)


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
def test_xmp_of_every_format(image_format: str) -> None:
    row = columns_of(encoded(Image.new("RGB", (16, 16)), image_format, xmp=PACKET.encode()))
    assert {name: row[name] for name in TEXTS} == TEXTS


def test_xmp_of_png_and_tiff() -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", PACKET)
    row = columns_of(encoded(Image.new("RGB", (16, 16)), "PNG", pnginfo=text))
    assert {name: row[name] for name in TEXTS} == TEXTS
    tags = ImageFileDirectory_v2()
    tags[700] = PACKET.encode()
    tags.tagtype[700] = 1
    row = columns_of(encoded(Image.new("RGB", (16, 16)), "TIFF", tiffinfo=tags))
    assert {name: row[name] for name in TEXTS} == TEXTS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xmp_in_every_encoding(encoding: str) -> None:
    findings = xmp(PACKET.encode(encoding) + b"\0")
    assert (findings.values, findings.errors) == (TEXTS, [])


def test_what_stands_before_the_break_is_kept() -> None:
    content = PACKET.encode()
    findings = xmp(content[: content.index(b"<dc:creator>") + 20])
    assert findings.values == {name: TEXTS[name] for name in ("title", "keywords")}
    assert findings.errors == ["XMP: it is no XML: unclosed token"]


def test_a_property_that_is_no_list() -> None:
    packet = '<r xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>plain</dc:title></r>'
    assert xmp(packet.encode()).values == {"title": "plain"}


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
)
def test_no_entity_is_declared(doctype: str) -> None:
    packet = f'{doctype}<r xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>&a;</dc:title></r>'
    for encoded_packet in (packet.encode(), packet.encode("utf-16")):
        findings = xmp(encoded_packet)
        assert findings.values == {}
        assert findings.errors == ["XMP: it declares a document type"]


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"<" * 40, "XMP: it is no XML: not well-formed (invalid token)"),
        (b'<?xml version="1.0" encoding="klingon"?><r/>', None),
        (b"<a>" * 200_000, "XMP: it is no XML: no element found"),
        (b"<a>\xff\xfe\x00</a>", "XMP: it is no XML: not well-formed (invalid token)"),
        (bytes(MAX_BYTES + 1), "XMP: it has more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_packet(packet: bytes, error: str | None) -> None:
    findings = xmp(packet)
    assert findings.values == {}
    assert findings.errors == ([error] if error else [])


def test_texts_are_bounded() -> None:
    items = "".join(f"<rdf:li>{row} {'é' * 400}</rdf:li>" for row in range(200))
    packet = PACKET.replace("<rdf:li>beach</rdf:li>", items).replace("Beach at night", "n" * 300_000)
    values = xmp(packet.encode()).values
    assert len(values["title"]) == 1_000
    assert len(values["keywords"]) == 50
    assert max(map(len, values["keywords"])) == 200


def test_iptc_of_jpeg_and_tiff() -> None:
    resource = b"8BIM" + struct.pack(">HBBL", 0x0404, 0, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    segment = b"Photoshop 3.0\0" + resource
    jpeg = encoded(Image.new("RGB", (16, 16)), "JPEG")
    content = jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    tags = ImageFileDirectory_v2()
    tags[33723] = IPTC
    tags.tagtype[33723] = 7
    for with_iptc in (content, encoded(Image.new("RGB", (16, 16)), "TIFF", tiffinfo=tags)):
        row = columns_of(with_iptc)
        assert (row["title"], row["keywords"], row["creator"]) == ("A title", ["one", "zwölf"], ["Ada"])


@pytest.mark.parametrize(
    ("data", "values", "errors"),
    [
        (IPTC + bytes(7), {"title": "A title", "keywords": ["one", "zwölf"], "creator": ["Ada"]}, []),
        (IPTC[:-1], {"title": "A title", "keywords": ["one", "zwölf"]}, ["IPTC: it is cut short"]),
        (IPTC + b"\x1c\2", None, ["IPTC: it is cut short"]),
        (b"no dataset", {}, ["IPTC: it holds what is no dataset"]),
        (iptc([(2, 5, "Käse".encode("latin-1"))]), {"title": "Käse"}, []),
        (b"\x1c\2\5\x80\4" + struct.pack(">L", 3) + b"far", {"title": "far"}, []),
        (b"\x1c\2\5\x80\4" + struct.pack(">L", 2**31) + b"far", {}, ["IPTC: it is cut short"]),
        (b"\x1c\2\5\xff\xff" + bytes(9), {}, ["IPTC: it holds what is no dataset"]),
        (iptc([(2, 25, b"\0\x07")] * 3), {}, []),
    ],
)
def test_iptc(data: bytes, values: dict[str, Any] | None, errors: list[str]) -> None:
    findings = Findings()
    read_iptc(data, findings)
    assert findings.errors == errors
    assert values is None or findings.values == values


def test_the_first_of_several_counts() -> None:
    """XMP before IPTC before EXIF, each for itself."""
    packet = PACKET.replace("dc:creator", "dc:publisher").replace("dc:title", "dc:rights").encode()
    exif = block({0: {315: value("<", ASCII, b"The Artist\0")}})
    findings = read_metadata(Header("RGB", 8, exif=exif, xmp=packet, iptc=iptc([(2, 5, b"A title")])))
    assert findings.values == {
        "title": "A title",
        "keywords": ["beach", "night sky"],
        "creator": ["The Artist"],
    }


def test_a_tiff_whose_packet_lies_outside() -> None:
    content = bytearray(encoded(Image.new("RGB", (16, 16)), "TIFF"))
    tags = block({0: {700: Raw(1, b"", count=99, offset=2**30), 33723: Raw(1, b"", count=0)}}, prefix=b"")
    assert columns_of(bytes(content))["color_mode"] == "RGB"
    findings = read_metadata(Header("RGB", 8), tags)
    assert findings.errors == ["XMP: its value lies outside", "IPTC: it has no value"]


def icc(description: bytes, signature: bytes = b"acsp", offset: int = 144) -> bytes:
    head = bytes(36) + signature + bytes(88)
    return head + struct.pack(">L4sLL", 1, b"desc", offset, len(description)) + description


def mluc(*records: tuple[bytes, str]) -> bytes:
    at = 16 + 12 * len(records)
    table = texts = b""
    for language, text in records:
        data = text.encode("utf-16-be")
        table += struct.pack(">2s2sLL", language, b"XX", len(data), at + len(texts))
        texts += data
    return b"mluc" + bytes(4) + struct.pack(">LL", len(records), 12) + table + texts


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        (icc(b"desc" + bytes(4) + struct.pack(">L", 9) + b"Adobe RGB (1998)"), "Adobe RGB"),
        (icc(b"desc" + bytes(4) + struct.pack(">L", 999) + b"Adobe RGB (1998)\0"), "Adobe RGB (1998)"),
        (icc(mluc((b"de", "Farbe"), (b"en", "Display P3"), (b"fr", "Couleur"))), "Display P3"),
        (icc(mluc((b"de", "Farbe"), (b"fr", "Couleur"))), "Farbe"),
    ],
)
def test_the_name_of_a_profile(profile: bytes, name: str) -> None:
    assert profile_name(profile) == name
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        row = columns_of(encoded(Image.new("RGB", (16, 16)), image_format, icc_profile=profile))
        assert row["icc_profile"] == name
        assert "metadata_errors" not in row


def test_profiles_are_named_as_littlecms_names_them() -> None:
    for space in ("sRGB", "LAB", "XYZ"):
        made = ImageCms.ImageCmsProfile(ImageCms.createProfile(space))
        expected = ImageCms.getProfileDescription(made).strip()
        assert profile_name(made.tobytes()) == expected


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (b"", "ICC: it is no colour profile"),
        (icc(b"", signature=b"none"), "ICC: it is no colour profile"),
        (icc(b"desc")[:132], "ICC: it is cut short"),
        (icc(b"desc" + bytes(4), offset=2**31), "ICC: its description is of an unknown type"),
        (icc(b"text" + bytes(4) + b"hello"), "ICC: its description is of an unknown type"),
        (icc(mluc())[:120] + bytes(40), "ICC: it has no description"),
        (icc(b"mluc" + bytes(4) + struct.pack(">LL", 2**32 - 1, 12)), "ICC: it is cut short"),
    ],
)
def test_what_is_no_profile_is_named(profile: bytes, error: str) -> None:
    assert read_metadata(Header("RGB", 8, icc=profile)).errors == [error]


def test_what_imagemagick_keeps_in_a_text_of_png() -> None:
    exif = block({0: {272: value("<", ASCII, b"M10\0")}})
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    assert columns_of(encoded(Image.new("L", (16, 16)), "PNG", pnginfo=text))["camera_model"] == "M10"
    text.add_text("Raw profile type exif", "\nexif\n   9\nno digits\n")
    errors = columns_of(encoded(Image.new("L", (16, 16)), "PNG", pnginfo=text))["metadata_errors"]
    assert [error.partition(":")[0] for error in errors] == ["EXIF"]


@pytest.mark.parametrize(
    ("content", "mode", "depth", "frames"),
    [
        (encoded(Image.new("1", (9, 9)), "PNG"), "1", 1, 1),
        (encoded(Image.new("P", (9, 9)), "PNG"), "P", 1, 1),
        (encoded(Image.new("I;16", (9, 9)), "PNG"), "I;16", 16, 1),
        (encoded(Image.new("I;16", (9, 9)), "TIFF"), "I;16", 16, 1),
        (encoded(Image.new("F", (9, 9)), "TIFF"), "F", 32, 1),
        (encoded(Image.new("CMYK", (9, 9)), "JPEG"), "CMYK", 8, 1),
        (encoded(Image.new("RGB", (900, 900)), "JPEG"), "RGB", 8, 1),
        (b"P5\n2 2\n65535\n" + bytes(8), "I", 16, 1),
        (encoded(Image.new("RGBA", (9, 9)), "WEBP", lossless=True, exact=True), "RGBA", 8, 1),
    ],
)
def test_the_kind_of_pixels(content: bytes, mode: str, depth: int, frames: int) -> None:
    row = columns_of(content)
    assert (row["color_mode"], row["bit_depth"], row["frames"]) == (mode, depth, frames)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames_are_counted(image_format: str) -> None:
    pages = [Image.new("RGB", (28, 28), shade) for shade in ("white", "black", "navy")]
    content = io.BytesIO()
    pages[0].save(content, image_format, save_all=True, append_images=pages[1:])
    assert columns_of(content.getvalue())["frames"] == 3
