"""Exact sums of 16-bit differences of pixels, image by image."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32_768
_SPAN = 2_048
"""So many squares of numbers of up to 1,023 are below 2 ** 31: they are added up as int32, and these sums as int64."""


def blocks(pixels: int) -> Iterator[slice]:
    """Yield the parts of an image's pixels whose wider copies are small.

    Large ones come from the system page by page, which takes longer than the arithmetic.
    """
    for start in range(0, pixels, _BLOCK):
        yield slice(start, min(start + _BLOCK, pixels))


def sums(values: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return the sum of each row, n x places in, n out; the values are -1,023 to 1,023."""
    return _in_spans(values)


def sums_of_squares(values: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return the sum of the squares of each row, n x places in, n out; the values are -1,023 to 1,023."""
    total = np.zeros(len(values), dtype=np.int64)
    for block in blocks(values.shape[1]):
        total += _in_spans(np.multiply(values[:, block], values[:, block], dtype=np.int32))
    return total


def _in_spans(values: NDArray[np.int16] | NDArray[np.int32]) -> NDArray[np.int64]:
    spans = np.arange(0, values.shape[1], _SPAN)
    partial = np.add.reduceat(values, spans, axis=1, dtype=np.int32)
    return np.asarray(partial.sum(axis=1, dtype=np.int64))
