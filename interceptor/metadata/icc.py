"""The name of a colour profile (ICC.1:2022, sections 7.2, 7.3 and 10.15; ICC.1:2001-04, section 6.5.17)."""

import struct

from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.words import MAX_TEXT_BYTES, clean, decoded

_SIGNATURE_AT, _SIGNATURE = 36, b"acsp"
_TAGS_AT = 128
_MAX_TAGS = 200


def profile_name(profile: bytes) -> str:
    """Return a profile's description, such as `Display P3`; in English where it has several languages.

    Raises:
        Unreadable: it is no profile, or has no description.
    """
    if profile[_SIGNATURE_AT : _SIGNATURE_AT + 4] != _SIGNATURE:
        raise Unreadable("it is no colour profile")
    try:
        for number in range(min(struct.unpack_from(">L", profile, _TAGS_AT)[0], _MAX_TAGS)):
            tag, offset, size = struct.unpack_from(">4sLL", profile, _TAGS_AT + 4 + 12 * number)
            if tag == b"desc":
                return clean(_description(profile[offset : offset + size]))
    except struct.error:
        raise Unreadable("it is cut short") from None
    raise Unreadable("it has no description")


def _description(data: bytes) -> str:
    if data[:4] == b"desc":
        (size,) = struct.unpack_from(">L", data, 8)
        return decoded(data[12 : 12 + size].partition(b"\0")[0])
    if data[:4] == b"mluc":
        return _localized(data)
    raise Unreadable("its description is of an unknown type")


def _localized(data: bytes) -> str:
    """Return the text of a multiLocalizedUnicodeType: the first one in English, else the first."""
    count, step = struct.unpack_from(">LL", data, 8)
    best = None
    for number in range(min(count, _MAX_TAGS)):
        language, size, offset = struct.unpack_from(">2s2xLL", data, 16 + number * step)
        if best is None or language == b"en":
            best = data[offset : offset + size]
        if language == b"en":
            break
    if best is None:
        raise Unreadable("it has no description")
    return best[:MAX_TEXT_BYTES].decode("utf-16-be", "replace").partition("\0")[0]
