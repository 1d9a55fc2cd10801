"""Decoding plain files: the walk in `flumen.interceptor.plain` reads the header, Pillow's decoder the pixels.

The same decoder as where Pillow opens the file itself, on the same bytes, so the same pixels and the same refusals;
what is saved is Pillow's way there, which takes several times as long for a small image as decoding it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor.chain import Limits
from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.framing import Size, frame
from flumen.interceptor.pixels import VIEW_SIDE
from flumen.interceptor.plain import Plain, Told, plain_file
from flumen.interceptor.small import SMALL_PIXELS, small_size

_CODECS: Mapping[str, tuple[str, tuple[str, ...]]] = {"PNG": ("zip", ()), "JPEG": ("jpeg", ("",))}
"""Pillow's decoders of a file's pixels and what they are told beside the mode, by the format."""


def plain_within(content: bytes, limits: Limits) -> Plain | None:
    """Return what a plain file consists of that is small and within the limits; None for any other."""
    plain = None if small_size(content) is None else plain_file(content)
    if plain is None or _is_shrunk(plain[0]) or not _is_within(plain[0], limits):
        return None
    return plain


def plain_image(told: Told, data: bytes) -> Image.Image | None:
    """Decode a plain file; None where that fails."""
    try:
        image = Image.new(told.mode, told.size)
    except MemoryError:
        return None
    return image if _is_read(image, told, data) else None


class GreyOfModelsSize:
    """Decodes plain grey images of the model's own size, one after another, in the same piece of memory."""

    def __init__(self, preprocess: Preprocess, limits: Limits) -> None:
        self._limits = limits
        self._size: Size | None = None
        if not _is_seen_whole(preprocess):
            return
        size = preprocess.width, preprocess.height
        self._samples = np.zeros(size[::-1], np.uint8)
        # Pillow decodes into these samples. It would not write to what it was lent, if it were not told to.
        self._image = Image.frombuffer("L", size, self._samples, "raw", "L", 0, 1)
        self._image.readonly = 0
        self._image.frombytes(b"\xff" * self._samples.size)
        # A Pillow to come may decode elsewhere all the same: then no image is of that size.
        self._size = size if self._samples.all() else None

    def read(self, content: bytes, samples: NDArray[np.uint8]) -> Told | None:
        """Decode a small file into `samples`, uint8, height x width, and return what its header says.

        None where it is another kind of image, is over a limit, or cannot be decoded; `samples` are as they were then.
        """
        plain = None if self._size is None else plain_file(content)
        if plain is None:
            return None
        told, data = plain
        if told.mode != "L" or told.size != self._size or not _is_within(told, self._limits):
            return None
        self._samples.fill(0)  # of an image that ends too early Pillow leaves the rest black
        if not _is_read(self._image, told, data):
            return None
        samples[...] = self._samples
        return told


def _is_seen_whole(preprocess: Preprocess) -> bool:
    """Tell whether a grey image of the model's size can be small, and model and statistics see all of its pixels."""
    size = width, height = preprocess.width, preprocess.height
    is_small = width * height <= SMALL_PIXELS and max(size) <= VIEW_SIDE
    return preprocess.channels == 1 and is_small and frame(size, size, preprocess).is_whole


def _is_shrunk(told: Told) -> bool:
    """Tell whether the image may be shrunk while it is decoded (`flumen.interceptor.pixels.load`)."""
    return told.format == "JPEG" and max(told.size) > VIEW_SIDE


def _is_within(told: Told, limits: Limits) -> bool:
    pixels = told.width * told.height
    return told.format in limits.formats and pixels <= limits.max_image_pixels and limits.max_image_frames > 0


def _is_read(image: Image.Image, told: Told, data: bytes) -> bool:
    codec, options = _CODECS[told.format]
    try:
        image.frombytes(data, codec, told.mode, *options)
    # Broken pixels, most of them as ValueError: why they are refused is asked of whoever opens the file.
    except Exception:  # noqa: BLE001
        return False
    return True
