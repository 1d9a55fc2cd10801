"""Changing the known label of images in memory."""

from collections.abc import Mapping

from flumen.stores.errors import StoreClosed
from flumen.stores.memory.store import MemoryStore


class MemoryLabels:
    """`flumen.stores.sink.LabelSink` over a memory store."""

    name = "memory"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._is_open = False

    def connect(self) -> None:
        """Take the store."""
        self._store.ask()
        self._is_open = True

    def set_labels(self, labels: Mapping[str, int | None]) -> None:
        """Change the rows that are there."""
        if not self._is_open:
            raise StoreClosed("the labels in memory are not connected: call connect() first")
        self._store.ask()
        for image_id, label in labels.items():
            if image_id in self._store.rows:
                self._store.rows[image_id]["knownlabel"] = label

    def close(self) -> None:
        """Let go of the store. A second call does nothing."""
        self._is_open = False
