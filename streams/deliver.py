"""Delivery: one batch into every store at the same time, off the event loop, in the order of the batches.

A store that is down makes the batch wait; a row that a store refuses for good is returned.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from interceptor import Batch, Reject
from stores import Failure, Sink, StoreRefused
from streams.metrics import Metrics
from streams.patience import Patience

Result = TypeVar("Result")


class Delivery:
    """Writes batches to all sinks. Each sink has one thread: its driver is never used by two at once."""

    def __init__(self, sinks: Sequence[Sink], metrics: Metrics, patience: Patience) -> None:
        self._sinks = sinks
        self._metrics = metrics
        self._patience = patience
        self._threads = {sink.name: ThreadPoolExecutor(1, f"write-{sink.name}") for sink in sinks}
        # Fair, so batches are stored in the order they were taken: the last of two images with one id wins.
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Connect every sink at the same time; tables and indexes are created or checked.

        Raises:
            StoreError: what the first failing store says.
        """
        connecting = (self._in_thread(sink, sink.connect) for sink in self._sinks)
        # All are waited for, also where one fails: a driver that is still at work could not be closed.
        for outcome in await asyncio.gather(*connecting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def write(self, batch: Batch) -> list[Reject]:
        """Write a batch to every store, and return the images that one of them refused for good.

        Returns when every other image is in every store, however long a store is down.

        Raises:
            StoreError: a store fails in a way that a retry does not change.
        """
        if not len(batch):
            return []
        async with self._turn:
            refused = await asyncio.gather(*(self._write_until_taken(sink, batch) for sink in self._sinks))
            await self._take_back(batch, refused)
        rejects: dict[int, Reject] = {}
        for sink, failures in zip(self._sinks, refused, strict=True):
            for failure in failures:
                image = batch.images[failure.row]
                reason = f"image {image.id!r}: {sink.name} refused it: {failure.reason}"
                rejects.setdefault(failure.row, Reject(image, sink.name, StoreRefused(reason)))
        return [rejects[row] for row in sorted(rejects)]

    async def close(self) -> None:
        """Close every sink in its own thread."""
        for sink in self._sinks:
            await self._in_thread(sink, sink.close)
            self._threads[sink.name].shutdown(wait=True)

    async def _take_back(self, batch: Batch, refused: Sequence[Sequence[Failure]]) -> None:
        """Remove what one store refused from the others: a dead letter is in no store."""
        refused_rows = [{failure.row for failure in failures} for failures in refused]
        everywhere = set().union(*refused_rows)
        for sink, rows in zip(self._sinks, refused_rows, strict=True):
            if stored := sorted(everywhere - rows):
                remove = partial(self._in_thread, sink, sink.remove, batch.take(stored))
                await self._patience.outlast(sink.name, remove)

    async def _write_until_taken(self, sink: Sink, batch: Batch) -> Sequence[Failure]:
        started = time.perf_counter()
        write = partial(self._in_thread, sink, sink.write, batch)
        failures: Sequence[Failure] = await self._patience.outlast(sink.name, write)
        self._metrics.sink_seconds.labels(sink.name).observe(time.perf_counter() - started)
        return failures

    async def _in_thread(self, sink: Sink, call: Callable[..., Result], *args: Batch) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[sink.name], call, *args)
