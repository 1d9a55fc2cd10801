"""Writing micro-batches into memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from flumen.interceptor.batch import Batch, plain
from flumen.interceptor.columns import Column
from flumen.stores.errors import StoreClosed
from flumen.stores.memory.schema import check_columns
from flumen.stores.memory.store import MemoryStore
from flumen.stores.sink import Failure
from flumen.stores.values import refusal


class MemorySink:
    """Upserts one row an image: the declared columns, and the image itself as `image`."""

    name = "memory"

    def __init__(self, store: MemoryStore, columns: Sequence[Column]) -> None:
        self._store = store
        self._columns = tuple(columns)
        self._connected = False

    def connect(self) -> None:
        """Take the store's columns, or set them.

        Raises:
            StoreUnavailable: the store is switched off.
            SchemaMismatch: it has other columns.
        """
        self._store.ask()
        if self._store.columns is None:
            self._store.columns = self._columns
        check_columns(self._store.columns, self._columns)
        self._connected = True

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Upsert every row and return those refused, in order of rows.

        Raises:
            StoreUnavailable: the store is switched off.
            StoreClosed: not connected.
        """
        if not self._connected:
            raise StoreClosed("the memory sink is not connected: call connect() first")
        if not len(batch):
            return ()
        self._store.ask()
        columns = [
            (column, plain(batch.columns.get(column.name, [None] * len(batch)))) for column in self._columns
        ]
        failures = []
        for row, image in enumerate(batch.images):
            cells = [(column, values[row]) for column, values in columns]
            reason = next((text for text in (refusal(*cell) for cell in cells) if text), None)
            if reason is None:
                stored = {column.name: value for column, value in cells}
                self._keep_superseded(stored)
                self._store.rows[stored["id"]] = {**stored, "image": image.content}
            else:
                failures.append(Failure(row, reason))
        return failures

    def remove(self, batch: Batch) -> None:
        """Forget the rows of these images, and all answers for them.

        Raises:
            StoreUnavailable: the store is switched off.
            StoreClosed: not connected.
        """
        if not self._connected:
            raise StoreClosed("the memory sink is not connected: call connect() first")
        self._store.ask()
        for image in batch.images:
            self._store.rows.pop(image.id, None)
            for key in [key for key in self._store.answers if key[0] == image.id]:
                del self._store.answers[key]

    def _keep_superseded(self, stored: Mapping[str, Any]) -> None:
        former = self._store.rows.get(stored["id"], {})
        model, version = former.get("model"), former.get("model_version")
        if model is None or version is None:
            return
        if (model, version) != (stored["model"], stored["model_version"]):
            answer = {name: value for name, value in former.items() if name != "image"}
            self._store.answers[stored["id"], model, version] = answer

    def close(self) -> None:
        """Forget the connection; the rows stay. A second call does nothing."""
        self._connected = False
