"""EXIF that is wrong: each fault is named, and keeps nothing else from being read."""

import struct

import pytest
from exif_blocks import ASCII, DOUBLE, EXIF_IFD, GPS_IFD, LONG, RATIONAL, SHORT, SRATIONAL, Raw, block, value
from test_metadata_exif import EXPECTED, everything, read

from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.step import read_metadata


@pytest.mark.parametrize(
    ("directory", "tag", "entry", "column", "error"),
    [
        (EXIF_IFD, 33437, value("<", RATIONAL, (28, 0)), "aperture", "FNumber: its denominator is zero"),
        (EXIF_IFD, 33437, value("<", RATIONAL, (0, 0)), "aperture", "FNumber: its denominator is zero"),
        (EXIF_IFD, 33437, value("<", DOUBLE, float("nan")), "aperture", "FNumber: it holds no finite number"),
        (EXIF_IFD, 33437, value("<", DOUBLE, 1e300), "aperture", "FNumber: it is not between 0 and 1,000"),
        (
            EXIF_IFD,
            33437,
            value("<", SRATIONAL, (-28, 10)),
            "aperture",
            "FNumber: it is not between 0 and 1,000",
        ),
        (
            EXIF_IFD,
            33437,
            value("<", ASCII, b"2.8\0"),
            "aperture",
            "FNumber: it holds a text where a number belongs",
        ),
        (
            EXIF_IFD,
            33437,
            Raw(RATIONAL, b"", count=1, offset=2**31),
            "aperture",
            "FNumber: its value lies outside",
        ),
        (
            EXIF_IFD,
            33437,
            Raw(RATIONAL, b"", count=2**32 - 1, offset=8),
            "aperture",
            "FNumber: its value lies outside",
        ),
        (EXIF_IFD, 33437, Raw(RATIONAL, b"", count=0), "aperture", "FNumber: it has no value"),
        (EXIF_IFD, 33437, Raw(99, b"\1"), "aperture", "FNumber: its type is unknown"),
        (
            EXIF_IFD,
            34850,
            value("<", SHORT, 77),
            "exposure_program",
            "ExposureProgram: it is no code of the standard",
        ),
        (
            EXIF_IFD,
            36867,
            value("<", ASCII, b"2023:02:29 10:00:00\0"),
            "taken_at",
            "DateTimeOriginal: there is no such date or time",
        ),
        (
            EXIF_IFD,
            36867,
            value("<", ASCII, b"yesterday\0"),
            "taken_at",
            "DateTimeOriginal: it is not written as YYYY:MM:DD HH:MM:SS",
        ),
        (
            EXIF_IFD,
            36867,
            value("<", LONG, 1709249405),
            "taken_at",
            "DateTimeOriginal: it holds numbers where a text belongs",
        ),
        (
            EXIF_IFD,
            36881,
            value("<", ASCII, b"+25:00\0"),
            "utc_offset",
            "OffsetTimeOriginal: no place is so far from UTC",
        ),
        (
            EXIF_IFD,
            36881,
            value("<", ASCII, b"CET\0"),
            "utc_offset",
            "OffsetTimeOriginal: it is not written as +HH:MM",
        ),
        (EXIF_IFD, 37521, value("<", ASCII, b"-1\0"), None, "SubSecTimeOriginal: it is no row of digits"),
        (
            EXIF_IFD,
            42036,
            value("<", SHORT, 1, 2, 3),
            "lens",
            "LensModel: it holds numbers where a text belongs",
        ),
        (
            GPS_IFD,
            2,
            value("<", RATIONAL, (33, 1), (51, 1), (0, 0)),
            "latitude",
            "GPSLatitude: its denominator is zero",
        ),
        (
            GPS_IFD,
            2,
            value("<", RATIONAL, (91, 1), (0, 1), (0, 1)),
            "latitude",
            "GPSLatitude: it is more than 90 degrees",
        ),
        (GPS_IFD, 2, value("<", RATIONAL, (33, 1)), "latitude", "GPSLatitude: it holds 1 number and not 3"),
        (
            GPS_IFD,
            2,
            value("<", SRATIONAL, (33, 1), (-1, 1), (0, 1)),
            "latitude",
            "GPSLatitude: a part of it is negative",
        ),
        (GPS_IFD, 1, value("<", ASCII, b"X\0"), "latitude", "GPSLatitude: GPSLatitudeRef is neither N nor S"),
        (
            GPS_IFD,
            3,
            value("<", ASCII, b"\0\0"),
            "longitude",
            "GPSLongitude: GPSLongitudeRef is neither E nor W",
        ),
        (
            GPS_IFD,
            6,
            value("<", RATIONAL, (2**32 - 1, 1)),
            "altitude",
            "GPSAltitude: it is not between 0 and 1,000,000 metres",
        ),
        (
            GPS_IFD,
            17,
            value("<", RATIONAL, (361, 1)),
            "direction",
            "GPSImgDirection: it is not between 0 and 360 degrees",
        ),
        (0, 274, value("<", SHORT, 9), "orientation", "Orientation: it is no whole number between 1 and 8"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_is_read(
    directory: int, tag: int, entry: Raw, column: str | None, error: str
) -> None:
    directories = everything()
    directories[directory][tag] = entry
    values, errors = read(directories)
    assert errors == [error]
    missing = EXPECTED.keys() - values.keys()
    without_time = {"taken_at", "taken_at_utc", "utc_offset"} if column == "taken_at" else {column}
    assert missing <= without_time
    assert column is None or column not in values


def test_a_place_without_its_side_is_none() -> None:
    directories = everything()
    del directories[GPS_IFD][1]
    values, errors = read(directories)
    assert errors == ["GPSLatitude: there is no GPSLatitudeRef that gives its sign"]
    assert "latitude" not in values
    assert values["longitude"] == pytest.approx(EXPECTED["longitude"])


@pytest.mark.parametrize("pointer", [EXIF_IFD, GPS_IFD])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (value("<", LONG, 2**31), "it leads outside"),
        (value("<", LONG, 2**32 - 1), "it leads outside"),
        (value("<", RATIONAL, (1, 3)), "it leads nowhere"),
        (value("<", ASCII, b"here\0"), "it holds a text where a number belongs"),
    ],
)
def test_a_pointer_that_leads_astray(pointer: int, target: Raw, reason: str) -> None:
    directories = everything()
    directories[0][pointer] = target
    name = {EXIF_IFD: "ExifIFD", GPS_IFD: "GPSInfoIFD"}[pointer]
    values, errors = read(directories)
    assert errors == [f"{name}: {reason}"]
    assert values["camera_model"] == "M10"
    assert ("latitude" in values) == (pointer == EXIF_IFD)


def test_a_directory_that_points_to_itself_ends() -> None:
    directories = everything()
    directories[0] |= {EXIF_IFD: value("<", LONG, 8), GPS_IFD: value("<", LONG, 8)}
    values, errors = read(directories)
    assert values["camera_make"] == "Leica Camera AG"
    assert not errors


def test_a_block_cut_anywhere_gives_what_is_left() -> None:
    content = block(everything())
    found = [read_metadata(Header("RGB", 8, exif=content[:end])).values.keys() for end in range(len(content))]
    assert found[0] == set()
    assert found[-1] >= EXPECTED.keys() - {"direction"}
    assert any({"camera_make", "orientation"} <= names < EXPECTED.keys() for names in found)


def test_more_entries_than_any_camera_writes() -> None:
    entries = {tag: value("<", SHORT, 1) for tag in range(10_000, 15_000)}
    values, errors = read({0: {**entries, 65_000: value("<", SHORT, 1)}})
    assert values == {}
    assert errors == ["EXIF: it has more than 4,096 entries"]


def test_errors_are_listed_up_to_a_limit() -> None:
    broken = Raw(RATIONAL, b"", count=9, offset=2**30)
    directories = {number: dict.fromkeys(entries, broken) for number, entries in everything().items()}
    values, errors = read(directories)
    assert values == {}
    assert len(errors) == 20


def test_bigtiff() -> None:
    """The same structure with 64-bit offsets, as libtiff writes files over 4 GiB."""
    text = b"a camera\0"
    entries = [
        struct.pack("<HHQ8s", 272, ASCII, len(text), struct.pack("<Q", 64)),
        struct.pack("<HHQ8s", 274, SHORT, 1, struct.pack("<H", 6)),
    ]
    content = b"II\x2b\0\x08\0\0\0" + struct.pack("<Q", 16) + struct.pack("<Q", 2) + b"".join(entries)
    findings = read_metadata(Header("RGB", 8, exif=content.ljust(64, b"\0") + text))
    assert findings.values == {"camera_model": "a camera", "orientation": 6}
    assert findings.errors == []


@pytest.mark.parametrize(
    "content", [b"II*", b"Exif\0\0", b"MM\0\x2a\0\0", b"nothing of the kind", b"Exif\0\0Exif\0\0"]
)
def test_what_is_no_block_is_named(content: bytes) -> None:
    findings = read_metadata(Header("RGB", 8, exif=content))
    assert findings.values == {}
    assert [error.partition(":")[0] for error in findings.errors] == ["EXIF"]


def test_frames_that_cannot_be_counted_are_named() -> None:
    assert read_metadata(Header("RGB", 8, frames=None)).errors == ["frames: they cannot be counted"]
