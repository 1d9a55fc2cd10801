"""Exact sums of 16-bit differences of pixels, image by image."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32_768
_SPAN = 2_048
"""So many squares of numbers of up to 1,023 are below 2 ** 31: they are added up as int32, and these sums as int64."""

_AT_ONCE = 4 * _BLOCK
"""So many values of long rows are added up as float64, by BLAS: fastest, and exact for whole numbers below 2 ** 53."""


def blocks(pixels: int) -> Iterator[slice]:
    """Yield the parts of an image's pixels whose wider copies are small.

    Large ones come from the system page by page, which takes longer than the arithmetic.
    """
    for start in range(0, pixels, _BLOCK):
        yield slice(start, min(start + _BLOCK, pixels))


def sums_and_squares(values: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return the sum of each row, and that of its squares: n x places in, 2 x n out; the values are -1,023 to 1,023."""
    if values.size <= _AT_ONCE and values.shape[1] >= _SPAN:
        exact = values.astype(np.float64)
        return np.array([exact.sum(axis=1), np.vecdot(exact, exact)]).astype(np.int64)
    total = np.zeros((2, len(values)), dtype=np.int64)
    for block in blocks(values.shape[1]):
        wide = values[:, block].astype(np.int32)
        total[0] += _in_spans(wide)
        wide *= wide
        total[1] += _in_spans(wide)
    return total


def _in_spans(values: NDArray[np.int32]) -> NDArray[np.int64] | NDArray[np.int32]:
    count, places = values.shape
    if places < _SPAN:
        return np.asarray(values.sum(axis=1, dtype=np.int32))
    whole = places // _SPAN * _SPAN
    spans = values[:, :whole].reshape(count, -1, _SPAN).sum(axis=2, dtype=np.int32)
    total = spans.sum(axis=1, dtype=np.int64)
    return np.asarray(total if whole == places else total + values[:, whole:].sum(axis=1, dtype=np.int32))
