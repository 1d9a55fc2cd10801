"""What ImageMagick and others keep as hexadecimal digits in a PNG's texts: `Raw profile type APP1` and its siblings.

A text is a line feed, a name, the number of bytes, and the digits in lines. What stands in each is told as exiftool
tells it: by the type, and where a type has several contents, by its first bytes.
"""

import re
from collections.abc import Mapping
from typing import Any

from flumen.interceptor.metadata.photoshop import iptc_of

_TYPE = "Raw profile type "
_EXIF_MARK = b"Exif\0\0"
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC_MARK = b"\x1c"
_TEXT = re.compile(r"\n[^\n]*\n\s*[0-9]+\n")

EXIF_KEYWORDS = tuple(f"{_TYPE}{name}\0".encode() for name in ("exif", "APP1"))
"""With which texts begin that may hold EXIF."""

UNREADABLE = b""
"""Stands for a block that is announced and is none."""


def raw_exif(texts: Mapping[Any, Any]) -> bytes | None:
    """Return the EXIF among a PNG's texts, None where there is none."""
    data = _profile(texts, "exif")
    if data is not None:
        return data
    data = _profile(texts, "APP1")
    return None if data is None or data.startswith(_XMP_MARK) else data


def raw_xmp(texts: Mapping[Any, Any]) -> bytes | None:
    """Return the XMP packet among a PNG's texts, None where there is none."""
    for name in ("xmp", "APP1"):
        data = _profile(texts, name)
        if data is not None and (name == "xmp" or data.startswith(_XMP_MARK)):
            return data.removeprefix(_XMP_MARK)
    return None


def raw_iptc(texts: Mapping[Any, Any]) -> bytes | None:
    """Return the IPTC data among a PNG's texts, alone or within Photoshop's resources; None where there are none."""
    for name in ("iptc", "8bim"):
        data = _profile(texts, name)
        if data is not None:
            return data if data.startswith(_IPTC_MARK) or not data else iptc_of(data)
    return None


def raw_icc(texts: Mapping[Any, Any]) -> bytes | None:
    """Return the colour profile among a PNG's texts, None where there is none."""
    data = _profile(texts, "icc")
    return _profile(texts, "icm") if data is None else data


def _profile(texts: Mapping[Any, Any], name: str) -> bytes | None:
    text = texts.get(_TYPE + name)
    if not isinstance(text, str):
        return None
    head = _TEXT.match(text)
    try:
        return bytes.fromhex(text[head.end() :]) if head else UNREADABLE
    except ValueError:
        return UNREADABLE
