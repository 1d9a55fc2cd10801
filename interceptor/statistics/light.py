"""Light: luminance, its histogram, and what follows from that alone. All of it is exact: sums of whole numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
BINS = 16

# The weights of ITU-R BT.601 for red, green and blue in 65,536ths, as Pillow converts RGB to L; they add up to one,
# so that grey stays what it is.
_WEIGHTS = (19_595, 38_470, 7_471)
_ROUND = 0x8000

BRIGHTNESS = ("dark", "dim", "light", "bright")
"""The quarters of the scale of mean luminance: a convention of flumen's."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Mean, standard deviation (of the population), least and greatest value of n images; each an array of n."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    least: NDArray[np.int32]
    greatest: NDArray[np.int32]


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Tell n x height x width (grey) from n x height x width x 3 (RGB)."""
    return pixels.ndim == len(("image", "row", "column"))


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma (ITU-R BT.601) of n x height x width x 3 RGB; grey of n x height x width as it is."""
    if is_grey(pixels):
        return pixels
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    red *= _WEIGHTS[0]
    green *= _WEIGHTS[1]
    blue *= _WEIGHTS[2]
    return ((red + green + blue + _ROUND) >> 16).astype(np.uint8)


def histograms(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how often each of 256 values occurs in each of n images: n x ... in, n x 256 out."""
    count = len(values)
    offsets = np.arange(count, dtype=np.int32)[:, None] * LEVELS
    places = values.reshape(count, -1) + offsets
    return np.bincount(places.ravel(), minlength=count * LEVELS).reshape(count, LEVELS)


def levels(histogram: NDArray[np.int64]) -> Levels:
    """Return mean, standard deviation, minimum and maximum from n x 256 histograms."""
    values = np.arange(LEVELS)
    pixels = histogram.sum(axis=1)
    total, squares = histogram @ values, histogram @ values**2
    # n * sum of squares - square of the sum: whole numbers, exact, and so never below zero.
    variance = (pixels * squares - total**2) / pixels.astype(np.float64) ** 2
    present = histogram > 0
    return Levels(
        (total / pixels).astype(np.float32),
        np.sqrt(variance).astype(np.float32),
        present.argmax(axis=1).astype(np.int32),
        (LEVELS - 1 - present[:, ::-1].argmax(axis=1)).astype(np.int32),
    )


def bins(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shares of 16 equal ranges of luminance, n x 16; each row sums to one."""
    counts = histogram.reshape(len(histogram), BINS, -1).sum(axis=2)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def entropy(histogram: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return Shannon's entropy of the luminance in bits, 0 to 8.

    C. E. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27 (1948), section 6.
    """
    shares = histogram / histogram.sum(axis=1, keepdims=True)
    bits = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(np.abs((shares * bits).sum(axis=1)), dtype=np.float32)


def contrast(of: Levels) -> NDArray[np.float32]:
    """Return the root-mean-square contrast: the standard deviation of luminance on a scale from 0 to 1, 0 to 0.5.

    E. Peli, "Contrast in complex images", Journal of the Optical Society of America A 7 (1990), equation 4.
    """
    return np.asarray(of.std / (LEVELS - 1), dtype=np.float32)


def brightness(of: Levels) -> list[str]:
    """Return the quarter of the scale that an image's mean luminance is in, by its name."""
    quarters = (of.mean / np.float32(LEVELS / len(BRIGHTNESS))).astype(np.intp)
    return [BRIGHTNESS[quarter] for quarter in quarters.tolist()]


def otsu(histogram: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the threshold t that parts values up to t best from those above it; the least t where several do.

    N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and
    Cybernetics 9 (1979): the between-class variance is greatest, equation 18. An image of one value gives 0.
    """
    below = histogram.cumsum(axis=1)
    mass = (histogram * np.arange(LEVELS)).cumsum(axis=1)
    pixels, total = below[:, -1:], mass[:, -1:]
    parted = below * (pixels - below)
    between = np.zeros(histogram.shape)
    difference = (total * below - mass * pixels).astype(np.float64)
    np.divide(difference * difference, parted, out=between, where=parted > 0)
    return np.asarray(between.argmax(axis=1))
