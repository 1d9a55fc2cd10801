"""An image's file without its metadata, for where they keep Pillow from the pixels.

Pillow looks at some of them by itself, and refuses the image where that fails. First all but the EXIF is left out, as
that says how the image has to be turned; then the EXIF as well.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable

from PIL.ImageFile import ImageFile

from flumen.interceptor.metadata.directory import open_tiff, read_directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.raw_profiles import EXIF_KEYWORDS
from flumen.interceptor.metadata.segments import (
    Chunk,
    Segment,
    gif_extensions,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)

_PNG_EXIF = (b"eXIf",)
_PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_PNG_TEXTS = (b"tEXt", b"zTXt")

_JPEG_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
_JPEG_EXIF = 0xE1
_JPEG_COLOURS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}
"""What libjpeg takes the kind of colours from, and how many bytes of it."""

_WEBP_METADATA = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""With the flag in the chunk VP8X that announces each (RFC 9649, section 2.7)."""
_WEBP_FLAGS_AT = 20

_GIF_CONTROL = 0xF9

_ORIENTATION = 274
_TIFF_PIXELS = frozenset().union(
    range(254, 260),
    range(262, 267),
    range(273, 274),
    range(277, 282),
    range(284, 285),
    range(290, 294),
    range(297, 298),
    range(317, 326),
    range(332, 337),
    range(338, 343),
    range(347, 348),
    range(512, 522),
    range(529, 533),
    range(559, 560),
    range(32995, 32998),
    (37439, 48129, 50674),
)
"""The tags that say how the pixels are stored (TIFF 6.0 and its supplements)."""

# AVIF (ISO/IEC 14496-12): an item's entry (version 2) with its number, protection and type; a profile's box.
_AVIF_OTHERS = re.compile(rb"(infe\x02\0\0.....)mime|colr(?=prof|rICC)", re.DOTALL)
_AVIF_EXIF = re.compile(rb"(infe\x02\0\0.....)Exif", re.DOTALL)


_PNG_NOTES = ("interlace", "bbox", "default_image")
"""Pillow keeps a PNG's texts by their keywords, among its own notes of how the pixels have to be decoded."""


def is_misled(image: ImageFile, name: str, content: bytes) -> bool:
    """Whether metadata keep Pillow from seeing how the pixels of an image are stored that it has opened."""
    if name == "PNG":
        return any(isinstance(image.info.get(note), str) for note in _PNG_NOTES)
    if name == "TIFF":  # behind an entry that cannot be right it may read no other
        try:
            tiff = open_tiff(content)
            seen = getattr(image, "tag_v2", {})
            return any(tag not in seen for tag in read_directory(tiff, tiff.first, _TIFF_PIXELS).entries)
        except Unreadable:
            return False
    return False


def without_metadata(content: bytes, name: str) -> bytes | None:
    """Return a file of Pillow's format `name` with less metadata; None where there are none that could be left out."""
    leave_out = _FORMATS.get(name)
    if leave_out is None:
        return None
    for keep_exif in (True, False):
        bare = leave_out(content, keep_exif)
        if bare != content:
            return bare
    return None


def _png(content: bytes, keep_exif: bool) -> bytes:
    def is_kept(chunk: Chunk) -> bool:
        if chunk.kind[:1].isupper() or chunk.kind == b"tRNS":
            return True
        if not keep_exif or chunk.end > len(content):
            return False
        if chunk.kind in _PNG_ANIMATION:
            return True
        return _is_png_exif(content, chunk) and _has_right_checksum(content, chunk)

    return _without(
        content, ((chunk.start, chunk.end) for chunk in png_chunks(content) if not is_kept(chunk))
    )


def _is_png_exif(content: bytes, chunk: Chunk) -> bool:
    if chunk.kind in _PNG_TEXTS:
        return content.startswith(EXIF_KEYWORDS, chunk.start + 8)
    return chunk.kind in _PNG_EXIF


def _has_right_checksum(content: bytes, chunk: Chunk) -> bool:
    return zlib.crc32(memoryview(content)[chunk.start + 4 : chunk.end - 4]) == int.from_bytes(
        content[chunk.end - 4 : chunk.end]
    )


def _jpeg(content: bytes, keep_exif: bool) -> bytes:
    def is_kept(segment: Segment) -> bool:
        if segment.marker not in _JPEG_METADATA:
            return True
        body = segment.start + 4
        if segment.marker == _JPEG_EXIF:
            return keep_exif and content.startswith(b"Exif\0\0", body)
        mark, least = _JPEG_COLOURS.get(segment.marker, (b"", 0))
        return bool(mark) and content.startswith(mark, body) and segment.end - body >= least

    segments = jpeg_segments(content)
    return _without(content, ((segment.start, segment.end) for segment in segments if not is_kept(segment)))


def _webp(content: bytes, keep_exif: bool) -> bytes:
    left_out = [kind for kind in _WEBP_METADATA if not (keep_exif and kind == b"EXIF")]
    chunks = [chunk for chunk in webp_chunks(content) if chunk.kind in left_out]
    if not chunks:
        return content
    bare = bytearray(_without(content, ((chunk.start, chunk.end) for chunk in chunks)))
    struct.pack_into("<L", bare, 4, len(bare) - 8)
    if bare[12:16] == b"VP8X" and len(bare) > _WEBP_FLAGS_AT:
        for kind in left_out:
            bare[_WEBP_FLAGS_AT] &= ~_WEBP_METADATA[kind]
    return bytes(bare)


def _gif(content: bytes, keep_exif: bool) -> bytes:  # noqa: ARG001 - GIF has no EXIF
    return _without(
        content, ((start, end) for label, start, end in gif_extensions(content) if label != _GIF_CONTROL)
    )


def _avif(content: bytes, keep_exif: bool) -> bytes:
    bare = _AVIF_OTHERS.sub(lambda found: found[1] + b"none" if found[1] else b"none", content)
    return bare if keep_exif else _AVIF_EXIF.sub(rb"\1none", bare)


def _tiff(content: bytes, keep_exif: bool) -> bytes:
    kept = _TIFF_PIXELS | {_ORIENTATION} if keep_exif else _TIFF_PIXELS
    try:
        tiff = open_tiff(content)
        head, step, pointer = ("Q", 20, 8) if tiff.big else ("H", 12, 4)
        start = tiff.first + struct.calcsize(f"<{head}")
        if start > len(content):
            return content
        (count,) = struct.unpack_from(f"{tiff.order}{head}", content, tiff.first)
        if start + step * count + pointer > len(content):
            return content
        places = range(start, start + step * count, step)
        entries = [content[place : place + step] for place in places]
        entries = [entry for entry in entries if struct.unpack(f"{tiff.order}H", entry[:2])[0] in kept]
    except (Unreadable, struct.error):
        return content
    if len(entries) == count:
        return content
    end = start + step * count
    bare = bytearray(content)
    struct.pack_into(f"{tiff.order}{head}", bare, tiff.first, len(entries))
    directory = b"".join(entries) + content[end : end + pointer]
    bare[start : start + len(directory)] = directory
    return bytes(bare)


def _without(content: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return a file without these pieces, given in order."""
    kept = []
    at = 0
    for start, end in spans:
        kept.append(content[at:start])
        at = end
    return b"".join([*kept, content[at:]]) if at else content


_FORMATS: dict[str, Callable[[bytes, bool], bytes]] = {
    "AVIF": _avif,
    "GIF": _gif,
    "JPEG": _jpeg,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": _webp,
}
