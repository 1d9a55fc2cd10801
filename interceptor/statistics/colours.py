"""Colour: how colourful an image is, which colours it is made of, and what people call them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from flumen.interceptor.statistics.light import Cumulated
from flumen.interceptor.statistics.sums import blocks, sums_of_squares

MAX_COLOURS = 5
MIN_SHARE = 0.05
"""A colour of fewer pixels is none of the dominant ones, unless it is the most frequent."""

_CELLS = 8
_CELLS_OF_CUBE = _CELLS**3
_FIRST_BITS = np.uint8(0xE0)
"""The bits of a channel that say in which of 8 cells it is."""

_LINEAR_UP_TO = 0.04045


@dataclass(frozen=True, slots=True)
class Palettes:
    """The dominant colours of n images, the most frequent first, one image's after the other's.

    `counts`: how many each image has; `codes` and `shares` of each colour: 0xrrggbb, and its share of the pixels.
    """

    counts: list[int]
    codes: list[int]
    shares: list[float]


def colorfulness(channels: NDArray[np.uint8], totals: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how colourful n images are: 0 for grey, above 109 extremely so.

    `channels`: planes of red, green and blue, 3 x n x height x width; `totals`: the sums of their values, 3 x n.


    D. Hasler, S. Suesstrunk, "Measuring colourfulness in natural images", Proc. SPIE 5007 (2003), section 6:
    the standard deviations of rg = R - G and yb = (R + G) / 2 - B, and 0.3 times their means.
    """
    flat = channels.reshape(*channels.shape[:2], -1)
    count, pixels = flat.shape[1:]
    rg_squares, yb_squares = np.zeros((2, count), dtype=np.int64)
    for block in blocks(pixels):
        red, green, blue = flat[:, :, block]
        rg_squares += sums_of_squares(np.subtract(red, green, dtype=np.int16))
        yb = np.add(red, green, dtype=np.int16)  # twice yb: whole numbers
        yb -= np.left_shift(blue, 1, dtype=np.int16)
        yb_squares += sums_of_squares(yb)
    red_total, green_total, blue_total = totals
    rg_total, yb_total = red_total - green_total, red_total + green_total - 2 * blue_total
    rg_variance = (pixels * rg_squares - rg_total**2) / pixels**2
    yb_variance = (pixels * yb_squares - yb_total**2) / pixels**2
    deviation = np.sqrt(rg_variance + yb_variance / 4)
    means = np.hypot(rg_total / pixels, yb_total / pixels / 2)
    return np.asarray(deviation + 0.3 * means, dtype=np.float32)


def dominant(channels: NDArray[np.uint8]) -> Palettes:
    """Return the dominant colours of images, from planes of red, green and blue, 3 x n x height x width.

    The popularity algorithm: P. Heckbert, "Color Image Quantization for Frame Buffer Display", SIGGRAPH 1982,
    section 3.1. The cube of colours is cut into 8 x 8 x 8 cells; the most populous give the colours, each the mean of
    its pixels. Heckbert's cells are smaller; these are as large as the differences between names.
    """
    flat = channels.reshape(*channels.shape[:2], -1)
    count, pixels = flat.shape[1:]
    cells = np.empty((count, pixels), dtype=np.uint16)
    size = count * _CELLS_OF_CUBE
    first = np.arange(0, size, _CELLS_OF_CUBE)[:, None]
    populations = np.zeros(size, dtype=np.intp)
    for block in blocks(pixels):
        cells[:, block] = _cells(flat[:, :, block])
        places = np.add(cells[:, block], first, dtype=np.intp)
        populations += np.bincount(places.ravel(), minlength=size)
    populations = populations.reshape(count, -1)
    best, population, counts = _most_populous(populations, pixels)
    widest = counts.max()
    sums = _sums(flat, cells, best[:, :widest])
    return _palettes(population[:, :widest], sums, counts, pixels)


