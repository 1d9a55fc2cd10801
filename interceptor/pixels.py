"""From an opened image to 8-bit grey or RGB pixels of the model's size, with bounded memory.

What is not plain grey or RGB becomes so by these conventions:

- transparent pixels are laid over black: no light, as the article's images have no ink there;
- 16-bit grey is scaled linearly, 65535 becoming 255 (PNG specification, third edition, section 13.12);
- floating-point grey runs from 0.0, black, to 1.0, white; other values are refused: their scale is unknown;
- colour becomes grey by ITU-R 601-2 luma, as Pillow converts; LAB becomes colour through sRGB;
- of an animation or several pages the first is taken;
- an image that its EXIF says to be turned is turned.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.framing import Frame, Size

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
"""By the names of `Preprocess.resampling`; Pillow's bilinear and bicubic are antialiased."""

_GAP = 3
"""Shrink by whole numbers down to this many times the model's size, then resample. Pillow's documentation of
`reducing_gap` calls the result indistinguishable from resampling at once."""

_STRIP_PIXELS = 1_000_000

VIEW_SIDE = 512
"""Statistics are taken of an image of at most so many pixels a side."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = 5
"""From this orientation on, the stored rows are the upright image's columns."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded image. `width` and `height`: how much of `image` is picture, as a JPEG is shrunk by whole numbers."""

    image: Image.Image
    width: float
    height: float


def load(image: ImageFile, frame: Frame) -> Loaded:
    """Decode an opened image, a JPEG no larger than `at_size` in this frame and `view` need it.

    Raises:
        Exception: whatever Pillow raises for broken bytes.
    """
    factor = _view_factor(image.size)
    drafted = None
    if factor > 1:
        shares = (frame.box[2] - frame.box[0], frame.box[3] - frame.box[1])
        needed = [frame.inner[axis] * _GAP / shares[axis] for axis in (0, 1)]
        least = [ceil(max(needed[axis], image.size[axis] // factor)) for axis in (0, 1)]
        drafted = image.draft(None, (least[0], least[1]))
    image.load()
    return Loaded(image, *(drafted[1][2:] if drafted else image.size))


def at_size(loaded: Loaded, frame: Frame, preprocess: Preprocess) -> Image.Image:
    """Return a decoded image as the model's picture: "L" or "RGB", of the frame's size.

    It is converted and shrunk in strips, so that a conversion needs no second copy of it.

    Raises:
        Unclassifiable: its values have no known scale.
        Exception: whatever Pillow raises for broken bytes.
    """
    image, mode = loaded.image, "L" if preprocess.channels == 1 else "RGB"
    if (
        frame.is_whole
        and image.mode == mode
        and image.size == frame.size
        and "transparency" not in image.info
    ):
        return image
    left, top, right, bottom = frame.box
    box = (left * loaded.width, top * loaded.height, right * loaded.width, bottom * loaded.height)
    resampling = RESAMPLING[preprocess.resampling]
    if resampling is Image.Resampling.NEAREST:
        # Averages and conversions would make values that stand nowhere in the image; and it can be shrunk as it is.
        seen = _in_mode(image.resize(frame.inner, resampling, box=_within(box, image.size)), mode)
    else:
        gap = (frame.inner[0] * _GAP, frame.inner[1] * _GAP)
        factor = (max(1, int(box[2] - box[0]) // gap[0]), max(1, int(box[3] - box[1]) // gap[1]))
        seen = _reduced(image, factor, mode)
        if not (frame.is_whole and seen.size == frame.size):
            box = (box[0] / factor[0], box[1] / factor[1], box[2] / factor[0], box[3] / factor[1])
            seen = seen.resize(frame.inner, resampling, box=_within(box, seen.size))
    if frame.inner == frame.size:
        return seen
    picture = Image.new(mode, frame.size, (preprocess.fill,) * len(seen.getbands()))
    picture.paste(seen, frame.offset)
    return picture


def _within(box: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float]:
    """Return a box without what rounding put outside of the image: Pillow refuses it."""
    return max(0.0, box[0]), max(0.0, box[1]), min(box[2], float(size[0])), min(box[3], float(size[1]))


def view(loaded: Loaded) -> Image.Image:
    """Return a decoded image as statistics see it: "L" or "RGB", shrunk by a whole number to `VIEW_SIDE` at most.

    Raises:
        Unclassifiable: its values have no known scale.
    """
    image = loaded.image
    mode = "L" if image.mode in _GREY_MODES or image.mode.startswith("I;16") else "RGB"
    factor = _view_factor(image.size)
    if factor == 1 and image.mode == mode and "transparency" not in image.info:
        return image
    return _reduced(image, (factor, factor), mode)


def _view_factor(size: Size) -> int:
    """Return by which whole number an image of this size is shrunk to be what statistics see."""
    return ceil(max(size) / VIEW_SIDE)


def is_on_its_side(orientation: int) -> bool:
    """Tell whether an image of this orientation (EXIF's 1 to 8) swaps width and height when it is turned."""
    return orientation >= _ON_ITS_SIDE


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image as its orientation (EXIF's 1 to 8) says."""
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def _reduced(image: Image.Image, factor: tuple[int, int], mode: str) -> Image.Image:
    """Convert to `mode` and average blocks of `factor` pixels to one, strip by strip."""
    if factor == (1, 1):
        return _in_mode(image, mode)
    across, down = factor
    rows = down * max(1, _STRIP_PIXELS // (image.width * down))
    if rows >= image.height:
        return _in_mode(image, mode).reduce(factor)
    small = Image.new(mode, (ceil(image.width / across), ceil(image.height / down)))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        small.paste(_in_mode(strip, mode).reduce(factor), (0, top // down))
    return small


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an image as "L" or "RGB" by the conventions above; itself, where it is that."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    elif image.mode == "LAB":
        image = _lab_to_rgb().apply(image)
    elif image.mode == "La":
        image = image.convert("LA")  # the only conversion that Pillow has for it
    if not image.has_transparency_data:
        return image if image.mode == mode else image.convert(mode)
    over = Image.new(mode, image.size)
    see_through = image.convert("RGBA")
    over.paste(see_through.convert(mode), mask=see_through)
    return over


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    lowest, highest = values.min(), values.max()
    white = 1.0 if image.mode == "F" else 65535
    if not (lowest >= 0 and highest <= white):  # so written, NaN fails too
        raise Unclassifiable(
            f"its grey values run from {lowest} to {highest}, and white is taken to be {white}; "
            "scale them and publish it again"
        )
    if image.mode == "F":
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


@lru_cache(maxsize=1)
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
