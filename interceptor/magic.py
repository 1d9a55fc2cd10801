"""What a file's first bytes say, where Pillow's own look at them takes one format for another or knows none."""

import re
import struct
from collections.abc import Callable

_LONGEST_BMP_HEADER = _LONGEST_BRUSH_HEADER = 0xFFFF
_PPM = re.compile(rb"P([1-6f]|0CMYK|yP|yRGBA|yCMYK)\s")
_FTYP_AT, _BRAND_AT, _BRANDS_AT = 4, 8, 16
_MOST_BRANDS = 64
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"hevm",
        b"hevs",
        b"mif1",
        b"mif2",
        b"mif3",
        b"msf1",
    }
)
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")

_CURSOR_ENTRY = "<BBBBHHLL"
_TGA_HEADER = "<BBBHHBHHHHBB"
_TGA_TYPES = frozenset({1, 2, 3, 9, 10, 11})
_TGA_DEPTHS = frozenset({8, 15, 16, 24, 32})
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def is_really(name: str, content: bytes) -> bool:
    """Whether a file that Pillow takes for the format `name` by its first bytes can be that at all."""
    check = _CHECKS.get(name)
    return check is None or check(content)


def other_format(content: bytes) -> str | None:
    """Return which format it is of those that no decoder here reads; None where it is none of them."""
    if _brands(content) & _HEIF_BRANDS:
        return "HEIC/HEIF"
    if content.startswith(_JPEG_XL):
        return "JPEG XL"
    if content.startswith(b"P7\n"):
        return "PAM"
    return "TGA" if _is_tga(content) else None


def _is_bmp(content: bytes) -> bool:
    """Whether its second header is of a length that one can have: many a text starts with BM."""
    return int.from_bytes(content[14:18], "little") <= _LONGEST_BMP_HEADER


def _is_ppm(content: bytes) -> bool:
    return _PPM.match(content) is not None


def _is_avif(content: bytes) -> bool:
    """Whether it says so, as its first brand or among those it is compatible with."""
    return bool(_brands(content) & _AVIF_BRANDS)


def _is_xbm(content: bytes) -> bool:
    """Whether it is not XPM, which starts with a comment in C as well."""
    return not content.lstrip().startswith(b"/* XPM */")


def _is_gimp_brush(content: bytes) -> bool:
    """Whether its header, whose length it starts with, can be one of a brush and its name."""
    return int.from_bytes(content[:4]) <= _LONGEST_BRUSH_HEADER


def _is_cursor(content: bytes) -> bool:
    """Whether there is a first cursor in it. Without a palette, TGA starts with the same four bytes."""
    try:
        (count,) = struct.unpack_from("<H", content, 4)
        reserved, size, offset = (struct.unpack_from(_CURSOR_ENTRY, content, 6)[part] for part in (3, 6, 7))
    except struct.error:
        return False
    return bool(count) and not reserved and size > 0 and offset + size <= len(content)


def _brands(content: bytes) -> frozenset[bytes]:
    """Return the brands of a file in the ISO base media format (ISO/IEC 14496-12, FileTypeBox)."""
    if content[_FTYP_AT:_BRAND_AT] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(content[:_FTYP_AT]), len(content), _BRANDS_AT + 4 * _MOST_BRANDS)
    return frozenset(content[at : at + 4] for at in (_BRAND_AT, *range(_BRANDS_AT, end - 3, 4)))


def _is_tga(content: bytes) -> bool:
    """Whether it can be TGA, which has no mark at its beginning and only since version 2 one at its end."""
    if content.endswith(_TGA_FOOTER):
        return True
    try:
        header = struct.unpack_from(_TGA_HEADER, content)
    except struct.error:
        return False
    _, has_palette, kind, first, colours, colour_bits, _, _, width, height, depth, _ = header
    palette_fits = colours and colour_bits if has_palette else not (first or colours or colour_bits)
    return bool(
        has_palette in (0, 1)
        and kind in _TGA_TYPES
        and palette_fits
        and width
        and height
        and depth in _TGA_DEPTHS
    )


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "AVIF": _is_avif,
    "BMP": _is_bmp,
    "CUR": _is_cursor,
    "GBR": _is_gimp_brush,
    "PPM": _is_ppm,
    "XBM": _is_xbm,
}
