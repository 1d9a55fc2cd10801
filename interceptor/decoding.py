"""Decoding one image within limits: what its header says is held against them before a pixel is decoded."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from interceptor.chain import Limits
from interceptor.classifier import Preprocess
from interceptor.errors import (
    BrokenImage,
    DecodeTooLarge,
    ImageTooManyFrames,
    ImageTooManyPixels,
    Unclassifiable,
    UnsupportedImage,
)
from interceptor.formats import Format, formats, identify, open_header
from interceptor.framing import Frame, Size, frame
from interceptor.metadata.bare import is_misled, without_metadata
from interceptor.metadata.header import Header, exif_block, orientation, read_header
from interceptor.pixels import at_size, is_on_its_side, load, upright, view
from interceptor.refusals import PIXELS, is_about_pixels, refusal

SMALL_BYTES = 32 * 1024
SMALL_PIXELS = 256 * 256
"""An image within both is decoded in 0.11 s whatever it holds: the worst that was found is a progressive JPEG of
2,700 scans. Many bytes take long even where there are few pixels: 16 MiB of empty chunks in a PNG, 3.4 s."""

_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 9}
"""Memory that these decoders always take: a canvas or two in RGBA beside Pillow's own. They report too little memory
in words of their own, so it is foreseen here; for the others Pillow raises MemoryError."""

_COUNTED_APART = frozenset({"GIF", "TIFF"})
"""To count their frames, Pillow walks through the file and loses its place."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is told by an image's bytes. The image stands upright.

    `format` is Pillow's name, `width` and `height` are pixels, as the header says. `raster`: the image at the model's
    size, a byte a sample, row by row. `view`: uint8, height x width [x 3], what statistics see of it.
    """

    format: str
    width: int
    height: int
    raster: bytes
    view: NDArray[np.uint8]
    header: Header


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose header was read and is within the limits; no pixel is decoded yet.

    `frames` is None where they cannot be counted; `is_bare` where some of the metadata were left out of `content`.
    """

    content: bytes
    image: ImageFile
    format: Format
    frames: int | None
    is_bare: bool = False

    @property
    def is_small(self) -> bool:
        """Whether it has few enough pixels to be decoded in a moment, if it has few bytes as well."""
        return self.image.width * self.image.height <= SMALL_PIXELS

    def decode(self, preprocess: Preprocess) -> Decoded:
        """Decode it. Once: the pixels are read from the image that was opened.

        Raises:
            BrokenImage, UnsupportedImage: it cannot be decoded to its end.
            DecodeTooLarge: there is no memory for it.
            Unclassifiable: its values have no known scale.
        """
        try:
            return self._decode(preprocess)
        except Unclassifiable:
            raise
        # Hostile bytes: `open_header` says why nothing narrower will do.
        except Exception as error:
            bare = None if is_about_pixels(error) else without_metadata(self.content, self.format.name)
            if bare is not None:  # it may be the metadata that Pillow fails on
                image = open_header(bare, self.format)
                return replace(self, content=bare, image=image, is_bare=True).decode(preprocess)
            raise refusal(error, PIXELS, self.format.name, self.content) from error

    def _decode(self, preprocess: Preprocess) -> Decoded:
        size, mode = self.image.size, self.image.mode
        _, framed = self._framed(size, preprocess)
        loaded = load(self.image, framed)
        # A JPEG's EXIF stands before its pixels, a PNG's may stand behind them.
        turned, framed = self._framed(size, preprocess)
        seen = at_size(loaded, framed, preprocess)
        viewed = view(loaded)
        raster = upright(seen, turned).tobytes()
        # One image in memory serves both where nothing was shrunk or converted: the article's digits.
        shared = np.frombuffer(raster, np.uint8).reshape(raster_shape(preprocess)) if viewed is seen else None
        pixels = np.asarray(upright(viewed, turned)) if shared is None else shared
        header = read_header(self.image, self.format.name, mode, self.content, self.frames)
        if self.is_bare:
            header = replace(header, left_out=True)
        width, height = reversed(size) if is_on_its_side(turned) else size
        return Decoded(self.format.name, width, height, raster, pixels, header)

    def _framed(self, stored: Size, preprocess: Preprocess) -> tuple[int, Frame]:
        """Return how the stored pixels have to be turned, as far as is known, and their frame before that."""
        turned = orientation(exif_block(self.image, self.format.name))
        size = (preprocess.width, preprocess.height)
        return turned, frame(stored, size[::-1] if is_on_its_side(turned) else size, preprocess)


def open_image(content: bytes, limits: Limits) -> Opened:
    """Read an image's header.

    Raises:
        FormatNotAllowed, NotAnImage: by its first bytes.
        ImageTooManyPixels, ImageTooManyFrames, DecodeTooLarge: it is over a limit.
        BrokenImage, UnsupportedImage: the header cannot be read.
        InterceptorError: `formats` of the limits names one that Pillow does not know.
    """
    image_format = identify(content, formats(limits.formats))
    image, kept = _opened(content, image_format)
    frames = _count_frames(image, image_format, kept)
    _check(image, image_format, frames or 1, limits)
    return Opened(kept, image, image_format, frames, is_bare=kept is not content)


def _opened(content: bytes, image_format: Format) -> tuple[ImageFile, bytes]:
    """Read the header of a file, or of what is left of it without the metadata that Pillow fails on."""
    name = image_format.name
    try:
        image = open_header(content, image_format)
    except (BrokenImage, UnsupportedImage):
        bare = without_metadata(content, name)
        if bare is None:
            raise
        return _opened(bare, image_format)
    bare = without_metadata(content, name) if is_misled(image, name, content) else None
    return (image, content) if bare is None else _opened(bare, image_format)


def decode_image(content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded:
    """Decode one image: the plain `interceptor.chain.Decoder`. Raises as `open_image` and `Opened.decode`."""
    return open_image(content, limits).decode(preprocess)


def raster_shape(preprocess: Preprocess) -> tuple[int, ...]:
    """Return the shape of an image's pixels at the model's size."""
    size = (preprocess.height, preprocess.width)
    return size if preprocess.channels == 1 else (*size, preprocess.channels)


def _check(image: ImageFile, image_format: Format, frames: int, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_image_pixels:
        raise ImageTooManyPixels(
            f"its header announces {width:,} x {height:,} pixels and max_image_pixels is "
            f"{limits.max_image_pixels:,}; publish a smaller version or raise the limit"
        )
    memory = width * height * _BYTES_A_PIXEL.get(image_format.name, 0)
    if memory > limits.max_decode_memory_bytes:
        raise DecodeTooLarge(
            f"to decode {width:,} x {height:,} pixels of {image_format.name} takes {memory:,} bytes and "
            f"max_decode_memory_bytes is {limits.max_decode_memory_bytes:,}; publish a smaller version, or in "
            "another format, or raise the limit"
        )
    if frames > limits.max_image_frames:
        raise ImageTooManyFrames(
            f"it has {frames:,} frames or pages and max_image_frames is {limits.max_image_frames:,}; publish the "
            "first of them alone or raise the limit"
        )


def _count_frames(image: ImageFile, image_format: Format, content: bytes) -> int | None:
    if image_format.name in _COUNTED_APART:
        image = open_header(content, image_format)
    try:
        return int(getattr(image, "n_frames", 1))
    # Hostile bytes again. What is broken behind the first frame keeps nobody from decoding that one.
    except Exception:  # noqa: BLE001
        return None
