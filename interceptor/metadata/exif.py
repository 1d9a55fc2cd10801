"""How an image was taken, from its EXIF. Tags and values: CIPA DC-008 (Exif 3.0), sections 4.6.4 to 4.6.6.

The directory 0, its Exif directory and its GPS directory are read. Of the other two, Interoperability says what the
file is for and directory 1 describes the thumbnail: nothing of the image.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flumen.interceptor.metadata.directory import Directory, Entry, Tiff, open_tiff, read_directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.header import ORIENTATION
from flumen.interceptor.metadata.moment import TIME_TAGS, read_time
from flumen.interceptor.metadata.place import PLACE_TAGS, read_place
from flumen.interceptor.metadata.words import clean, decoded, words

_EXIF, _GPS = 34665, 34853
_MAX_APEX = 100
_ISO_ELSEWHERE = 65_535
"""PhotographicSensitivity that does not fit into 16 bits: another tag has it."""

EXPOSURE_PROGRAMS = {
    1: "manual",
    2: "normal",
    3: "aperture priority",
    4: "shutter priority",
    5: "creative",
    6: "action",
    7: "portrait",
    8: "landscape",
}
METERINGS = {
    1: "average",
    2: "center-weighted average",
    3: "spot",
    4: "multi-spot",
    5: "pattern",
    6: "partial",
    255: "other",
}


@dataclass(frozen=True, slots=True)
class Field:
    """Where a column's value stands: the tag, its name in the standard, and how its entry is read."""

    column: str
    tag: int
    name: str
    read: Callable[[Entry], Any]


def text(entry: Entry) -> str:
    """Return a text, cleaned."""
    return clean(decoded(_up_to_nul(entry)))


def names(entry: Entry) -> list[str]:
    """Return names that are separated by semicolons."""
    return words(decoded(_up_to_nul(entry)).split(";"))


def _up_to_nul(entry: Entry) -> bytes:
    """Return a text up to its end, a NUL: what stands behind is left over from another text."""
    return entry.text().partition(b"\0")[0]


def positive(most: float) -> Callable[[Entry], float]:
    """Return a reader of a number above 0 and up to `most`."""

    def read(entry: Entry) -> float:
        (value,) = entry.numbers()
        if not 0 < value <= most:
            raise Unreadable(f"it is not between 0 and {most:,}")
        return value

    return read


def apex(power: float, most: float) -> Callable[[Entry], float]:
    """Return a reader of an APEX value v (Exif 3.0, Annex C): 2 to the power of `power` * v, up to `most`."""

    def read(entry: Entry) -> float:
        (value,) = entry.numbers()
        if not abs(value) <= _MAX_APEX or (made := 2.0 ** (power * value)) > most:
            raise Unreadable(f"it is no APEX value of up to {most:,}")
        return float(made)

    return read


def whole(least: int, most: int) -> Callable[[Entry], int | None]:
    """Return a reader of a whole number between these; 0 that is below `least` means unknown."""

    def read(entry: Entry) -> int | None:
        (value,) = entry.numbers()
        if value == 0 < least:
            return None
        if not least <= value <= most or value != int(value):
            raise Unreadable(f"it is no whole number between {least:,} and {most:,}")
        return int(value)

    return read


def named(codes: Mapping[int, str]) -> Callable[[Entry], str | None]:
    """Return a reader of a code that has a name; 0 means unknown."""

    def read(entry: Entry) -> str | None:
        (value,) = entry.numbers()
        if value and value not in codes:
            raise Unreadable("it is no code of the standard")
        return codes.get(int(value))

    return read


def flash_fired(entry: Entry) -> bool:
    """Return bit 0 of Flash."""
    return bool(int(entry.numbers()[0]) & 1)


_MAX_APERTURE, _MAX_SECONDS, _MAX_MM, _MAX_INT32 = 1_000, 1_000_000, 100_000, 2**31 - 1

