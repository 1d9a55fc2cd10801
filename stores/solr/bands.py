"""Perceptual hashes in the index: found by parts of their bits, as Solr has no function for how many bits differ.

M. Norouzi, A. Punjani, D. J. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012: where two
hashes of four bands differ in at most 4 * f + 3 bits, they differ in at most f bits of some band.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

BANDS = 4
BITS = 16
"""Of a band."""

MOST_BITS = 15
"""Hashes that differ in more bits cannot be looked for: each further four take ten times as many terms."""

_HEX = np.array([tuple(b"%02x" % byte) for byte in range(256)], dtype=np.uint8)
_NUMBERS = np.array([tuple(b"%d:" % band) for band in range(BANDS)], dtype=np.uint8)


def hash_bands(hashes: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Return the bands of n hashes as the index has them, such as b"2:00ff": n x 4."""
    count = len(hashes)
    terms = np.empty((count, BANDS, 6), dtype=np.uint8)
    terms[:, :, :2] = _NUMBERS
    terms[:, :, 2:] = _HEX[hashes.astype(">i8").view(np.uint8)].reshape(count, BANDS, BITS // 4)
    return terms.view("S6")[..., 0]


def terms_within(hash_: int, bits: int) -> list[str]:
    """Return bands of which every hash has at least one that differs from this one in so many bits or fewer.

    Others have one of them, too: how near what is found is, is to be looked at. There are 4 terms within 3 bits, 68
    within 7, 548 within 11, 2,788 within 15.
    """
    changed = list(_flips(bits // BANDS))
    parts = [hash_ >> (BITS * (BANDS - 1 - band)) & ((1 << BITS) - 1) for band in range(BANDS)]
    return [f"{band}:{part ^ flip:04x}" for band, part in enumerate(parts) for flip in changed]


def _flips(most: int) -> Iterator[int]:
    """Yield every band in which so many bits are set, or fewer."""
    for count in range(most + 1):
        for places in combinations(range(BITS), count):
            yield sum(1 << place for place in places)
