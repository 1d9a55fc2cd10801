"""Writing micro-batches into memory."""

from collections.abc import Sequence

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
                self._store.rows[stored["id"]] = {**stored, "image": image.content}
            else:
                failures.append(Failure(row, reason))
        return failures

    def remove(self, batch: Batch) -> None:
        """Forget the rows of these images.

        Raises:
            StoreUnavailable: the store is switched off.
            StoreClosed: not connected.
        """
        if not self._connected:
            raise StoreClosed("the memory sink is not connected: call connect() first")
        self._store.ask()
        for image in batch.images:
            self._store.rows.pop(image.id, None)

    def close(self) -> None:
        """Forget the connection; the rows stay. A second call does nothing."""
        self._connected = False
