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

from interceptor.errors import (
    BrokenImage,
    DecodeTooLarge,
    FormatNotAllowed,
    ImageTooManyPixels,
    InterceptorError,
    NotAnImage,
    Unclassifiable,
)
from interceptor.reasons import shortened

_PREFIX_BYTES = 16


@dataclass(frozen=True, slots=True)
class Format:
    """One of Pillow's formats: `accepts` looks at the first 16 bytes, `factory` reads a header."""

    name: str
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
        name: Format(name, accepts, factory)
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
        if found := _starts_as(image_format, prefix):
            if isinstance(found, str):  # Pillow's words for a format that it knows and was built without
                raise FormatNotAllowed(f"it is {image_format.name}, and {found}; install a Pillow with it")
            return image_format
    names = ", ".join(image_format.name for image_format in allowed)
    for image_format in _all_formats().values():
        if _starts_as(image_format, prefix):
            raise FormatNotAllowed(
                f"it starts as {image_format.name}, which is not allowed; publish it as one of {names}"
            )
    raise NotAnImage(f"its first bytes {prefix[:8]!r} are of no known image; publish one of {names}")


def _starts_as(image_format: Format, prefix: bytes) -> bool | str:
    try:
        return image_format.accepts(prefix)
    except (IndexError, struct.error):  # fewer bytes than the format's mark has
        return False


def open_header(content: bytes, image_format: Format) -> ImageFile:
    """Read an image's header and decode nothing yet.

    Raises:
        ImageTooManyPixels: Pillow refuses it as a decompression bomb.
        DecodeTooLarge: there is no memory for it.
        BrokenImage: the header is no header of that format, or announces no pixels.
    """
    try:
        return image_format.factory(BytesIO(content), "")
    # What Pillow raises for hostile bytes is open-ended: OSError, SyntaxError, ValueError, struct.error,
    # KeyError, MemoryError and more. Whatever it is, the bytes of one image must not stop the worker.
    except Exception as error:
        raise refusal(
            error, f"its {image_format.name} header cannot be read or announces no pixels"
        ) from error


def refusal(error: Exception, what: str) -> Unclassifiable:
    """Return the rejection of an image that Pillow failed on: `what` failed, and Pillow's own words."""
    words = shortened(f"{type(error).__name__}: {error}")
    if isinstance(error, Image.DecompressionBombError):
        return ImageTooManyPixels(f"Pillow refuses it ({words}); publish a smaller version")
    if isinstance(error, MemoryError):
        return DecodeTooLarge(
            "decoding it takes more memory than max_decode_memory_bytes; publish a smaller version or raise it"
        )
    return BrokenImage(f"{what} ({words}); publish it again from the original")
