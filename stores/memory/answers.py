"""Keeping a challenger's answers in memory."""

from collections.abc import Sequence

from flumen.interceptor.batch import Batch
from flumen.stores.errors import StoreClosed
from flumen.stores.memory.store import MemoryStore


class MemoryAnswers:
    """`flumen.stores.sink.AnswerSink` over a memory store: an answer each, also on the rows that are there."""

    name = "memory"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._connected = False

    def connect(self) -> None:
        """Take the store.

        Raises:
            StoreUnavailable: the store is switched off.
        """
        self._store.ask()
        self._connected = True

    def write(self, batch: Batch) -> None:
        """Add the answers.

        Raises:
            StoreUnavailable: the store is switched off.
            StoreClosed: not connected.
        """
        if not self._connected:
            raise StoreClosed("the memory store is not connected: call connect() first")
        self._store.ask()
        columns = batch.columns
        for row, image in enumerate(batch.images):
            answer = {name: values[row] for name, values in columns.items()}
            self._store.answers[image.id, answer["model"], int(answer["model_version"])] = answer
            if image.id in self._store.rows:
                self._store.rows[image.id]["disagreement"] = bool(answer["disagreement"])

    def remove(self, ids: Sequence[str]) -> None:
        """Forget every answer for these images."""
        self._store.ask()
        for key in [key for key in self._store.answers if key[0] in ids]:
            del self._store.answers[key]

    def close(self) -> None:
        """Forget the connection; the answers stay. A second call does nothing."""
        self._connected = False
