"""Shapes: what stands out from its background, in how many pieces, and how sharp an image is."""

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.statistics.graphs import connected_components, csr_array
from flumen.interceptor.statistics.sums import sums_and_squares

MIN_OBJECT_PIXELS = 5
MIN_OBJECT_SHARE = 1 / 1000
"""What has fewer pixels than either is a speck and no object."""

_KERNEL = 3


def foreground(luminance: NDArray[np.uint8], threshold: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels stand out from the background: n x height x width.

    The threshold (n values, Otsu's) parts bright from dark; the background is what most of the border is of, the dark
    where both are even. An image of one shade has no foreground.
    """
    count, height, width = luminance.shape
    bright = (luminance.reshape(count, -1) > threshold[:, None]).reshape(luminance.shape)
    border = np.concatenate([bright[:, 0, :], bright[:, -1, :], bright[:, :, 0], bright[:, :, -1]], axis=1)
    mostly_bright = border.sum(axis=1) > height + width
    if mostly_bright.any():
        bright ^= mostly_bright[:, None, None]
    return bright


def share(shapes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of pixels that is set in each of n x height x width images."""
    count, height, width = shapes.shape
    if count == 1:
        return np.array([np.count_nonzero(shapes) / (height * width)], dtype=np.float32)
    flat = shapes.view(np.uint8).reshape(count, -1)
    return np.asarray(flat.sum(axis=1, dtype=np.uint32) / flat.shape[1], dtype=np.float32)


def count_objects(shapes: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return how many connected pieces (8 neighbours) of enough pixels each of n x height x width images has.

    A. Rosenfeld, J. L. Pfaltz, "Sequential Operations in Digital Picture Processing", Journal of the ACM 13 (1966),
    by runs: L. He, Y. Chao, K. Suzuki, "A Run-Based Two-Scan Labeling Algorithm", IEEE Transactions on Image
    Processing 17 (2008). A run is a row's pixels without a gap; runs of rows one above the other are one piece where
    they touch. All images are labelled at once, one above the other, an empty row between them.
    """
    count, height, width = shapes.shape
    # An empty column as well: a run ends with its row, and touches nothing of the next but one.
    row = width + 1
    apart = np.zeros(1 + count * (height + 1) * row, dtype=np.bool_)
    apart[1:].reshape(count, height + 1, row)[:, :height, :width] = shapes
    changed = apart[1:] != apart[:-1]
    changes = np.flatnonzero(changed)
    starts, ends = changes[::2], changes[1::2]
    pieces, piece_of = _joined(changed, changes, row)
    sizes = np.bincount(piece_of, ends - starts, pieces)
    image_of = np.zeros(pieces, dtype=np.intp)
    image_of[piece_of] = starts // ((height + 1) * row)
    least = max(MIN_OBJECT_PIXELS, height * width * MIN_OBJECT_SHARE)
    return np.bincount(image_of[sizes >= least], minlength=count).astype(np.int32)


def _joined(changed: NDArray[np.bool_], changes: NDArray[np.intp], row: int) -> tuple[int, NDArray[np.int32]]:
    """Return how many pieces the runs make, and which of them each run belongs to.

    `changes`: where the runs start and end in turns, the places that are set in `changed`. `row`: the places of a row.
    """
    # Of the row above, a run touches those from the first that does not end before it to the last that has begun.
    above = changes - row
    above[1::2] += 1
    before = _set_before(changed, np.maximum(above, 0, out=above))
    first = before[::2] >> 1
    touched = np.maximum(((before[1::2] + 1) >> 1) - first, 0)
    edges = np.zeros(len(touched) + 1, dtype=np.int32)
    touched.cumsum(out=edges[1:])
    touching = np.arange(edges[-1], dtype=np.int32) + np.repeat(first - edges[:-1], touched)
    graph = csr_array((np.ones(len(touching)), touching, edges), shape=(len(touched), len(touched)))
    pieces, piece_of = connected_components(graph, directed=False)
    return pieces, piece_of


def _set_before(flags: NDArray[np.bool_], places: NDArray[np.intp]) -> NDArray[np.int32]:
    """Return how many of these flags are set before each place.

    Counted for every eighth place once, and within eight by their bits: of many places faster than searching.
    """
    bits = np.packbits(flags)
    counts = np.zeros(len(bits) + 1, dtype=np.int32)
    np.bitwise_count(bits).cumsum(out=counts[1:])
    eighths = places >> 3
    left_out = (8 - (places & 7)).astype(np.uint8)
    return np.asarray(counts[eighths] + np.bitwise_count(bits[eighths] >> left_out))


def sharpness(luminance: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the variance of the Laplacian of n x height x width images: the greater, the sharper.

    J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000,
    LAPV. The kernel has four neighbours; it is applied where all of them exist, and an image with no such place has 0.
    """
    count, height, width = luminance.shape
    if min(height, width) < _KERNEL:
        return np.zeros(count, dtype=np.float32)
    level = luminance.reshape(count, -1).astype(np.int16)
    inner = level[:, width:-width]
    laplacian = level[:, : -2 * width] + level[:, 2 * width :]
    laplacian += level[:, width - 1 : -width - 1]
    laplacian += level[:, width + 1 : level.shape[1] - width + 1]
    laplacian -= inner << 2
    # Row by row in one piece that is fast; at both ends of a row a neighbour was taken from another one.
    rows = laplacian.reshape(count, height - 2, width)
    rows[:, :, 0] = rows[:, :, -1] = 0
    places = (height - 2) * (width - 2)
    total, squares = sums_and_squares(laplacian)
    variance = (places * squares - total**2) / places**2
    return np.asarray(variance, dtype=np.float32)
