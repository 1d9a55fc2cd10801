"""Images of any number of bytes, and such as take for ever or more than they should: made in a moment."""

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image


def bmp_of_bytes(size: int) -> bytes:
    """A valid BMP of exactly so many bytes: 3 bytes a pixel, and what is left over behind the pixels."""
    header = 54
    side = int(((size - header) / 3) ** 0.5) // 4 * 4  # rows are padded to 4 bytes
    pixels = bytes(range(256)) * (side * side * 3 // 256 + 1)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, side * side * 3, 0, 0, 0, 0)
    content = b"BM" + struct.pack("<IHHI", size, 0, 0, header) + info + pixels[: side * side * 3]
    return content + bytes(size - len(content))


def endless_jpeg(size: int = 16 * 1024 * 1024) -> bytes:
    """A progressive JPEG of 16 million pixels and about so many bytes, its last scan repeated: an hour's work."""
    out = io.BytesIO()
    Image.new("L", (4096, 4096), 128).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + scan * ((size - len(whole)) // len(scan)) + whole[-2:]


def tiff(entries: Sequence[tuple[int, int, int, int | bytes]], side: int = 16, pixels: bytes = b"") -> bytes:
    """A grey TIFF of 16 x 16 pixels with more entries: tag, type, count, and the value or the bytes it leads to."""
    shown = pixels or bytes(side * side)
    strip = [(273, 4, 1, shown), (279, 4, 1, len(shown))]
    plain = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags = {entry[0] for entry in entries}
    every = sorted(
        [*(entry for entry in (*plain, *strip) if entry[0] not in tags), *entries], key=lambda e: e[0]
    )
    behind = 8 + 2 + 12 * len(every) + 4
    directory, values = struct.pack("<H", len(every)), b""
    for tag, kind, count, value in every:
        place = value if isinstance(value, int) else behind + len(values)
        directory += struct.pack("<HHLL", tag, kind, count, place)
        values += b"" if isinstance(value, int) else value
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + values


def tiff_of_datasets(count: int) -> bytes:
    """A TIFF whose IPTC block is so many empty keywords."""
    block = b"\x1c\x02\x19\0\0" * count
    return tiff([(33723, 7, len(block), block)])


def tiff_of_artists(count: int) -> bytes:
    """A TIFF whose Artist is so many semicolons."""
    return tiff([(315, 2, count, b";" * count)])


def tiff_of_a_tile(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one tile of this side, deflated: a few bytes."""
    data = zlib.compress(bytes(16))
    tile = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, data), (325, 4, 1, len(data))]
    return tiff([(259, 3, 1, 8), *tile])


def tiff_of_pages(pages: int, entries: int = 1_500) -> bytes:
    """A TIFF whose directories lie over each other: each starts an entry behind the last, all share most of them."""
    plain = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (279, 256)]
    shared = dict(enumerate(plain))
    content = bytearray(b"II*\0\x08\0\0\0" + struct.pack("<H", entries))
    for row in range(entries + pages):
        tag, value = shared.get(row - pages, (30_000 + row, 0))
        if row < entries:  # the last two bytes are where the next directory has its number of entries
            content += struct.pack("<HHLHH", tag, 3, 1, value, entries)
        else:  # where directory `row - entries` says which one is next
            place = 8 + 12 * (row - entries + 1) if row < entries + pages - 1 else 0
            content += struct.pack("<LLHH", place, 1, 0, entries)
    return bytes(content)
