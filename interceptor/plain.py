"""Which PNG and JPEG files are plain: so simple that their header can be read here, and only the pixels are Pillow's.

Of a plain file Pillow's plugin would tell nothing that does not stand in the walk below: no metadata that are
reported, no second frame, no palette, no transparency, and no chunk that Pillow reads in a way of its own. Whatever is
not so, or seems not to be, is for Pillow as a whole; so are all refusals and their words.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from flumen.interceptor.framing import Size
from flumen.interceptor.small import (
    PNG_CHUNK,
    PNG_FIRST,
    PNG_FRAME,
    PNG_START,
    SEGMENT,
    STARTS_OF_FRAMES,
    STEPS,
)

_PNG_HEADER = struct.Struct(">16xIIBBBBB")
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_MODES: Mapping[int, Literal["L", "RGB"]] = {0: "L", 2: "RGB"}
"""By the colour type."""
_PNG_UNREPORTED = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
"""Chunks of which nothing is reported, with the length that each has to have."""
_BITS = 8

_LENGTH_AT = 2
_JPEG_START, _START_OF_SCAN = b"\xff\xd8", b"\xff\xda"
_JFIF, _JFIF_BYTES = b"JFIF\0", 14
_JPEG_FRAME = struct.Struct(">BHHB")
_JPEG_MODES: Mapping[int, Literal["L", "RGB"]] = {1: "L", 3: "RGB"}
"""By the number of components, as Pillow tells it."""
_COMPONENT_BYTES, _TABLE_BYTES, _INTERVAL_BYTES = 3, 65, 2
_LONGEST_HEADER = 2_048
"""Bytes up to the first scan: those of the last files are kept."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a plain file's header says: as the fields of the same names in `flumen.interceptor.decoding.Decoded`.

    `mode` is Pillow's: "L" or "RGB". One for all files of the same header, so nobody can change it.
    """

    format: Literal["JPEG", "PNG"]
    mode: Literal["L", "RGB"]
    width: int
    height: int
    metadata: Mapping[str, Any]
    statistics: None = None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.width, self.height


Plain = tuple[Told, bytes]
"""What a plain file's header says, and the bytes that Pillow's decoder of that format reads."""


def plain_file(content: bytes) -> Plain | None:
    """Return what a plain file consists of; None for any other.

    `content`: a small file, as `flumen.interceptor.small` has it.
    """
    walk = _WALKS.get(content[:2])
    try:
        return None if walk is None else walk(content)
    except struct.error:  # it ends too early
        return None


def _png(content: bytes) -> Plain | None:
    told = _png_told(content[:PNG_FIRST])
    if told is None:
        return None
    at = PNG_FIRST
    for _ in range(STEPS):
        length, name = PNG_CHUNK.unpack_from(content, at)
        end = at + PNG_FRAME + length
        if name == b"IDAT":
            # Its checksum is not looked at by Pillow either. Of several it decodes one after another, and may refuse
            # what their sum holds.
            return (told, content[at + 8 : end - 4]) if content[end:] == _PNG_END else None
        if _PNG_UNREPORTED.get(name) != length or not _has_right_checksum(content, at, end):
            return None
        at = end
    return None


@lru_cache(maxsize=256)
def _png_told(header: bytes) -> Told | None:
    """Return what a PNG's first 33 bytes say, which are the same for many."""
    width, height, bits, colour, compression, filters, interlaced = _PNG_HEADER.unpack_from(header)
    mode = _PNG_MODES.get(colour)
    known = header.startswith(PNG_START) and width * height > 0
    simple = known and bits == _BITS and not compression and not filters and not interlaced
    if mode is None or not simple or not _has_right_checksum(header, 8, PNG_FIRST):
        return None
    return _told("PNG", mode, width, height)


def _has_right_checksum(content: bytes, start: int, end: int) -> bool:
    return zlib.crc32(content[start + 4 : end - 4]).to_bytes(4) == content[end - 4 : end]


def _jpeg(content: bytes) -> Plain | None:
    header, found, _ = content.partition(_START_OF_SCAN)
    told = _jpeg_told(header) if found and len(header) <= _LONGEST_HEADER else None
    return None if told is None else (told, content)


@lru_cache(maxsize=128)
def _jpeg_told(header: bytes) -> Told | None:
    """Return what the segments up to the first scan say, which are the same for many."""
    told, at = None, len(_JPEG_START)
    while at < len(header):
        marker, length = SEGMENT.unpack_from(header, at)
        body, at = at + SEGMENT.size, at + _LENGTH_AT + length
        if body > at or at > len(header):
            return None
        if marker in STARTS_OF_FRAMES and told is None:
            told = _jpeg_frame(header[body:at])
            if told is None:
                return None
        elif marker not in _IS_PLAIN or not _IS_PLAIN[marker](header[body:at]):
            return None
    return told


def _jpeg_frame(body: bytes) -> Told | None:
    bits, height, width, components = _JPEG_FRAME.unpack_from(body)
    mode = _JPEG_MODES.get(components)
    whole = len(body) == _JPEG_FRAME.size + _COMPONENT_BYTES * components
    if mode is None or not whole or bits != _BITS or not width or not height:
        return None
    return _told("JPEG", mode, width, height)


_IS_PLAIN: Mapping[int, Callable[[bytes], bool]] = {
    0xFFC4: lambda _: True,  # Huffman tables: Pillow leaves them to its decoder
    0xFFDB: lambda body: (
        len(body) % _TABLE_BYTES == 0 and not any(table >> 4 for table in body[::_TABLE_BYTES])
    ),
    0xFFDD: lambda body: len(body) == _INTERVAL_BYTES,
    0xFFE0: lambda body: len(body) == _JFIF_BYTES and body.startswith(_JFIF),
    0xFFFE: lambda _: True,  # a comment: nothing is reported of it
}
"""Whether a segment of this marker is plain, by what stands in it."""


def _told(name: Literal["JPEG", "PNG"], mode: Literal["L", "RGB"], width: int, height: int) -> Told:
    metadata = MappingProxyType({"color_mode": mode, "bit_depth": _BITS, "frames": 1})
    return Told(name, mode, width, height, metadata)


_WALKS: dict[bytes, Callable[[bytes], Plain | None]] = {b"\x89P": _png, b"\xff\xd8": _jpeg}
