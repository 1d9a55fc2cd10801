"""EXIF: every field is written and read back, in every format that carries it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from exif_blocks import (
    ASCII,
    BYTE,
    DOUBLE,
    EXIF_IFD,
    FLOAT,
    GPS_IFD,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    UNDEFINED,
    Raw,
    block,
    value,
)
from images import batch, context, encoded
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from flumen.interceptor.decode import Decode
from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.step import Metadata, read_metadata

Directories = dict[int, dict[int, Raw]]


def everything(order: str = "<") -> Directories:
    """A block with every field that is read."""
    return {
        0: {
            271: value(order, ASCII, b"Leica Camera AG\0"),
            272: value(order, ASCII, b"M10\0"),
            274: value(order, SHORT, 1),
            305: value(order, ASCII, b"darktable 4.6\0"),
            315: value(order, ASCII, b"Ada Lovelace; Grace Hopper\0"),
        },
        EXIF_IFD: {
            33434: value(order, RATIONAL, (1, 250)),
            33437: value(order, RATIONAL, (28, 10)),
            34850: value(order, SHORT, 3),
            34855: value(order, SHORT, 400),
            36867: value(order, ASCII, b"2024:02:29 23:30:05\0"),
            36881: value(order, ASCII, b"-02:30\0"),
            37383: value(order, SHORT, 5),
            37385: value(order, SHORT, 0x19),
            37386: value(order, RATIONAL, (35, 1)),
            37521: value(order, ASCII, b"125\0"),
            41989: value(order, SHORT, 36),
            42036: value(order, ASCII, b"Summilux-M 35mm f/1.4\0"),
        },
        GPS_IFD: {
            1: value(order, ASCII, b"S\0"),
            2: value(order, RATIONAL, (33, 1), (51, 1), (3540, 100)),
            3: value(order, ASCII, b"E\0"),
            4: value(order, RATIONAL, (151, 1), (12, 1), (4000, 100)),
            5: value(order, BYTE, b"\1"),
            6: value(order, RATIONAL, (125, 10)),
            16: value(order, ASCII, b"T\0"),
            17: value(order, RATIONAL, (27050, 100)),
        },
    }


EXPECTED = {
    "camera_make": "Leica Camera AG",
    "camera_model": "M10",
    "lens": "Summilux-M 35mm f/1.4",
    "software": "darktable 4.6",
    "creator": ["Ada Lovelace", "Grace Hopper"],
    "orientation": 1,
    "aperture": 2.8,
    "exposure_time": 0.004,
    "iso": 400,
    "focal_length": 35.0,
    "focal_length_35mm": 36,
    "flash_fired": True,
    "exposure_program": "aperture priority",
    "metering": "pattern",
    "taken_at": int(datetime(2024, 3, 1, 2, 0, 5, 125_000, UTC).timestamp() * 1_000_000),
    "taken_at_utc": True,
    "utc_offset": -150,
    "latitude": -(33 + 51 / 60 + 35.4 / 3600),
    "longitude": 151 + 12 / 60 + 40 / 3600,
    "altitude": -12.5,
    "direction": 270.5,
}


def columns_of(content: bytes) -> dict[str, Any]:
    """What the interceptors make of one image: its row, without what is null."""
    step = Metadata().intercept(Decode().intercept(batch(content), context()).oks, context())
    assert len(step.oks) == 1, "metadata never rejects an image"
    declared = {column.name for column in Metadata.columns}
    found = {name: values[0] for name, values in step.oks.columns.items() if name in declared}
    return {name: value for name, value in found.items() if value is not None}


def read(directories: Mapping[int, Mapping[int, Raw]], order: str = "<") -> tuple[dict[str, Any], list[str]]:
    findings = read_metadata(Header("RGB", 8, exif=block(directories, order)))
    return findings.values, findings.errors


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_field_comes_back(image_format: str, order: str) -> None:
    content = encoded(Image.new("RGB", (16, 16)), image_format, exif=block(everything(order), order))
    row = columns_of(content)
    if (
        image_format == "AVIF"
    ):  # Pillow writes it as a property of the image, and leaves it out where it says nothing
        row["orientation"] = 1
    assert {name: row[name] for name in EXPECTED} == {
        name: pytest.approx(expected) if isinstance(expected, float) else expected
        for name, expected in EXPECTED.items()
    }
    assert "metadata_errors" not in row


def test_every_field_comes_back_as_pillow_writes_it() -> None:
    """TIFF, whose file is the directory; and an independent writer of the structure."""
    exif = Image.Exif()
    exif[271], exif[272], exif[305], exif[315] = "Leica Camera AG", "M10", "darktable 4.6", "Ada Lovelace"
    exif[EXIF_IFD] = {
        33434: IFDRational(1, 250),
        33437: 2.8,
        34850: 3,
        34855: 400,
        36867: "2024:02:29 23:30:05",
        36881: "-02:30",
        37383: 5,
        37385: 0x19,
        37386: 35.0,
        37521: "125",
        41989: 36,
        42036: "Summilux-M 35mm f/1.4",
    }
    exif[GPS_IFD] = {
        1: "S",
        2: (33.0, 51.0, 35.4),
        3: "E",
        4: (151.0, 12.0, 40.0),
        5: b"\1",
        6: 12.5,
        17: 270.5,
    }
    written = Image.Exif()
    written.load(exif.tobytes())
    expected = {
        **EXPECTED,
        "creator": ["Ada Lovelace"],
        **{
            name: pytest.approx(EXPECTED[name])
            for name in ("aperture", "exposure_time", "latitude", "longitude")
        },
    }
    del expected["orientation"]
    for image_format in ("TIFF", "JPEG", "PNG", "WEBP"):
        row = columns_of(encoded(Image.new("RGB", (16, 16)), image_format, exif=written))
        assert {name: row.get(name) for name in expected} == expected, image_format
        assert "metadata_errors" not in row


def test_no_time_zone_is_marked() -> None:
    directories = everything()
    del directories[EXIF_IFD][36881]
    values, errors = read(directories)
    assert values["taken_at"] == int(datetime(2024, 2, 29, 23, 30, 5, 125_000, UTC).timestamp() * 1_000_000)
    assert values["taken_at_utc"] is False
    assert "utc_offset" not in values
    assert not errors


@pytest.mark.parametrize(
    ("tag", "entry", "column", "expected"),
    [
        (34850, value("<", SHORT, 0), "exposure_program", None),
        (37385, value("<", SHORT, 0x18), "flash_fired", False),
        (41989, value("<", SHORT, 0), "focal_length_35mm", None),
        (36867, value("<", ASCII, b"    :  :     :  :  \0"), "taken_at", None),
        (36867, value("<", ASCII, b"0000:00:00 00:00:00\0"), "taken_at", None),
        (36881, value("<", ASCII, b"   :  \0"), "taken_at_utc", False),
        (36881, value("<", ASCII, b"Z\0"), "utc_offset", 0),
        (36881, value("<", ASCII, b"+05:45\0"), "utc_offset", 345),
        (42036, value("<", ASCII, "Objektiv für Röntgen".encode("latin-1")), "lens", "Objektiv für Röntgen"),
        (42036, value("<", ASCII, "Объектив".encode()), "lens", "Объектив"),
        (42036, value("<", ASCII, b"50\0mm\0\0"), "lens", "50"),
        (42036, value("<", ASCII, b"\0mm\0"), "lens", None),
        (42036, value("<", ASCII, b" \0"), "lens", None),
        (42036, value("<", UNDEFINED, b"\x1b[31mred\x07" + bytes(20)), "lens", "[31mred"),
        (42036, value("<", ASCII, b"x" * 70_000), "lens", "x" * 1_000),
        (33437, value("<", FLOAT, 1.5), "aperture", 1.5),
        (33437, value("<", DOUBLE, 1.5), "aperture", 1.5),
        (33437, value("<", SHORT, 2), "aperture", 2),
        (34855, value("<", LONG, 102_400), "iso", 102_400),
    ],
)
def test_what_counts_as_a_value(tag: int, entry: Raw, column: str, expected: object) -> None:
    directories = everything()
    directories[EXIF_IFD][tag] = entry
    values, errors = read(directories)
    assert values.get(column) == expected
    assert not errors


@pytest.mark.parametrize(
    ("directory", "tag", "text", "column", "expected"),
    [
        (0, 272, b"ION230\0F", "camera_model", "ION230"),
        (0, 271, b"Canon\0\0EOS\0", "camera_make", "Canon"),
        (0, 305, b"v1\0v2", "software", "v1"),
        (0, 315, b"Ada; Grace\0; Eve", "creator", ["Ada", "Grace"]),
        (EXIF_IFD, 36867, b"2024:02:29 23:30:05\0junk", "taken_at_utc", True),
        (EXIF_IFD, 36881, b"-02:30\0junk", "utc_offset", -150),
        (GPS_IFD, 1, b"S\0N\0", "latitude", -33.859833),
    ],
)
def test_what_stands_behind_a_nul_belongs_to_nobody(
    directory: int, tag: int, text: bytes, column: str, expected: object
) -> None:
    directories = everything()
    directories[directory][tag] = value("<", ASCII, text)
    values, errors = read(directories)
    assert values[column] == (pytest.approx(expected) if isinstance(expected, float) else expected)
    assert not errors


def test_apex_values_stand_in() -> None:
    directories = everything()
    del directories[EXIF_IFD][33434], directories[EXIF_IFD][33437]
    directories[EXIF_IFD] |= {37377: value("<", SRATIONAL, (7, 1)), 37378: value("<", RATIONAL, (3, 1))}
    values, errors = read(directories)
    assert values["exposure_time"] == pytest.approx(1 / 128)
    assert values["aperture"] == pytest.approx(8**0.5)
    assert not errors


def test_a_sensitivity_of_more_than_16_bits() -> None:
    directories = everything()
    directories[EXIF_IFD][34855] = value("<", SHORT, 65535)
    assert read(directories)[0]["iso"] == 65535
    directories[EXIF_IFD][34866] = value("<", LONG, 102_400)
    assert read(directories)[0]["iso"] == 102_400
