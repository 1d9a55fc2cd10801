"""Decoding one image within limits: what its header says is held against them before a pixel is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from flumen.interceptor.chain import Limits
from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.errors import (
    BrokenImage,
    DecodeTooLarge,
    ImageTooManyFrames,
    ImageTooManyPixels,
    Unclassifiable,
    UnsupportedImage,
)
from flumen.interceptor.formats import Format, formats, identify, open_header
from flumen.interceptor.frames import count_frames
from flumen.interceptor.framing import Frame, Size, frame
from flumen.interceptor.metadata.bare import is_misled, without_metadata
from flumen.interceptor.metadata.header import UPRIGHT, exif_block, orientation, read_header
from flumen.interceptor.metadata.step import describe
from flumen.interceptor.pixels import Loaded, at_size, is_on_its_side, load, upright, view
from flumen.interceptor.plain_pixels import plain_image, plain_within
from flumen.interceptor.refusals import PIXELS, is_about_pixels, refusal
from flumen.interceptor.statistics.step import look_at

_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 9}
"""Memory that these decoders always take: a canvas or two in RGBA beside Pillow's own. They report too little memory
in words of their own, so it is foreseen here; for the others Pillow raises MemoryError."""

_COUNTED_HERE = frozenset({"GIF", "TIFF"})
_TILE_WIDTH, _TILE_LENGTH = 322, 323


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is told by an image's bytes. The image stands upright.

    `format` is Pillow's name, `width` and `height` are pixels, as the header says. `raster`: the image at the model's
    size, a byte a sample, row by row. `view`: uint8, height x width [x 3], what statistics see of it. `metadata`: the
    columns of the interceptor `metadata`, by name, but for those that are null; `statistics`: what
    `flumen.interceptor.statistics.step.look_at` returns of it, where it was looked at already.
    """

    format: str
    width: int
    height: int
    raster: bytes
    view: NDArray[np.uint8]
    metadata: Mapping[str, Any]
    statistics: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose header was read and is within the limits; no pixel is decoded yet.

    `frames` is None where they cannot be counted; `is_bare` where some of the metadata were left out of `content`.
    `file` is the file as it came.
    """

    file: bytes
    content: bytes
    image: ImageFile
    format: Format
    frames: int | None
    is_bare: bool = False

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
        turned = orientation(exif_block(self.image, self.format.name))
        framed = _framed(size, turned, preprocess)
        loaded = load(self.image, framed)
        # A JPEG's EXIF stands before its pixels, a PNG's may stand behind them.
        if self.format.name != "JPEG":
            told = orientation(exif_block(self.image, self.format.name))
            if told != turned:
                turned, framed = told, _framed(size, told, preprocess)
        raster, pixels = _seen(loaded, framed, turned, preprocess)
        header = read_header(self.image, self.format.name, mode, self.content, self.frames)
        if self.is_bare:
            header = replace(header, left_out=True)
        width, height = reversed(size) if is_on_its_side(turned) else size
        metadata = describe(header, self.file if self.format.name == "TIFF" else None)
        return Decoded(self.format.name, width, height, raster, pixels, metadata)


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
    frames = _count_frames(image, image_format, kept, limits)
    _check(image, image_format, frames or 1, limits)
    return Opened(content, kept, image, image_format, frames, is_bare=kept is not content)


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
    """Decode one image in this thread: a `flumen.interceptor.chain.Decoder`. Raises as `open_image` and `decode` do."""
    return decode_plain(content, limits, preprocess) or open_image(content, limits).decode(preprocess)


def decode_plain(content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded | None:
    """Decode a plain image (`flumen.interceptor.plain`) as `open_image` and `Opened.decode` do, at less cost.

    None where it is not plain, is over a limit, or cannot be decoded: what to say of it is theirs.
    """
    plain = plain_within(content, limits)
    image = None if plain is None else plain_image(*plain)
    if plain is None or image is None:
        return None
    told, _ = plain
    framed = _framed(told.size, UPRIGHT, preprocess)
    try:
        raster, pixels = _seen(Loaded(image, *image.size), framed, UPRIGHT, preprocess)
    except MemoryError:
        return None
    return Decoded(told.format, told.width, told.height, raster, pixels, dict(told.metadata))


def _seen(
    loaded: Loaded, framed: Frame, turned: int, preprocess: Preprocess
) -> tuple[bytes, NDArray[np.uint8]]:
    """Return what the model sees of an image, and what statistics see of it: `Decoded` says how."""
    seen = at_size(loaded, framed, preprocess)
    viewed = view(loaded)
    raster = upright(seen, turned).tobytes()
    # One image in memory serves both where nothing was shrunk or converted.
    if viewed is seen:
        return raster, np.frombuffer(raster, np.uint8).reshape(raster_shape(preprocess))
    return raster, np.asarray(upright(viewed, turned))


def measured(decoded: Decoded) -> Decoded:
    """Return it with what statistics have to see of it.

    Raises:
        DecodeTooLarge: there is no memory for that.
    """
    try:
        return replace(decoded, statistics=look_at(decoded.view[None]))
    except MemoryError as error:
        raise refusal(error, "it cannot be measured", decoded.format, b"") from error


def raster_shape(preprocess: Preprocess) -> tuple[int, ...]:
    """Return the shape of an image's pixels at the model's size."""
    size = (preprocess.height, preprocess.width)
    return size if preprocess.channels == 1 else (*size, preprocess.channels)


def _framed(stored: Size, turned: int, preprocess: Preprocess) -> Frame:
    """Return the frame of the stored pixels, before they are turned."""
    size = (preprocess.width, preprocess.height)
    return frame(stored, size[::-1] if is_on_its_side(turned) else size, preprocess)


def _check(image: ImageFile, image_format: Format, frames: int, limits: Limits) -> None:
    width, height = image.size
    if image_format.name == "TIFF":
        _check_tiles(image, limits)
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
        more = "more than " if image_format.name in _COUNTED_HERE else ""
        counted = f"{more}{limits.max_image_frames if more else frames:,}"
        raise ImageTooManyFrames(
            f"it has {counted} frames or pages and max_image_frames is {limits.max_image_frames:,}; publish the "
            "first of them alone or raise the limit"
        )


def _check_tiles(image: ImageFile, limits: Limits) -> None:
    """Refuse tiles that are larger than an image may be: a whole one is decoded, however small the image is."""
    tags = getattr(image, "tag_v2", {})
    across, down = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if isinstance(across, int) and isinstance(down, int) and across * down > limits.max_image_pixels:
        raise ImageTooManyPixels(
            f"its header announces tiles of {across:,} x {down:,} pixels and max_image_pixels is "
            f"{limits.max_image_pixels:,}; publish it in smaller tiles, or without them"
        )


def _count_frames(image: ImageFile, image_format: Format, content: bytes, limits: Limits) -> int | None:
    if image_format.name in _COUNTED_HERE:
        return count_frames(content, image_format.name, limits.max_image_frames)
    try:
        return int(getattr(image, "n_frames", 1))
    # Hostile bytes again. What is broken behind the first frame keeps nobody from decoding that one.
    except Exception:  # noqa: BLE001
        return None
