"""Which side of a split an image is on: by a hash of its id, or of its group, so that it stays there for ever.

The hash is BLAKE2b of 8 bytes over the UTF-8 of the text, with the salt `flumen.split/1`, read as a big-endian number
and divided by 2**64: a share u from 0 up to 1. Below `test` of the split the image is one to test on; below
`test + validation` one to choose by; else one to learn from. Nothing else counts, so data that grow move no image, and
a larger validation share takes images from those to learn from and none from those to test on.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.models.errors import DatasetInvalid

SALT = b"flumen.split/1"
TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")
"""The name of each side."""

_RANGE = 2**64


@dataclass(frozen=True, slots=True)
class Split:
    """The shares of the images that are to choose by and to test on; the others are to learn from.

    Raises:
        DatasetInvalid: a share is not from 0 up to 1, or there is nothing left to learn from.
    """

    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        # Not a chain of comparisons that a NaN would slip through.
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise DatasetInvalid(
                f"the shares {self.validation} to choose by and {self.test} to test on: each is 0 or more, and "
                "together they are below 1, for there has to be something to learn from"
            )

    def sides(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the side of each image by the hash of its group: `TRAIN`, `VALIDATION` or `TEST`."""
        sides = np.full(len(hashes), TRAIN, np.uint8)
        sides[_below(hashes, self.test + self.validation)] = VALIDATION
        sides[_below(hashes, self.test)] = TEST
        return sides


def split_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hash of each text, as the module says."""
    digests = b"".join(
        [
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=SALT).digest()
            for text in texts
        ]
    )
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def _below(hashes: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    # The share is below 1, so the bound is a number of 64 bits.
    return hashes < np.uint64(int(share * _RANGE))
