"""Colour: how colourful an image is, which colours it is made of, and what people call them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from flumen.interceptor.statistics.light import LEVELS

MAX_COLOURS = 5
MIN_SHARE = 0.05
"""A colour of fewer pixels is none of the dominant ones, unless it is the most frequent."""

_CELL_BITS = 3
_CELLS = 1 << _CELL_BITS
_WIDTH = LEVELS // _CELLS

_LINEAR_UP_TO = 0.04045


@dataclass(frozen=True, slots=True)
class Colour:
    """One of an image's dominant colours: the nearest CSS name, red, green and blue as #rrggbb, the share of pixels."""

    name: str
    code: str
    share: float


def colorfulness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how colourful n x height x width x 3 RGB images are: 0 for grey, above 109 extremely so.

    D. Hasler, S. Suesstrunk, "Measuring colourfulness in natural images", Proc. SPIE 5007 (2003), section 6:
    the standard deviations of rg = R - G and yb = (R + G) / 2 - B, and 0.3 times their means.
    """
    red, green, blue = (
        pixels[..., channel].astype(np.int32).reshape(len(pixels), -1) for channel in range(3)
    )
    rg_mean, rg_variance = _moments(red - green)
    yb_mean, yb_variance = _moments(red + green - 2 * blue)  # twice yb: whole numbers
    deviation = np.sqrt(rg_variance + yb_variance / 4)
    return (deviation + 0.3 * np.hypot(rg_mean, yb_mean / 2)).astype(np.float32)


def _moments(values: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = values.shape[1]
    total = values.sum(axis=1, dtype=np.int64)
    squares = np.einsum("ij,ij->i", values, values, dtype=np.int64)
    return total / count, (count * squares - total**2) / count**2


def dominant(pixels: NDArray[np.uint8]) -> list[list[Colour]]:
    """Return the dominant colours of n x height x width x 3 RGB images, the most frequent first.

    The popularity algorithm: P. Heckbert, "Color Image Quantization for Frame Buffer Display", SIGGRAPH 1982,
    section 3.1. The cube of colours is cut into 8 x 8 x 8 cells; the most populous give the colours, each the mean of
    its pixels. Heckbert's cells are smaller; these are as large as the differences between names.
    """
    count, cells = len(pixels), _CELLS**3
    channels = pixels.reshape(count, -1, 3)
    cell = np.zeros(channels.shape[:2], dtype=np.int32)
    for channel in range(3):
        cell = cell << _CELL_BITS | channels[..., channel] >> (8 - _CELL_BITS)
    places = (cell + np.arange(count, dtype=np.int32)[:, None] * cells).ravel()
    size = count * cells
    populations = np.bincount(places, minlength=size).reshape(count, cells)
    sums = [
        np.bincount(places, channels[..., channel].ravel(), size).reshape(count, cells)
        for channel in range(3)
    ]
    return _named(populations, np.stack(sums, axis=-1))


def dominant_greys(histogram: NDArray[np.int64]) -> list[list[Colour]]:
    """Return the dominant colours of grey images from n x 256 histograms: as `dominant` of the same images in RGB."""
    count = len(histogram)
    populations = histogram.reshape(count, _CELLS, _WIDTH).sum(axis=2)
    sums = (histogram * np.arange(LEVELS)).reshape(count, _CELLS, _WIDTH).sum(axis=2)
    return _named(populations, np.repeat(sums[..., None], 3, axis=-1))


def _named(populations: NDArray[np.int64], sums: NDArray[np.int64 | np.float64]) -> list[list[Colour]]:
    """Return the most populous cells of n images: n x cells populations, n x cells x 3 sums of their pixels."""
    shares = populations / populations.sum(axis=1, keepdims=True)
    # Stable, so of two cells with as many pixels the darker one comes first, whatever the sorting is.
    order = np.argsort(-populations, axis=1, kind="stable")[:, :MAX_COLOURS]
    rows = np.arange(len(populations))[:, None]
    best = shares[rows, order]
    chosen = best >= MIN_SHARE
    chosen[:, 0] = True
    colours = np.floor(sums[rows, order] / np.maximum(populations[rows, order], 1)[..., None] + 0.5)
    codes = (colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])).tolist()
    return [
        [Colour(colour_name(code), f"#{code:06x}", share) for code, share in zip(*row, strict=True)]
        for row in _kept(codes, best.tolist(), chosen.sum(axis=1).tolist())
    ]


def _kept(
    codes: list[list[int]], shares: list[list[float]], counts: Sequence[int]
) -> list[tuple[list[int], list[float]]]:
    return [
        (row_codes[:count], row_shares[:count])
        for row_codes, row_shares, count in zip(codes, shares, counts, strict=True)
    ]


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
