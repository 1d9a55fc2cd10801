"""The seam for giving images that are stored already the perceptual hash that they came without."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hashed:
    """The perceptual hash of an image, and the sha256 of the bytes that it was computed from, where its row has one."""

    hash_: int
    sha256: str | None


class HashSink(Protocol):
    """Gives images their perceptual hash. One thread at a time uses it."""

    @property
    def name(self) -> str:
        """The store's name, such as `kudu`."""

    def connect(self) -> None:
        """Open the store.

        Raises:
            StoreError: it does not answer, or is not the one that is expected.
        """

    def set_hashes(self, hashes: Mapping[str, Hashed]) -> int:
        """Give hashes to images that are there, have none, and are those that were hashed; return how many got one.

        No image is made. One that is replaced at the same time ends with the hash that came with it, or without.

        Raises:
            StoreUnavailable: nothing is known about any image; set them again.
            StoreRefused: no image is to blame: the table or index was altered or is gone.
        """

    def close(self) -> None:
        """Release connections. A second call does nothing."""
