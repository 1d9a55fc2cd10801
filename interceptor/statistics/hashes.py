"""A perceptual hash: 63 bits that stay nearly the same when a picture is encoded anew, scaled, or made brighter.

The signs of the lowest frequencies of the luminance's discrete cosine transform: C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2, there with the median in place of zero. As the
cosines are whole numbers, each sum is exact, and a hash is the same on every machine and in every batch.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIDE = 8
"""So many frequencies each way."""

_SAMPLES = 128
"""Lines and columns that are looked at, at most: of more, one of every few."""
_SCALE = 500
"""What a cosine of 1 is: 255 levels by that by `_SAMPLES` is below 2 ** 24, which float32 adds up exactly."""
_FAINT = 0.05
"""Of the root mean square of all frequencies: a fainter one counts as absent, so that no noise decides its sign."""
_AT_ONCE = 100_000
"""Pixels that are transformed at once: what lies between stays in the processor's cache."""


def frequencies(luminance: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the lowest frequencies of n x height x width images, whole numbers: n x 64.

    The one at 8 * down + across has so many half waves down and across the image. The first, the mean, is 0, as it says
    nothing of what is to be seen. All are 0 of an image of one shade, and of one with fewer than 8 pixels a side.
    """
    count, height, width = luminance.shape
    if min(height, width) < SIDE:
        return np.zeros((count, SIDE * SIDE))
    size = max(1, _AT_ONCE // (height * width))
    if count <= size:
        return _transformed(luminance)
    parts = [_transformed(luminance[start : start + size]) for start in range(0, count, size)]
    return np.concatenate(parts)


def perceptual_hashes(of: NDArray[np.float64]) -> NDArray[np.int64] | list[int | None]:
    """Return the hash of each of n images by their frequencies: 0 to 2 ** 63 - 1, null where all of these are 0.

    A frequency's bit has the worth 2 ** (63 - its place). It is set where the frequency is positive and not faint.
    """
    power = np.einsum("nf,nf->n", of, of) / of.shape[1]
    faint = _FAINT * np.sqrt(power)
    hashes = np.packbits(of > faint[:, None], axis=1).view(">i8").ravel().astype(np.int64)
    if power.all():
        return hashes
    return [value if seen else None for value, seen in zip(hashes.tolist(), power.tolist(), strict=True)]


def distances(hashes: NDArray[np.int64], of: int) -> NDArray[np.uint8]:
    """Return in how many bits each of n hashes differs from one: 0 to 63."""
    return np.asarray(np.bitwise_count(hashes ^ np.int64(of)))


def _transformed(luminance: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the frequencies by two products of matrices: all images one above the other, then side by side."""
    count, height, width = luminance.shape
    lines, down = _cosines(height)
    columns, across = _cosines(width)
    rows = luminance[:, lines, columns].reshape(-1, across.shape[1]).astype(np.float32) @ across.T
    beside = rows.reshape(count, -1, SIDE).transpose(1, 0, 2).astype(np.float64)
    found = down.astype(np.float64) @ beside.reshape(len(beside), -1)
    found = found.reshape(SIDE, count, SIDE).transpose(1, 0, 2).reshape(count, -1)
    found[:, 0] = 0
    return found


@lru_cache(maxsize=256)
def _cosines(length: int) -> tuple[slice, NDArray[np.float32]]:
    """Return which of so many pixels are looked at, and the cosines there: 8 x samples, whole numbers.

    Each row but the first adds up to zero, so that a brighter picture is the same picture.
    """
    step = -(-length // _SAMPLES)
    places = np.arange((length - 1) % step // 2, length, step)
    angles = np.pi * np.arange(SIDE)[:, None] * (places + 0.5) / length
    cosines = np.rint(_SCALE * np.cos(angles))
    for half_waves in range(1, SIDE):
        whole, rest = divmod(int(cosines[half_waves].sum()), len(places))
        cosines[half_waves] -= whole
        cosines[half_waves, np.arange(rest) * len(places) // max(rest, 1)] -= 1
    return slice(int(places[0]), None, step), cosines.astype(np.float32)
