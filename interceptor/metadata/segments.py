"""The pieces that image files are made of, walked through without Pillow: nothing is decoded, nothing copied.

Each walk ends where the file does or where it stops to make sense; what lies behind is nobody's piece.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PNG_START = 8
"""Where the first chunk of a PNG stands, behind its signature."""
_WEBP_START = 12
_GIF_START = 13
_FILL, _EOI, _SOS = 0xFF, 0xD9, 0xDA
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Stuffing, TEM, RST and SOI: no length follows."""
_GIF_EXTENSION, _GIF_IMAGE = 0x21, 0x2C


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of PNG or RIFF: its kind, and where it begins and ends, header and checksum included.

    `end` may lie behind the end of the file: then it is cut short.
    """

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of JPEG: its marker's second byte, and where it begins (with 0xFF) and ends."""

    marker: int
    start: int
    end: int


def png_chunks(content: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG (third edition, section 5.3), the last one maybe cut short."""
    at = PNG_START
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">L4s", content, at)
        if not kind.isalpha():
            return
        yield Chunk(kind, at, at + 12 + size)
        at += 12 + size


def webp_chunks(content: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a WebP file (RFC 9649, section 2.3), the last one maybe cut short."""
    at = _WEBP_START
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sL", content, at)
        end = at + 8 + size + size % 2
        yield Chunk(kind, at, end)
        at = end


def jpeg_segments(content: bytes) -> Iterator[Segment]:
    """Yield the segments of a JPEG (ITU-T T.81, annex B) in front of its first scan."""
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker == _FILL:
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if marker in (_SOS, _EOI) or end < at + 4 or end > len(content):
            return
        yield Segment(marker, at, end)
        at = end


def gif_extensions(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield label, begin and end of each extension of a GIF (89a specification, section 23 to 26)."""
    if len(content) < _GIF_START:
        return
    at = _GIF_START + _colour_table(content[10])
    while at + 2 <= len(content):
        start = at
        if content[at] == _GIF_EXTENSION:
            at = _behind_sub_blocks(content, at + 2)
            if at > len(content):
                return
            yield content[start + 1], start, at
        elif content[at] == _GIF_IMAGE and at + 10 <= len(content):
            at = _behind_sub_blocks(content, at + 11 + _colour_table(content[at + 9]))
        else:
            return


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_sub_blocks(content: bytes, at: int) -> int:
    """Return where a row of sub-blocks ends; behind the file, where it is cut short."""
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1