def dominant_greys(of: Cumulated) -> Palettes:
    """Return the dominant colours of n grey images: as `dominant` of the same images in RGB."""
    populations, sums = of.ranges(_CELLS)
    pixels = int(of.pixels[0, -1])
    best, population, counts = _most_populous(populations, pixels)
    sums_of_best = np.take_along_axis(sums, best, axis=1)
    return _palettes(population, np.repeat(sums_of_best[..., None], 3, axis=-1), counts, pixels)


def _cells(channels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the cell of each pixel, 0 to 511: 3 x n x pixels in, n x pixels out."""
    red, green, blue = channels
    cells = (red & _FIRST_BITS).astype(np.uint16)
    cells <<= 1
    cells |= ((green & _FIRST_BITS) >> 2) | (blue >> 5)
    return np.asarray(cells)


def _most_populous(
    populations: NDArray[np.int64] | NDArray[np.float64], pixels: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Return the five most populous cells of n images, their populations, and how many of them are dominant."""
    left = populations.astype(np.float64)
    rows = np.arange(len(left))
    best = np.empty((len(left), MAX_COLOURS), dtype=np.intp)
    population = np.empty(best.shape)
    for place in range(MAX_COLOURS):
        # Of two cells with as many pixels it is the first, the darker one.
        best[:, place] = chosen = left.argmax(axis=1)
        population[:, place] = left[rows, chosen]
        left[rows, chosen] = -1
    counts = (population / pixels >= MIN_SHARE).sum(axis=1)
    return best, population, np.maximum(counts, 1)


def _sums(
    channels: NDArray[np.uint8], cells: NDArray[np.uint16], best: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the sums of red, green and blue of the pixels in these cells: n x cells x 3.

    Products of 0 or 1 with the channels, by BLAS: for so few cells faster than adding up those of all. Exact: a
    block's values add up to less than 2 ** 24.
    """
    sums = np.zeros((*best.shape, len(channels)))
    sought = best.astype(np.uint16)[..., None]
    for block in blocks(cells.shape[1]):
        inside = (cells[:, None, block] == sought).astype(np.float32)
        sums += inside @ channels[:, :, block].astype(np.float32).transpose(1, 2, 0)
    return sums


def _palettes(
    population: NDArray[np.float64], sums: NDArray[np.float64], counts: NDArray[np.intp], pixels: int
) -> Palettes:
    """Return the first `counts` of n x cells populations and n x cells x 3 sums as colours."""
    dominant = np.arange(population.shape[1]) < counts[:, None]
    colours = np.floor(sums[dominant] / population[dominant][:, None] + 0.5)
    codes = colours @ np.array([1 << 16, 1 << 8, 1])
    shares = population[dominant] / pixels
    return Palettes(counts.tolist(), codes.astype(np.int64).tolist(), shares.tolist())


@lru_cache(maxsize=65_536)
def colour_name(code: int) -> str:
    """Return the CSS name (CSS Color Module Level 4, section 6.1) nearest to a colour, 0xrrggbb.

    Nearest by the distance in CIELAB (CIE 15:2004, section 8.2.1), which is made for what people see as alike.
    """
    names, places = _named_colours()
    there = _lab(np.array([[code >> 16, code >> 8 & 255, code & 255]]))
    return names[int(np.square(places - there).sum(axis=1).argmin())]


@lru_cache(maxsize=1)
def _named_colours() -> tuple[list[str], NDArray[np.float64]]:
    """Return the names and their places in CIELAB; of two names for one colour (aqua, cyan) the first."""
    by_colour: dict[tuple[int, ...], str] = {}
    for name in ImageColor.colormap:
        by_colour.setdefault(ImageColor.getrgb(name), name)
    return list(by_colour.values()), _lab(np.array(list(by_colour)))


def _lab(rgb: NDArray[np.int64]) -> NDArray[np.float64]:
    """Convert n x 3 sRGB values (IEC 61966-2-1) to CIELAB under its white point, D65."""
    share = rgb / 255
    linear = np.where(share <= _LINEAR_UP_TO, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
