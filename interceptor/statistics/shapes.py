"""Shapes: what stands out from its background, in how many pieces, and how sharp an image is."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MIN_OBJECT_PIXELS = 5
MIN_OBJECT_SHARE = 1 / 1000
"""What has fewer pixels than either is a speck and no object."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
_KERNEL = 3


def foreground(luminance: NDArray[np.uint8], threshold: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which pixels stand out from the background: n x height x width.

    The threshold (n values, Otsu's) parts bright from dark; the background is what most of the border is of, the dark
    where both are even. An image of one shade has no foreground.
    """
    bright = luminance > threshold[:, None, None]
    border = np.concatenate([bright[:, 0, :], bright[:, -1, :], bright[:, :, 0], bright[:, :, -1]], axis=1)
    mostly_bright = 2 * border.sum(axis=1) > border.shape[1]
    return np.asarray(bright ^ mostly_bright[:, None, None])


def count_objects(shapes: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return how many connected pieces (8 neighbours) of enough pixels each of n x height x width images has.

    A. Rosenfeld, J. L. Pfaltz, "Sequential Operations in Digital Picture Processing", Journal of the ACM 13 (1966).
    All images are labelled at once, one above the other, an empty row between them.
    """
    count, height, width = shapes.shape
    apart = np.zeros((count, height + 1, width), dtype=bool)
    apart[:, :height] = shapes
    labels, pieces = ndimage.label(apart.reshape(-1, width), _EIGHT_NEIGHBOURS)
    flat = labels.ravel()
    places = np.flatnonzero(flat)
    sizes = np.bincount(flat[places], minlength=pieces + 1)
    image_of = np.zeros(pieces + 1, dtype=np.intp)
    image_of[flat[places]] = places // ((height + 1) * width)
    least = max(MIN_OBJECT_PIXELS, height * width * MIN_OBJECT_SHARE)
    return np.bincount(image_of[sizes >= least], minlength=count).astype(np.int32)


def sharpness(luminance: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the variance of the Laplacian of n x height x width images: the greater, the sharper.

    J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000,
    LAPV. The kernel has four neighbours; it is applied where all of them exist, and an image with no such place has 0.
    """
    count, height, width = luminance.shape
    if min(height, width) < _KERNEL:
        return np.zeros(count, dtype=np.float32)
    level = luminance.astype(np.int16)
    laplacian = level[:, :-2, 1:-1] + level[:, 2:, 1:-1] + level[:, 1:-1, :-2] + level[:, 1:-1, 2:]
    laplacian -= 4 * level[:, 1:-1, 1:-1]
    values = laplacian.reshape(count, -1).astype(np.int64)
    places = values.shape[1]
    total = values.sum(axis=1)
    squares = np.einsum("ij,ij->i", values, values)
    return np.asarray((places * squares - total**2) / places**2, dtype=np.float32)
