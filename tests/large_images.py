"""Images of any number of bytes, and such as take for ever: made in a moment."""

import io
import struct

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
