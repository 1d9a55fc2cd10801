"""Why an image is refused that Pillow fails on, in our own words and no others.

What Pillow, the libraries below it and Python say is for whoever looks for the cause: it goes to `cause`.
"""

import re
from typing import TypeVar

from PIL import Image

from flumen.interceptor.errors import (
    BrokenImage,
    DecodeTooLarge,
    ImageTooManyPixels,
    Unclassifiable,
    UnsupportedImage,
)
from flumen.interceptor.reasons import shortened
from flumen.interceptor.variants import unsupported_variant

_Answer = TypeVar("_Answer")

HEADER = "its {name} header cannot be read or announces no pixels"
PIXELS = "it starts as {name} and cannot be decoded to its end"

MAX_CAUSE = 1_000
"""Characters of what a library says that are kept."""

_CUT_SHORT = re.compile(r"truncated|incomplete|reached EOF|not enough image data", re.IGNORECASE)
_OF_PIXELS = re.compile(r"image file is truncated|data stream")
_PIXELS_ANNOUNCED = re.compile(r"\((\d+) pixels\)")


def is_about_pixels(error: Exception) -> bool:
    """Whether Pillow failed on the pixels for certain, and no metadata can be behind it."""
    return isinstance(error, MemoryError) or _OF_PIXELS.search(str(error)) is not None


def refusal(error: Exception, what: str, name: str, content: bytes) -> Unclassifiable:
    """Return the rejection of an image that Pillow failed on.

    Args:
        error: what Pillow raised.
        what: `HEADER` or `PIXELS`, which failed.
        name: the image's format, as Pillow names it.
        content: the file's bytes.
    """
    refused = _refusal(error, what.format(name=name), name, content)
    refused.cause = shortened(f"{type(error).__name__}: {error}", MAX_CAUSE)
    return refused


def with_cause(answer: _Answer, said: str) -> _Answer:
    """Return an answer of a decoder; where it is a rejection, what libraries said meanwhile goes to its cause."""
    if said and isinstance(answer, Unclassifiable):
        answer.cause = shortened("\n".join(filter(None, (answer.cause, said))), MAX_CAUSE)
    return answer


def _refusal(error: Exception, what: str, name: str, content: bytes) -> Unclassifiable:
    said = str(error)
    if isinstance(error, Image.DecompressionBombError):
        announced = _PIXELS_ANNOUNCED.search(said)
        pixels = f"{int(announced[1]):,} pixels" if announced else "more pixels"
        return ImageTooManyPixels(
            f"its header announces {pixels}, which Pillow refuses to decode; publish a smaller version"
        )
    if isinstance(error, MemoryError):
        return DecodeTooLarge(
            "decoding it takes more memory than max_decode_memory_bytes; publish a smaller version or raise it"
        )
    variant = unsupported_variant(content, name, said)
    if variant is not None:
        return UnsupportedImage(
            f"it is {name} {variant}, which no decoder here reads; save it in another way, as PNG for example, and "
            "publish that"
        )
    cut = " (it is truncated)" if _CUT_SHORT.search(said) else ""
    return BrokenImage(f"{what}{cut}; publish it again from the original")
