"""Looking in memory for images that a model sees near one: each is held against it."""

import numpy as np

from flumen.stores.errors import NoEmbedding, NoSuchImage
from flumen.stores.memory.store import MemoryStore
from flumen.stores.neighbours import SIMILARITY, FoundNeighbours, unit_vectors


class MemoryNeighbours:
    """`flumen.stores.neighbours.NeighbourReader` over a memory store, exact; it has no language for queries."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def find_neighbours(self, image_id: str, query: str = "*:*", rows: int = 10) -> FoundNeighbours:
        """Return the nearest."""
        assert query == "*:*"
        self._store.ask()
        asked = self._store.rows.get(image_id)
        if asked is None:
            raise NoSuchImage(f"there is no image {image_id!r}")
        made_by = (asked["model"], asked["model_version"])
        others = [
            row
            for row in self._store.rows.values()
            if row["id"] != image_id
            and (row["model"], row["model_version"]) == made_by
            and row.get("embedding")
        ]
        embeddings = [each.get("embedding") or b"" for each in (asked, *others)]
        if not embeddings[0]:
            raise NoEmbedding(f"the image {image_id!r} has no embedding")
        vectors = unit_vectors(np.frombuffer(b"".join(embeddings), "<f4").reshape(len(embeddings), -1))
        if not np.isfinite(vectors[0]).all():
            raise NoEmbedding(f"the image {image_id!r} has an embedding of zeros")
        similar = [
            {SIMILARITY: float(cosine), **row}
            for row, cosine in zip(others, vectors[1:] @ vectors[0], strict=True)
            if np.isfinite(cosine)
        ]
        nearest = sorted(similar, key=lambda row: (-row[SIMILARITY], row["id"]))
        return FoundNeighbours(asked["model"], int(asked["model_version"]), nearest[:rows])
