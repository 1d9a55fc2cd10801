"""Which image format bytes are of, told by their first bytes alone, and opening a header of that format.

Pillow's registry of formats is used instead of `Image.open`, which tries the next decoder when one fails, so
that a broken PNG looks like a text file, and which applies a pixel limit that is global to the process.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from PIL import Image
from PIL.ImageFile import ImageFile

from flumen.interceptor.errors import FormatNotAllowed, InterceptorError, NotAnImage
from flumen.interceptor.magic import is_really, other_format
from flumen.interceptor.reasons import printable
from flumen.interceptor.refusals import HEADER, refusal

_PREFIX_BYTES = 16

UNKNOWN = "application/octet-stream"
"""The media type of bytes that are of no known format."""


@dataclass(frozen=True, slots=True)
class Format:
    """One of Pillow's formats: `accepts` looks at the first 16 bytes, `factory` reads a header."""

    name: str
    media_type: str
    accepts: Callable[[bytes], bool | str]
    factory: Callable[[BytesIO, str], ImageFile]


@lru_cache(maxsize=16)
def formats(names: frozenset[str]) -> tuple[Format, ...]:
    """Return the formats of these names, in alphabetical order.

    Raises:
        InterceptorError: Pillow has no such format, or none that is known by its first bytes.
    """
    known = _all_formats()
    unknown = sorted(names - known.keys())
    if unknown:
        raise InterceptorError(
            f"the setting image_formats holds {', '.join(unknown)}, which Pillow cannot tell by first bytes; "
            f"it may hold: {', '.join(known)}"
        )
    return tuple(known[name] for name in sorted(names))


@lru_cache(maxsize=1)
def _all_formats() -> dict[str, Format]:
    Image.init()
    return {
        name: Format(name, Image.MIME.get(name, UNKNOWN), accepts, factory)
        for name, (factory, accepts) in sorted(Image.OPEN.items())
        if accepts is not None
    }


def identify(content: bytes, allowed: Sequence[Format]) -> Format:
    """Return the allowed format that these bytes start as.

    Raises:
        FormatNotAllowed: they start as a format that Pillow knows and that is not allowed, or that it was built
            without.
        NotAnImage: they start as none.
    """
    prefix = content[:_PREFIX_BYTES]
    for image_format in allowed:
        if found := _starts_as(image_format, prefix, content):
            if isinstance(found, str):  # Pillow's words for a format that it knows and was built without
                raise FormatNotAllowed(
                    f"it is {image_format.name}, which this Pillow was built without; install one with it"
                )
            return image_format
    names = ", ".join(image_format.name for image_format in allowed)
    for image_format in _all_formats().values():
        if _starts_as(image_format, prefix, content):
            raise FormatNotAllowed(
                f"it starts as {image_format.name}, which is not allowed; publish it as one of {names}"
            )
    other = other_format(content)
    if other is not None:
        raise FormatNotAllowed(f"it is {other}, which no decoder here reads; publish it as one of {names}")
    raise NotAnImage(
        f"its first bytes '{printable(prefix[:8])}' are of no known image; publish one of {names}"
    )


def media_type(content: bytes, known: Sequence[Format]) -> str:
    """Return the media type of the known format that these bytes start as, or `UNKNOWN`."""
    prefix = content[:_PREFIX_BYTES]
    return next((each.media_type for each in known if _starts_as(each, prefix, content)), UNKNOWN)


def _starts_as(image_format: Format, prefix: bytes, content: bytes) -> bool | str:
    try:
        return is_really(image_format.name, content) and image_format.accepts(prefix)
    except (IndexError, struct.error):  # fewer bytes than the format's mark has
        return False


def open_header(content: bytes, image_format: Format) -> ImageFile:
    """Read an image's header and decode nothing yet.

    Raises:
        ImageTooManyPixels: Pillow refuses it as a decompression bomb.
        DecodeTooLarge: there is no memory for it.
        UnsupportedImage: it is of a variant that no decoder here reads.
        BrokenImage: the header is no header of that format, or announces no pixels.
    """
    name = image_format.name
    try:
        return image_format.factory(BytesIO(content), "")
    # What Pillow raises for hostile bytes is open-ended: OSError, SyntaxError, ValueError, struct.error,
    # KeyError, MemoryError and more. Whatever it is, the bytes of one image must not stop the worker.
    except Exception as error:
        raise refusal(error, HEADER, name, content) from error
