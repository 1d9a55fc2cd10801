"""What the console needs of the stores, as small Protocols, and how many ask them at once.

The stores' readers block and are used by one thread each: they are lent out, one to a call, on threads of their own.
A store that does not answer holds up those who ask for it, and nobody else.
"""

import asyncio
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pyarrow as pa

from flumen.interceptor import Column
from flumen.replay.corrections import Corrector
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu import Predicate
from flumen.stores.neighbours import FoundNeighbours
from flumen.stores.solr.alike import FoundAlike
from flumen.stores.solr.search import Found, Search
from flumen.stores.solr.spans import Box, Heat, Spread

if TYPE_CHECKING:
    from flumen.console.models.service import Models

Reader = TypeVar("Reader", bound="Closable")
Answer = TypeVar("Answer")


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Release the connection."""


class ReadIndex(Closable, Protocol):
    """What is needed of a `SolrReader`."""

    def find(self, search: Search) -> Found:
        """Ask a question, and return what was found."""

    def find_spreads(self, search: Search, columns: Sequence[Column]) -> Sequence[Spread]:
        """Return how the values of columns spread among what is asked for."""

    def find_heat(self, search: Search, box: Box = ...) -> Heat:
        """Return how many images of what is asked for were taken where."""

    def find_neighbours(
        self, image_id: str, query: str = ..., rows: int = ..., fields: Mapping[str, str] | None = ...
    ) -> FoundNeighbours:
        """Return the images that the image's model sees near it."""

    def find_alike(self, image_id: str, search: Search, within: int) -> FoundAlike:
        """Return the images whose hash differs from the image's in few bits."""


class ReadRows(Closable, Protocol):
    """What is needed of a `KuduReader`."""

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """Return one image's row, or None."""

    def read_image(self, image_id: str) -> bytes:
        """Return an image as it was published."""

    def read_view(self, image_id: str) -> bytes:
        """Return what the classifier saw of it, as PGM or PPM."""

    def tables(self) -> Sequence[str]:
        """Return the names of the tables."""

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows that meet every predicate."""


class Lent(Generic[Reader]):
    """Readers of one store, lent to one call each; `count` of them at most. `what` is the store's name for people.

    One that has failed is closed, and another is opened for the next call.
    """

    def __init__(self, what: str, open_reader: Callable[[], Reader], count: int, patience_s: float) -> None:
        self.what = what
        self._open = open_reader
        self._free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=what.lower())
        self._patience_s = patience_s

    async def ask(self, question: Callable[[Reader], Answer], patience_s: float | None = None) -> Answer:
        """Return what a reader answers, within so many seconds; else the console's own.

        Raises:
            StoreUnavailable: it took too long; or whatever the question raises.
        """
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)
        try:
            return await asyncio.wait_for(asyncio.shield(asked), patience_s or self._patience_s)
        except TimeoutError:
            # Who waits in the queue is taken out of it; who is being answered keeps a thread until then.
            asked.cancel()
            raise StoreUnavailable(
                f"{self.what} has not answered within {patience_s or self._patience_s:.0f} s; `flumen status` and its "
                "log say more"
            ) from None

    def close(self) -> None:
        """Close every reader that is not lent, and wait for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while not self._free.empty():
            self._free.get_nowait().close()

    def _ask(self, question: Callable[[Reader], Answer]) -> Answer:
        try:
            reader = self._free.get_nowait()
        except queue.Empty:
            reader = self._open()
        try:
            answer = question(reader)
        except StoreUnavailable:
            reader.close()
            raise
        except BaseException:
            self._free.put(reader)
            raise
        self._free.put(reader)
        return answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where images are: the index that is searched, the rows, and what corrects them on somebody's behalf.

    `groups` are the columns of an image's row, by the step that they come from. `classes` tells a model's labels by its
    name and version; of a model that is not known, none. `searchable` lets searches see what was changed. `models` is
    what the pages of models need.
    """

    index: Lent[ReadIndex]
    rows: Lent[ReadRows]
    groups: Mapping[str, Sequence[Column]]
    corrector: Callable[[str, str], AbstractContextManager[Corrector]]
    classes: Callable[[str, int], Sequence[str]]
    searchable: Callable[[], None]
    models: "Models"

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of a row, in their order."""
        return tuple(column for columns in self.groups.values() for column in columns)
