"""Models in memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flumen.stores.errors import StoreClosed, StoreRefused
from flumen.stores.memory.store import MemoryStore
from flumen.stores.model_index import COLUMNS, ModelEntry
from flumen.stores.values import refusal


class MemoryModelIndex:
    """Models in a store's `models`, as `flumen.stores.model_index.ModelIndex` promises."""

    def __init__(self, store: MemoryStore) -> None:
        store.ask()
        self._store = store
        self._is_open = True

    def put(self, entries: Iterable[ModelEntry]) -> None:
        """Write entries, each in the place of the one of its id.

        Raises:
            StoreRefused: a value is not of its column's kind, or does not fit it.
        """
        self._check()
        for entry in entries:
            row = {column.name: entry.row[column.name] for column in COLUMNS if column.name in entry.row}
            for column in COLUMNS:
                if column.name in row and (reason := refusal(column, row[column.name])):
                    raise StoreRefused(f"the memory store does not take {entry.id}: {reason}")
            self._store.models[entry.id] = row

    def get(self, model: str, version: int) -> Mapping[str, Any] | None:
        """Return the row of a version, or None."""
        self._check()
        return self._store.models.get(f"{model}@{version}")

    def ids(self) -> Sequence[str]:
        """Return the ids of all entries, sorted."""
        self._check()
        return sorted(self._store.models)

    def close(self) -> None:
        """Forget the store. A second call does nothing."""
        self._is_open = False

    def _check(self) -> None:
        if not self._is_open:
            raise StoreClosed("the model index was closed; make a new one")
        self._store.ask()
