"""Whether an image is small: so cheap, whatever it holds, that it may be read in the process that asks.

Told from the bytes alone, before Pillow or anything else that could be led astray looks at them. Small is only a
container that is walked here in a few steps, without a compressed text or a second image, with little beside its
pixels, and few of those. For all else the answer is no, also where a longer look would have shown it to be cheap.
"""

import re
import struct
from collections.abc import Callable

from flumen.interceptor.frames import gif_blocks
from flumen.interceptor.framing import Size

SMALL_BYTES = 32 * 1024
SMALL_PIXELS = 256 * 256
"""The most that a small image has. The worst that was found within all the bounds here takes 9 ms of processor time and
3 MB for a moment: a progressive JPEG, one pixel wide and 65,500 high, of as many scans as are allowed."""

_BESIDE_PIXELS = 8 * 1024
"""Bytes of an image that are no pixels: metadata, tables, a profile. What is made of them grows with them alone."""

STEPS = 64
"""Segments or chunks of a file that are looked at."""

_FRAMES = 64
_SCANS = 20
"""A progressive JPEG has about ten; each goes over all of its pixels."""

_PNG_HEADER = struct.Struct(">16xII")
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_CHUNK = struct.Struct(">I4s")
PNG_FIRST, PNG_FRAME = 33, 12
"""Bytes up to the second chunk, and of a chunk beside its data."""
_PNG_PLAIN = frozenset(
    b"PLTE tRNS gAMA cHRM sRGB sBIT bKGD hIST pHYs tIME tEXt eXIf iCCP cICP mDCV cLLI".split()
)
"""Not among them: zTXt and iTXt, which may be compressed, and the chunks of animations."""
_PNG_PROFILE = b"iCCP"

SEGMENT = struct.Struct(">HH")
_SIZE_OF_FRAME = struct.Struct(">5xHH")
_START_OF_SCAN, _APP2 = 0xFFDA, 0xFFE2
STARTS_OF_FRAMES = frozenset({0xFFC0, 0xFFC1, 0xFFC2})
"""Baseline, extended and progressive, with Huffman codes."""
_PLAIN_SEGMENTS = frozenset({0xFFC4, 0xFFDB, 0xFFDD, 0xFFFE, *range(0xFFE0, 0xFFF0)}) - {_APP2}
_PROFILE = b"ICC_PROFILE"
"""The one plain use of APP2: another one, MPF, makes a directory of several pictures of a file."""

_BMP_HEADER = struct.Struct("<14xIiiHHI12xI")
_BMP_HEADER_SIZES = frozenset({40, 52, 56, 108, 124})
_BMP_UNCOMPRESSED = frozenset({0, 3})
_BMP_COLOURS = 256

_PPM = re.compile(rb"P[56]\s(\d{1,5})\s(\d{1,5})\s255\s")

_GIF_SIZE = struct.Struct("<6xHH")
_GIF_FRAME = struct.Struct("<1xHHHH")

_WEBP = struct.Struct("<4xI4x4sI3x3sHH")
_WEBP_START = b"\x9d\x01\x2a"
_WEBP_SIDE = 0x3FFF


def small_size(content: bytes) -> Size | None:
    """Return the width and height of an image that is small beyond doubt, as its header says; None for any other."""
    if len(content) > SMALL_BYTES:
        return None
    walk = _WALKS.get(content[:2])
    try:
        size = None if walk is None else walk(content)
    except (struct.error, IndexError):  # it ends too early
        return None
    return size if size is not None and 0 < size[0] * size[1] <= SMALL_PIXELS else None


def _png(content: bytes) -> Size | None:
    if not content.startswith(PNG_START):
        return None
    beside, at = 0, PNG_FIRST
    for _ in range(STEPS):
        length, name = PNG_CHUNK.unpack_from(content, at)
        if name == b"IEND":
            return _PNG_HEADER.unpack_from(content)
        if name != b"IDAT":
            # A profile is the one thing here that is compressed: the second is one too many.
            beside += length if name != _PNG_PROFILE else max(length, _BESIDE_PIXELS // 2 + 1)
            if name not in _PNG_PLAIN or beside > _BESIDE_PIXELS:
                return None
        at += PNG_FRAME + length
    return None


def _jpeg(content: bytes) -> Size | None:
    size, at = None, 2
    for _ in range(STEPS):
        kind, length = SEGMENT.unpack_from(content, at)
        if kind in STARTS_OF_FRAMES and size is None:
            height, width = _SIZE_OF_FRAME.unpack_from(content, at)
            size = width, height
        elif kind == _START_OF_SCAN:
            return size if at <= _BESIDE_PIXELS and content.count(b"\xff\xda") <= _SCANS else None
        elif kind not in _PLAIN_SEGMENTS and not (kind == _APP2 and content.startswith(_PROFILE, at + 4)):
            return None
        at += 2 + length
    return None


def _gif(content: bytes) -> Size | None:
    width, height = _GIF_SIZE.unpack_from(content)
    beside = frames = 0
    for mark, start, end in gif_blocks(content):
        if mark != b",":
            beside += end - start
        else:
            frames += 1
            left, top, across, down = _GIF_FRAME.unpack_from(content, start)
            if left + across > width or top + down > height:  # Pillow would make the canvas larger
                return None
        if beside > _BESIDE_PIXELS or frames > _FRAMES:
            return None
    return (width, height) if frames else None


def _bmp(content: bytes) -> Size | None:
    header, width, height, _, _, compression, colours = _BMP_HEADER.unpack_from(content)
    plain = header in _BMP_HEADER_SIZES and compression in _BMP_UNCOMPRESSED and colours <= _BMP_COLOURS
    return (width, abs(height)) if plain and width > 0 else None


def _ppm(content: bytes) -> Size | None:
    header = _PPM.match(content)
    return None if header is None else (int(header[1]), int(header[2]))


def _webp(content: bytes) -> Size | None:
    """Only the simple lossy one: the others have tables of their own, animations and metadata."""
    _, name, length, start, width, height = _WEBP.unpack_from(content)
    if content[8:12] != b"WEBP" or name != b"VP8 " or start != _WEBP_START or 20 + length < len(content) - 1:
        return None
    return width & _WEBP_SIDE, height & _WEBP_SIDE


_WALKS: dict[bytes, Callable[[bytes], Size | None]] = {
    b"\x89P": _png,
    b"\xff\xd8": _jpeg,
    b"GI": _gif,
    b"BM": _bmp,
    b"P5": _ppm,
    b"P6": _ppm,
    b"RI": _webp,
}
