"""The order of the images in an epoch: shuffled by a seed, another one each epoch, the same on every machine.

Each position is hashed with the seed and the epoch by the finaliser of SplitMix64, and the positions are sorted by
their hashes. Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014, and the
constants of its public reference, https://prng.di.unimi.it/splitmix64.c. The finaliser maps numbers of 64 bits one to
one, so no two hashes are equal and the order does not depend on how it is sorted.
"""

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the positions 0 to `count` - 1 in the order of an epoch: int64. To go on at a position, slice it there.

    It takes 24 bytes of memory an image while it is made, and 8 afterwards.
    """
    key = _mixed(_mixed(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch % 2**64))
    return np.argsort(_mixed(np.arange(count, dtype=np.uint64) ^ key))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix numbers of 64 bits; what goes beyond them is dropped, as in C."""
    values = values + _STEP  # a copy, which the next lines change
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
    return values
