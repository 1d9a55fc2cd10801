"""Colour: how colourful an image is, which colours it is made of, and what people call them."""

from functools import lru_cache
from itertools import islice
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from flumen.interceptor.statistics import light
from flumen.interceptor.statistics.light import Cumulated
from flumen.interceptor.statistics.sums import blocks, sums_and_squares

MAX_COLOURS = 5
MIN_SHARE = 0.05
"""A colour of fewer pixels is none of the dominant ones, unless it is the most frequent."""

_CELLS = 8
_CELLS_OF_CUBE = _CELLS**3
_FIRST_BITS = np.uint8(0xE0)
"""The bits of a channel that say in which of 8 cells it is."""

_LINEAR_UP_TO = 0.04045

WHOLE_PIXELS = 256 * 256
"""Of an image of more pixels, colours are measured on a sample of them."""

SAMPLE_PIXELS = 7_500
"""About the least pixels of a sample: 0.02, by which a colour's share may differ from that in all pixels, is more than
three standard deviations even of pixels drawn one by one, and these are drawn one of each square."""

_DRAWN_BITS = 12
"""Of where in its square a pixel is drawn: with 256 squares of 512 pixels a side that stays below 2 ** 31."""

_CLEAR_SHARE = 0.06
"""The least share of the most frequent colour in a sample that is trusted to be so in all pixels."""


Palette = list[tuple[int, float]]
"""An image's dominant colours, the most frequent first: each 0xrrggbb and its share of the pixels."""


def sampled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of n x height x width x 3 RGB that colours are measured on, channel by channel.

    That is 3 x n x pixels: of large images a sample, of others all.
    """
    count, height, width, channels = pixels.shape
    flat = pixels.reshape(count, -1, channels)
    return light.planes(flat if height * width <= WHOLE_PIXELS else flat.take(_sample(height, width), axis=1))


@lru_cache(maxsize=16)
def _sample(height: int, width: int) -> NDArray[np.int32]:
    """Return the places of one pixel of every square, drawn once for all: no pattern of an image is in step.

    The squares cover the image to its edges, their sides being fractions of pixels where need be: all pixels are as
    likely to be drawn.
    """
    side = isqrt(height * width // SAMPLE_PIXELS)
    down, right = _draws()[:, : height // side, : width // side]
    rows, columns = (np.arange(squares, dtype=np.int32) << _DRAWN_BITS for squares in down.shape)
    places = (rows[:, None] + down) * height // (len(rows) << _DRAWN_BITS) * width
    places += (columns + right) * width // (len(columns) << _DRAWN_BITS)
    return np.asarray(places.ravel())


@lru_cache(maxsize=1)
def _draws() -> NDArray[np.int32]:
    """Return random numbers: two for each square of a sample."""
    return np.random.default_rng(seed=0).integers(0, 1 << _DRAWN_BITS, (2, 1 << 8, 1 << 8), dtype=np.int32)


def colorfulness(channels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how colourful n images are, from 3 x n x pixels: 0 for grey, above 109 extremely so.

    D. Hasler, S. Suesstrunk, "Measuring colourfulness in natural images", Proc. SPIE 5007 (2003), section 6:
    the standard deviations of rg = R - G and yb = (R + G) / 2 - B, and 0.3 times their means.
    """
    count, places = channels.shape[1:]
    of_rg, of_yb = np.zeros((2, 2, count), dtype=np.int64)
    for block in blocks(places):
        red, green, blue = channels[:, :, block]
        yb = np.add(red, green, dtype=np.int16)  # twice yb: whole numbers
        yb -= np.left_shift(blue, 1, dtype=np.int16)
        of_rg += sums_and_squares(np.subtract(red, green, dtype=np.int16))
        of_yb += sums_and_squares(yb)
    (rg_total, rg_squares), (yb_total, yb_squares) = of_rg, of_yb
    rg_variance = (places * rg_squares - rg_total**2) / places**2
    yb_variance = (places * yb_squares - yb_total**2) / places**2
    deviation = np.sqrt(rg_variance + yb_variance / 4)
    means = np.hypot(rg_total / places, yb_total / places / 2)
    return np.asarray(deviation + 0.3 * means, dtype=np.float32)


