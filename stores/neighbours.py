"""Images that a model sees near one another: what is asked for, and what a store answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SIMILARITY = "similarity"
"""What each row has beside its columns: the cosine between its embedding and the one that is asked about, -1 to 1."""


@dataclass(frozen=True, slots=True)
class FoundNeighbours:
    """The images whose embeddings, made by the same version of the same model, lie nearest; the nearest first."""

    model: str
    model_version: int
    rows: Sequence[Mapping[str, Any]]


class NeighbourReader(Protocol):
    """Looking for images that a model sees near one."""

    def find_neighbours(self, image_id: str, query: str = "*:*", rows: int = 10) -> FoundNeighbours:
        """Return the images nearest to one, at most `rows`, without itself; of those that match `query`.

        Raises:
            NoSuchImage: no image has that id.
            NoEmbedding: its row has none: the model that classified it names none, or gives it one of zeros.
        """


def unit_vectors(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return embeddings, n x dimensions, each of length 1.

    What has no direction, as it is zero or holds what is no number, is NaN.
    """
    numbers = np.asarray(embeddings, np.float64)
    with np.errstate(all="ignore"):
        vectors = numbers / np.sqrt(np.square(numbers).sum(axis=1, keepdims=True))
    return np.asarray(vectors, np.float32)
