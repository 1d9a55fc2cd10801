"""Delivery: one batch into every store at the same time, off the event loop, in the order of the batches.

A store that has taken a batch goes on with the next, while another still takes it. A store that is down makes the batch
wait; a row that a store refuses for good is returned. While a batch waits, its partitions may become another worker's,
who stores what is newer: before each attempt is asked what is still ours.
"""

import asyncio
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from flumen.interceptor import Batch, Reject
from flumen.interceptor.reasons import shortened
from flumen.stores import Failure, Sink, StoreRefused
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry
from flumen.streams.live.turns import Turn, Turns

Result = TypeVar("Result")

Lost = Callable[[], Set[int]]
"""Returns the partitions, by number, whose images are another worker's now: they are not written any more."""


def nothing_lost() -> Set[int]:
    """Say that all is ours: of images that came from no partition."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class StoreFailure:
    """Which store refused a row for good, and its reason."""

    store: str
    reason: str


class Delivery:
    """Writes batches to all sinks. Each sink has one thread: its driver is never used by two at once."""

    def __init__(self, sinks: Sequence[Sink], metrics: Metrics, retry: Retry) -> None:
        self._sinks = sinks
        self._metrics = metrics
        self._retry = retry
        self._threads = {sink.name: ThreadPoolExecutor(1, f"write-{sink.name}") for sink in sinks}
        self._turns = Turns(self._threads)

    async def connect(self) -> None:
        """Connect every sink at the same time; tables and indexes are created or checked. What is down is waited for.

        Raises:
            StoreError: what the first store says that fails in a way that a retry does not change.
        """
        connecting = [asyncio.ensure_future(self._connect(sink)) for sink in self._sinks]
        try:
            await asyncio.wait(connecting, return_when=asyncio.FIRST_EXCEPTION)
            for connected in connecting:
                if connected.done():
                    connected.result()
        finally:
            for unconnected in connecting:
                unconnected.cancel()
            await asyncio.gather(*connecting, return_exceptions=True)

    async def _connect(self, sink: Sink) -> None:
        await self._retry.until_done(sink.name, lambda: self._in_thread(sink, sink.connect))

    async def write(self, batch: Batch, lost: Lost = nothing_lost) -> list[Reject]:
        """Write a batch to every store, and return the images that one of them refused for good.

        Returns when every other image is in every store, however long a store is down, or is nothing of ours any more.

        Raises:
            StoreError: a store fails in a way that a retry does not change.
        """
        if not len(batch):
            return []
        async with self._turns.take({image.id for image in batch.images}) as turn:
            refusals = await self._store(batch, lost, turn)
        rejects = []
        for row, refusal in sorted(refusals.items()):
            image = batch.images[row]
            reason = (
                f"image {shortened(image.id)!r}: {refusal.store} refused it: {refusal.reason}; publish it with what "
                f"{refusal.store} takes, or correct the interceptor that makes the value"
            )
            rejects.append(Reject(image, refusal.store, StoreRefused(reason)))
        return rejects

    async def close(self) -> None:
        """Close every sink in its own thread."""
        for sink in self._sinks:
            await self._in_thread(sink, sink.close)
            self._threads[sink.name].shutdown(wait=True)

    async def _store(self, batch: Batch, lost: Lost, turn: Turn) -> dict[int, StoreFailure]:
        """Write a batch everywhere; what one store refuses is then in none of them. Returns the refusals by row."""

        async def write(sink: Sink) -> Sequence[Failure]:
            async with turn.at(sink.name):
                return await self._write_until_taken(sink, batch, lost)

        answers = await asyncio.gather(*map(write, self._sinks))
        refusals: dict[int, StoreFailure] = {}
        for sink, failures in zip(self._sinks, answers, strict=True):
            for failure in failures:
                refusals.setdefault(failure.row, StoreFailure(sink.name, failure.reason))
        if not refusals:
            return refusals
        refused = batch.take(sorted(refusals))
        await asyncio.gather(*(self._remove(sink, refused, lost) for sink in self._sinks))
        # Stores know images by their ids: with a refused one go all others of that id.
        ids = {image.id for image in refused.images}
        gone = [row for row, image in enumerate(batch.images) if image.id in ids and row not in refusals]
        later = await self._store(batch.take(gone), lost, turn) if gone else {}
        return refusals | {gone[row]: refusal for row, refusal in later.items()}

    async def _write_until_taken(self, sink: Sink, batch: Batch, lost: Lost) -> Sequence[Failure]:
        started = time.perf_counter()

        async def attempt() -> Sequence[Failure]:
            rows = rows_of_ours(batch, lost())
            failures = await self._in_thread(sink, sink.write, batch.take(rows))
            return [Failure(rows[failure.row], failure.reason) for failure in failures]

        failures = await self._retry.until_done(sink.name, attempt)
        self._metrics.sink_seconds.labels(sink.name).observe(time.perf_counter() - started)
        return failures

    async def _remove(self, sink: Sink, batch: Batch, lost: Lost) -> None:
        async def attempt() -> None:
            await self._in_thread(sink, sink.remove, batch.take(rows_of_ours(batch, lost())))

        await self._retry.until_done(sink.name, attempt)

    async def _in_thread(self, sink: Sink, call: Callable[..., Result], *args: Batch) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[sink.name], call, *args)


def rows_of_ours(batch: Batch, lost: Set[int]) -> Sequence[int]:
    """Return the rows whose partitions are not among those that are another worker's now."""
    if not lost:
        return range(len(batch))
    return [row for row, image in enumerate(batch.images) if image.partition not in lost]
