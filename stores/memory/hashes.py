"""Giving images in memory their perceptual hash."""

from collections.abc import Mapping

from flumen.stores.errors import StoreClosed
from flumen.stores.hashes import Hashed
from flumen.stores.memory.store import MemoryStore


class MemoryHashes:
    """`flumen.stores.hashes.HashSink` over a memory store."""

    name = "memory"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._is_open = False

    def connect(self) -> None:
        """Take the store."""
        self._store.ask()
        self._is_open = True

    def set_hashes(self, hashes: Mapping[str, Hashed]) -> int:
        """Change the rows that are there."""
        if not self._is_open:
            raise StoreClosed("the hashes in memory are not connected: call connect() first")
        self._store.ask()
        changed = 0
        for image_id, hashed in hashes.items():
            row = self._store.rows.get(image_id)
            if row and row.get("perceptual_hash") is None and row.get("sha256") == hashed.sha256:
                row["perceptual_hash"] = hashed.hash_
                changed += 1
        return changed

    def close(self) -> None:
        """Let go of the store. A second call does nothing."""
        self._is_open = False
