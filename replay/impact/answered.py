"""What two models answer to the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

NO_LABEL = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The answers of two models to some images, image by image.

    `ids`: n. `old`, `new`: the position of each answer among the labels of both models, int64, n; `old_confidence`,
    `new_confidence`: float32, n. `known`: the position of the known label, `NO_LABEL` where none is known, int64, n.
    `columns`: what else is known of the images, an Arrow array of n a column.
    """

    ids: Sequence[str]
    old: NDArray[np.int64]
    new: NDArray[np.int64]
    old_confidence: NDArray[np.float32]
    new_confidence: NDArray[np.float32]
    known: NDArray[np.int64]
    columns: Mapping[str, pa.Array]
