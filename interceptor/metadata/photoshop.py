"""Photoshop's image resources (Adobe Photoshop File Formats Specification, "Image Resources Section")."""

import struct

_MARK = b"8BIM"
_IPTC = 0x0404


def iptc_of(resources: bytes) -> bytes | None:
    """Return the IPTC data among these resources; None where there are none, or the resources break off before."""
    at = 0
    try:
        while resources.startswith(_MARK, at):
            number, name_size = struct.unpack_from(">HB", resources, at + 4)
            at += 6 + (1 + name_size) + (1 + name_size) % 2
            (size,) = struct.unpack_from(">L", resources, at)
            at += 4
            if number == _IPTC:
                return resources[at : at + size]
            at += size + size % 2
    except struct.error:
        pass
    return None