def dominant(channels: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> list[Palette]:
    """Return the dominant colours of n x height x width x 3 RGB images. `channels`: what was `sampled` of them.

    The popularity algorithm: P. Heckbert, "Color Image Quantization for Frame Buffer Display", SIGGRAPH 1982,
    section 3.1. The cube of colours is cut into 8 x 8 x 8 cells; the most populous give the colours, each the mean of
    its pixels. Heckbert's cells are smaller; these are as large as the differences between names.
    """
    flat = pixels.reshape(len(pixels), -1, pixels.shape[-1])
    if flat.shape[1] == channels.shape[2]:
        return _dominant(channels)
    palettes = []
    for row in range(len(pixels)):
        (palette,) = _dominant(channels[:, row : row + 1])
        # Noise and the like: which of its many colours is the first, only all of its pixels can say.
        is_clear = palette[0][1] >= _CLEAR_SHARE
        palettes += [palette] if is_clear else _dominant(light.planes(flat[row : row + 1]))
    return palettes


def _dominant(channels: NDArray[np.uint8]) -> list[Palette]:
    """Return the dominant colours of 3 x n x pixels."""
    count, places = channels.shape[1:]
    cells = np.empty((count, places), dtype=np.uint16)
    size = count * _CELLS_OF_CUBE
    first = np.arange(0, size, _CELLS_OF_CUBE)[:, None]
    populations = np.zeros(size, dtype=np.intp)
    for block in blocks(places):
        cells[:, block] = _cells(channels[:, :, block])
        places_of_cells = np.add(cells[:, block], first, dtype=np.intp)
        populations += np.bincount(places_of_cells.ravel(), minlength=size)
    pixels = np.full((count, 1), places)
    best, population, counts = _most_populous(populations.reshape(count, -1), pixels)
    widest = counts.max()
    sums_of_best = _sums(channels, cells, best[:, :widest])
    return _palettes(population[:, :widest], sums_of_best, counts, pixels)


def dominant_greys(of: Cumulated) -> list[Palette]:
    """Return the dominant colours of n grey images: as `dominant` of the same images in RGB."""
    populations, masses = of.ranges(_CELLS)
    pixels = of.pixels[:, -1:]
    best, population, counts = _most_populous(populations, pixels)
    sums_of_best = np.take_along_axis(masses, best, axis=1)
    return _palettes(population, np.repeat(sums_of_best[..., None], 3, axis=-1), counts, pixels)


def _cells(channels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the cell of each pixel, 0 to 511: 3 x n x pixels in, n x pixels out."""
    red, green, blue = channels
    cells = (red & _FIRST_BITS).astype(np.uint16)
    cells <<= 1
    cells |= ((green & _FIRST_BITS) >> 2) | (blue >> 5)
    return np.asarray(cells)


def _most_populous(
    populations: NDArray[np.int64] | NDArray[np.float64], pixels: NDArray[np.int64] | NDArray[np.float64]
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
    added = np.zeros((*best.shape, len(channels)))
    sought = best.astype(np.uint16)[..., None]
    for block in blocks(cells.shape[1]):
        inside = (cells[:, None, block] == sought).astype(np.float32)
        added += inside @ channels[:, :, block].astype(np.float32).transpose(1, 2, 0)
    return added


def _palettes(
    population: NDArray[np.float64],
    added: NDArray[np.float64],
    counts: NDArray[np.intp],
    pixels: NDArray[np.int64] | NDArray[np.float64],
) -> list[Palette]:
    """Return the first `counts` of n x cells populations and n x cells x 3 sums as colours. `pixels`: n x 1."""
    chosen = np.arange(population.shape[1]) < counts[:, None]
    colours = np.floor(added[chosen] / population[chosen][:, None] + 0.5)
    codes = (colours @ np.array([1 << 16, 1 << 8, 1])).astype(np.int64)
    found = zip(codes.tolist(), (population / pixels)[chosen].tolist(), strict=True)
    return [list(islice(found, count)) for count in counts.tolist()]


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
