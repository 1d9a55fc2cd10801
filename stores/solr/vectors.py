"""Embeddings in the index: vectors of length 1, so that their product is the cosine, in a field of a usual size.

A field of vectors has its number of dimensions in its type. Zeros behind a vector change neither its length nor any
product, so that embeddings of every size go to few fields.
"""

from collections.abc import Sequence

import numpy as np

from flumen.interceptor.batch import ColumnValues
from flumen.stores.neighbours import unit_vectors
from flumen.stores.solr.schema import VECTORS

_BYTES = 4
_SIZES = tuple(VECTORS.values())


def field_size(dimensions: int) -> int | None:
    """Return the size of the field that an embedding goes to; None where it fits in none."""
    return next((size for size in _SIZES if dimensions <= size), None)


def vectors_of_size(embeddings: Sequence[bytes | None], size: int) -> ColumnValues | None:
    """Return what rows have in the field of this size, None for each that has nothing there; None where all have not.

    Embeddings are float32, little-endian, as the column `embedding` has them.
    """
    lengths = {len(each) for each in embeddings if each}
    lengths = {each for each in lengths if each % _BYTES == 0 and field_size(each // _BYTES) == size}
    found: list[object] = [None] * len(embeddings)
    for length in lengths:
        rows = [row for row, each in enumerate(embeddings) if each and len(each) == length]
        content = b"".join(embeddings[row] or b"" for row in rows)
        vectors = np.zeros((len(rows), size), np.float32)
        vectors[:, : length // _BYTES] = unit_vectors(np.frombuffer(content, "<f4").reshape(len(rows), -1))
        good = np.asarray(np.isfinite(vectors).all(axis=1))
        if len(rows) == len(embeddings) and good.all():
            return vectors
        for row, vector, is_good in zip(rows, vectors, good.tolist(), strict=True):
            found[row] = vector if is_good else None
    return found if lengths else None
