"""The interceptor `metadata`: from the blocks in an image's file to columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from flumen.interceptor.batch import Batch, Intercepted
from flumen.interceptor.chain import Context
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.metadata.directory import open_tiff, read_directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.exif import read_exif
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.icc import profile_name
from flumen.interceptor.metadata.iptc import read_iptc
from flumen.interceptor.metadata.raw_profiles import UNREADABLE
from flumen.interceptor.metadata.xmp import read_xmp

_TIFF_XMP, _TIFF_IPTC = 700, 33723
_OF_EVERY_IMAGE = ("color_mode", "bit_depth", "frames")


class Metadata:
    """Reads what an image's file says beside its pixels.

    It rejects nothing: what cannot be read is listed in `metadata_errors`.
    """

    columns = (
        Column("color_mode", Kind.STRING, "the kind of its pixels as Pillow names it: L, RGB, CMYK, P, I;16"),
        Column("bit_depth", Kind.INT32, "bits a sample"),
        Column("frames", Kind.INT32, "frames of an animation, or pages; null where they cannot be counted"),
        Column("icc_profile", Kind.STRING, "the name of its colour profile"),
        Column("camera_make", Kind.STRING, "who made the camera"),
        Column("camera_model", Kind.STRING, "the camera"),
        Column("lens", Kind.STRING, "the lens"),
        Column("software", Kind.STRING, "the program that wrote the file"),
        Column("aperture", Kind.FLOAT, "the f-number"),
        Column("exposure_time", Kind.FLOAT, "seconds"),
        Column("iso", Kind.INT32, "the sensitivity, as ISO 12232 counts it"),
        Column("focal_length", Kind.FLOAT, "millimetres"),
        Column("focal_length_35mm", Kind.INT32, "millimetres of a lens of the same angle on 35 mm film"),
        Column("flash_fired", Kind.BOOL, "whether the flash fired"),
        Column("exposure_program", Kind.STRING, "how the exposure was chosen, such as aperture priority"),
        Column("metering", Kind.STRING, "how the light was measured, such as spot"),
        Column("orientation", Kind.INT32, "how the pixels are stored, 1 to 8; they were turned upright"),
        Column("taken_at", Kind.TIMESTAMP, "when it was taken"),
        Column("taken_at_utc", Kind.BOOL, "whether that is UTC; else it is what the camera's clock showed"),
        Column("utc_offset", Kind.INT32, "the minutes that the camera's clock was ahead of UTC"),
        Column("latitude", Kind.DOUBLE, "degrees, north positive"),
        Column("longitude", Kind.DOUBLE, "degrees, east positive"),
        Column("altitude", Kind.DOUBLE, "metres, negative below sea level"),
        Column("direction", Kind.FLOAT, "degrees from north, clockwise, that the camera looked"),
        Column("title", Kind.STRING, "its title"),
        Column("keywords", Kind.STRINGS, "its keywords"),
        Column("creator", Kind.STRINGS, "who made it"),
        Column("metadata_errors", Kind.STRINGS, "what of all this could not be read, and why"),
    )

    def intercept(self, batch: Batch, context: Context) -> Intercepted:  # noqa: ARG002 - nothing of it is needed
        """Add the columns that are not null in every row, and take `metadata` away: it holds the same.

        Raises:
            InterceptorError: no interceptor before it made `metadata`.
        """
        if "metadata" not in batch.columns:
            raise InterceptorError("metadata needs images; put decode before it in the setting interceptors")
        found: Sequence[Mapping[str, Any]] = batch.columns["metadata"]  # type: ignore[assignment]
        columns: dict[str, list[Any]] = {name: [values[name] for values in found] for name in _OF_EVERY_IMAGE}
        for row, values in enumerate(found):
            if len(values) > len(_OF_EVERY_IMAGE):
                for name, value in values.items():
                    if name not in columns:
                        columns[name] = [None] * len(batch)
                    columns[name][row] = value
        return Intercepted(batch.without("metadata").with_columns(**columns), ())


def describe(header: Header, tiff_file: bytes | None = None) -> dict[str, Any]:
    """Return the columns of an image, by name; of those that are null `frames` alone.

    `tiff_file`: the whole file, where it is TIFF.
    """
    values: dict[str, Any] = {
        "color_mode": header.mode,
        "bit_depth": header.bit_depth,
        "frames": header.frames,
    }
    if tiff_file is not None or header.has_blocks or header.frames is None:
        findings = read_metadata(header, tiff_file)
        values |= findings.values
        if findings.errors:
            values["metadata_errors"] = findings.errors
    return values


def read_metadata(header: Header, tiff_file: bytes | None = None) -> Findings:
    """Return what an image's blocks say. `tiff_file`: the whole file, where it is TIFF.

    Of title, keywords and creator XMP's count first, then IPTC's, then the Artist of EXIF.
    """
    findings = Findings()
    if header.frames is None:
        findings.miss("frames", "they cannot be counted")
    if header.left_out and tiff_file is None:
        findings.miss("metadata", "the image can only be decoded without some of them")
    xmp, iptc = (header.xmp, header.iptc) if tiff_file is None else _tiff_blocks(tiff_file, findings)
    if xmp is not None:
        read_xmp(xmp, findings)
    if iptc == UNREADABLE:
        findings.miss("IPTC", "it is announced and cannot be read")
    elif iptc is not None:
        read_iptc(iptc, findings)
    exif = header.exif if tiff_file is None else tiff_file
    if exif is not None:
        read_exif(exif, findings)
    icc = header.icc
    if icc is not None:
        findings.keep("icc_profile", findings.attempt("ICC", lambda: profile_name(icc)))
    return findings


def _tiff_blocks(content: bytes, findings: Findings) -> tuple[bytes | None, bytes | None]:
    """Return the XMP packet and the IPTC data of a TIFF file; `read_exif` tells where the file itself is broken."""
    blocks: list[bytes | None] = []
    try:
        tiff = open_tiff(content)
        directory = read_directory(tiff, tiff.first, (_TIFF_XMP, _TIFF_IPTC))
    except Unreadable:
        return None, None
    for tag, name in ((_TIFF_XMP, "XMP"), (_TIFF_IPTC, "IPTC")):
        entry = directory.entries.get(tag)
        blocks.append(None if entry is None else bytes(entry.data))
        if tag in directory.unreadable:
            findings.miss(name, directory.unreadable[tag])
    return blocks[0], blocks[1]