IMAGE_FIELDS = (
    Field("camera_make", 271, "Make", text),
    Field("camera_model", 272, "Model", text),
    Field("orientation", ORIENTATION, "Orientation", whole(1, 8)),
    Field("software", 305, "Software", text),
    Field("creator", 315, "Artist", names),
)
EXIF_FIELDS = (
    Field("exposure_time", 33434, "ExposureTime", positive(_MAX_SECONDS)),
    Field("exposure_time", 37377, "ShutterSpeedValue", apex(-1, _MAX_SECONDS)),
    Field("aperture", 33437, "FNumber", positive(_MAX_APERTURE)),
    Field("aperture", 37378, "ApertureValue", apex(0.5, _MAX_APERTURE)),
    Field("exposure_program", 34850, "ExposureProgram", named(EXPOSURE_PROGRAMS)),
    Field("iso", 34855, "PhotographicSensitivity", whole(1, _MAX_INT32)),
    Field("metering", 37383, "MeteringMode", named(METERINGS)),
    Field("flash_fired", 37385, "Flash", flash_fired),
    Field("focal_length", 37386, "FocalLength", positive(_MAX_MM)),
    Field("focal_length_35mm", 41989, "FocalLengthIn35mmFilm", whole(1, _MAX_INT32)),
    Field("lens", 42036, "LensModel", text),
)
_LONG_ISO_FIELDS = (
    Field("iso", 34866, "RecommendedExposureIndex", whole(1, _MAX_INT32)),
    Field("iso", 34867, "ISOSpeed", whole(1, _MAX_INT32)),
    Field("iso", 34865, "StandardOutputSensitivity", whole(1, _MAX_INT32)),
)
_WANTED_IMAGE = frozenset(field.tag for field in IMAGE_FIELDS) | {_EXIF, _GPS}
_WANTED_EXIF = frozenset(field.tag for field in EXIF_FIELDS + _LONG_ISO_FIELDS) | TIME_TAGS.keys()


def read_exif(content: bytes, findings: Findings) -> None:
    """Keep what a block of EXIF, or a TIFF file, says about how the image was taken; list what cannot be read."""
    tiff = findings.attempt("EXIF", lambda: open_tiff(content))
    if tiff is None:
        return
    image = _directory(tiff, tiff.first, _WANTED_IMAGE, "EXIF", findings)
    if image is None:
        return
    _read_fields(IMAGE_FIELDS, image, findings)
    exif = _pointed(tiff, image, _EXIF, _WANTED_EXIF, findings)
    if exif is not None:
        _read_fields(EXIF_FIELDS, exif, findings)
        _read_long_iso(exif, findings)
        read_time(exif, findings)
    gps = _pointed(tiff, image, _GPS, PLACE_TAGS.keys(), findings)
    if gps is not None:
        read_place(gps, findings)


def _read_fields(fields: tuple[Field, ...], directory: Directory, findings: Findings) -> None:
    for field in fields:
        if field.tag in directory.unreadable:
            findings.miss(field.name, directory.unreadable[field.tag])
        entry = directory.entries.get(field.tag)
        if entry is not None and field.column not in findings.values:
            findings.keep(field.column, findings.attempt(field.name, partial(field.read, entry)))


def _read_long_iso(exif: Directory, findings: Findings) -> None:
    if findings.values.get("iso") == _ISO_ELSEWHERE and any(f.tag in exif.entries for f in _LONG_ISO_FIELDS):
        del findings.values["iso"]
        _read_fields(_LONG_ISO_FIELDS, exif, findings)


_POINTERS = {_EXIF: "ExifIFD", _GPS: "GPSInfoIFD"}


def _pointed(
    tiff: Tiff, image: Directory, pointer: int, wanted: Container[int], findings: Findings
) -> Directory | None:
    """Read the directory that an entry of the first one points to, if there is one. No directory points further."""
    name = _POINTERS[pointer]
    if pointer in image.unreadable:
        findings.miss(name, image.unreadable[pointer])
    entry = image.entries.get(pointer)
    if entry is None:
        return None
    offset = findings.attempt(name, lambda: _offset(entry))
    return None if offset is None else _directory(tiff, offset, wanted, name, findings)


def _offset(entry: Entry) -> int:
    (offset,) = entry.numbers()
    if offset < 0 or offset != int(offset):
        raise Unreadable("it leads nowhere")
    return int(offset)


def _directory(
    tiff: Tiff, offset: int, wanted: Container[int], name: str, findings: Findings
) -> Directory | None:
    directory = findings.attempt(name, lambda: read_directory(tiff, offset, wanted))
    if directory is not None and directory.cut is not None:
        findings.miss(name, directory.cut)
    return directory
