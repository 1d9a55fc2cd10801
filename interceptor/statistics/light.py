"""Light: luminance, its histogram, and what follows from that alone. All of it is exact: sums of whole numbers."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LEVELS = 256
BINS = 16

_PILLOW_FROM = 8_192
"""Pixels from which on Pillow counts faster than numpy, which makes 64-bit places of them first."""

BRIGHTNESS = ("dark", "dim", "light", "bright")
"""The quarters of the scale of mean luminance: a convention of flumen's."""

_VALUES = np.arange(LEVELS, dtype=np.float64)
_POWERS = np.stack([_VALUES**power for power in range(3)], axis=1)


@dataclass(frozen=True, slots=True)
class Levels:
    """Sum, mean, standard deviation (of the population), least and greatest value of n images; each an array of n."""

    total: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    least: NDArray[np.int32]
    greatest: NDArray[np.int32]

    def part(self, rows: slice) -> "Levels":
        """Return those of these images."""
        return Levels(
            self.total[rows], self.mean[rows], self.std[rows], self.least[rows], self.greatest[rows]
        )


@dataclass(frozen=True, slots=True)
class Cumulated:
    """How many pixels have at most each of 256 values, and the sum of their values: n x 256, whole numbers."""

    pixels: NDArray[np.float64]
    mass: NDArray[np.float64]

    def ranges(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the pixels and the sum of their values in `count` equal ranges of the scale: n x count."""
        ends = slice(LEVELS // count - 1, None, LEVELS // count)
        return np.diff(self.pixels[:, ends], prepend=0), np.diff(self.mass[:, ends], prepend=0)


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Tell n x height x width (grey) from n x height x width x 3 (RGB)."""
    return pixels.ndim == len(("image", "row", "column"))


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma (ITU-R BT.601) of n x height x width x 3 RGB, as Pillow has it; grey as it is.

    Its weights are whole 65,536ths that add up to one, so grey stays what it is.
    """
    if is_grey(pixels):
        return pixels
    # One above the other they are one picture.
    luma = np.asarray(Image.fromarray(pixels.reshape(-1, *pixels.shape[2:])).convert("L"))
    return luma.reshape(pixels.shape[:3])


def counted(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the luminance of n images, and how often each of 256 values occurs in it and in their channels.

    n x height x width (grey) gives n x 1 x 256 of luminance; n x height x width x 3 (RGB) gives n x 4 x 256, behind it
    those of red, green and blue.
    """
    if is_grey(pixels):
        return pixels, histograms(pixels)[:, None]
    if pixels[0, ..., 0].size < _PILLOW_FROM:
        luma = luminance(pixels)
        channels = (np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[-1]))
        return luma, np.stack([histograms(luma), *map(histograms, channels)], axis=1)
    pictures = [Image.fromarray(image) for image in pixels]
    lumas = [picture.convert("L") for picture in pictures]
    counts = [luma.histogram() + picture.histogram() for luma, picture in zip(lumas, pictures, strict=True)]
    return np.stack([np.asarray(luma) for luma in lumas]), np.array(counts, dtype=np.int64).reshape(
        len(pixels), -1, LEVELS
    )


def planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ... x 3 RGB channel by channel, 3 x ...: in one piece each is read faster."""
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def histograms(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how often each of 256 values occurs in each of n images: n x ... in, n x 256 out."""
    count = len(values)
    flat = values.reshape(count, -1)
    if flat.shape[1] >= _PILLOW_FROM:
        return np.array([Image.fromarray(image[None]).histogram() for image in flat])
    places = np.add(flat, np.arange(0, count * LEVELS, LEVELS)[:, None], dtype=np.intp)
    return np.bincount(places.ravel(), minlength=count * LEVELS).reshape(count, LEVELS)


def cumulated(histogram: NDArray[np.int64]) -> Cumulated:
    """Return the sums over n x 256 histograms up to each value."""
    # As one complex number a value, for these sums are made one addition after the other: both in the time of one.
    both = np.empty(histogram.shape, dtype=np.complex128)
    both.real = histogram
    np.multiply(histogram, _VALUES, out=both.imag)
    both.cumsum(axis=1, out=both)
    return Cumulated(both.real, both.imag)


def levels(histogram: NDArray[np.int64]) -> Levels:
    """Return mean, standard deviation, minimum and maximum from n x 256 histograms."""
    # Whole numbers below 2 ** 53, which float64 adds up exactly, and BLAS fast.
    sums = histogram.astype(np.float64) @ _POWERS
    pixels, total, squares = sums.astype(np.int64).T
    # n * sum of squares - square of the sum: whole numbers, exact, and so never below zero.
    variance = (pixels * squares - total**2) / pixels.astype(np.float64) ** 2
    present = histogram > 0
    return Levels(
        total,
        (total / pixels).astype(np.float32),
        np.sqrt(variance).astype(np.float32),
        present.argmax(axis=1).astype(np.int32),
        (LEVELS - 1 - present[:, ::-1].argmax(axis=1)).astype(np.int32),
    )


def bins(of: Cumulated) -> NDArray[np.float64]:
    """Return the shares of 16 equal ranges of luminance, n x 16; each row sums to one."""
    counts, _ = of.ranges(BINS)
    return np.asarray(counts / of.pixels[:, -1:])


def entropy(histogram: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return Shannon's entropy of the luminance in bits, 0 to 8.

    C. E. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27 (1948), section 6.
    """
    pixels = histogram.sum(axis=1, keepdims=True)
    first = int(pixels[0, 0])
    is_worth_a_table = first < histogram.size and (pixels == first).all()
    terms = _entropy_terms(first)[histogram] if is_worth_a_table else _terms(histogram / pixels)
    return np.asarray(np.abs(terms.sum(axis=1)), dtype=np.float32)


@lru_cache(maxsize=16)
def _entropy_terms(pixels: int) -> NDArray[np.float64]:
    """Return what a value that so many of so many pixels have adds to the entropy, for every count there is."""
    return _terms(np.arange(pixels + 1) / pixels)


def _terms(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0))


def contrast(of: Levels) -> NDArray[np.float32]:
    """Return the root-mean-square contrast: the standard deviation of luminance on a scale from 0 to 1, 0 to 0.5.

    E. Peli, "Contrast in complex images", Journal of the Optical Society of America A 7 (1990), equation 4.
    """
    return np.asarray(of.std / (LEVELS - 1), dtype=np.float32)


def brightness(of: Levels) -> list[str]:
    """Return the quarter of the scale that an image's mean luminance is in, by its name."""
    quarters = (of.mean / np.float32(LEVELS / len(BRIGHTNESS))).astype(np.intp)
    return [BRIGHTNESS[quarter] for quarter in quarters.tolist()]


def otsu(of: Cumulated) -> NDArray[np.uint8]:
    """Return the threshold t that parts values up to t best from those above it; the least t where several do.

    N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and
    Cybernetics 9 (1979): the between-class variance is greatest, equation 18. An image of one value gives 0.
    """
    pixels, total = of.pixels[:, -1:], of.mass[:, -1:]
    parted = of.pixels * (pixels - of.pixels)
    difference = total * of.pixels
    difference -= of.mass * pixels
    difference *= difference
    # Where one class is empty so is the difference: 0 / 1 is none.
    np.maximum(parted, 1, out=parted)
    difference /= parted
    return np.asarray(difference.argmax(axis=1), dtype=np.uint8)
