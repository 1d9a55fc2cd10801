"""Looking at what a memory store holds."""

from collections.abc import Mapping
from typing import Any

from flumen.stores.errors import StoreClosed
from flumen.stores.memory.store import MemoryStore


class MemoryReader:
    """Reads one store. See `flumen.stores.sink.Reader`; every method raises `StoreUnavailable` and `StoreClosed`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store: MemoryStore | None = store

    def count(self) -> int:
        """Return how many images are stored."""
        return len(self._rows)

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """Return one image's row, or None. What the caller does to it does not reach the store."""
        row = self._rows.get(image_id)
        return None if row is None else dict(row)

    def close(self) -> None:
        """Let go of the store. A second call does nothing."""
        self._store = None

    @property
    def _rows(self) -> dict[str, dict[str, Any]]:
        if self._store is None:
            raise StoreClosed("the memory reader was closed; make a new one")
        self._store.ask()
        return self._store.rows
