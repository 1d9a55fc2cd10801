"""An image's file without its metadata, for where Pillow's own look at them keeps it from the pixels.

Pillow reads the EXIF of two formats by itself, for how the image has to be turned, and refuses the image where that
fails. Lengths and offsets stay what they are: the metadata are given names that nobody knows.
"""

import re
import struct

from interceptor.metadata.directory import open_tiff
from interceptor.metadata.errors import Unreadable

_TIFF_METADATA = frozenset({700, 33723, 34377, 34665, 34853, 40965})
"""XMP, IPTC, Photoshop's resources, and the directories Exif, GPS and Interoperability."""

_PRIVATE = 65_000
"""The first tag that TIFF 6.0 leaves to everybody."""

# The entry of an item in AVIF (ISO/IEC 14496-12, ItemInfoEntry, version 2): its number, its protection, its type.
_AVIF_EXIF = re.compile(rb"(infe\x02\0\0.....)Exif", re.DOTALL)
_ENTRY = "HHL4s"


def without_metadata(content: bytes, name: str) -> bytes | None:
    """Return a file of Pillow's format `name` without what Pillow reads of its metadata; None where it has none."""
    if name == "AVIF":
        bare = _AVIF_EXIF.sub(rb"\1none", content)
    elif name == "TIFF":
        bare = _bare_tiff(content)
    else:
        return None
    return None if bare == content else bare


def _bare_tiff(content: bytes) -> bytes:
    try:
        tiff = open_tiff(content)
        if tiff.big:
            return content
        bare = bytearray(content)
        (count,) = struct.unpack_from(f"{tiff.order}H", bare, tiff.first)
        for place in range(tiff.first + 2, tiff.first + 2 + 12 * count, 12):
            if struct.unpack_from(f"{tiff.order}H", bare, place)[0] in _TIFF_METADATA:
                struct.pack_into(f"{tiff.order}{_ENTRY}", bare, place, _PRIVATE, 1, 1, bytes(4))
    except (Unreadable, struct.error):
        return content
    return bytes(bare)
