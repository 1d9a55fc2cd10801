"""Delivery: one batch into every store at the same time, off the event loop, in the order of the batches.

A store that has taken a batch goes on with the next, while another still takes it. A store that is down makes the batch
wait; a row that a store refuses for good is returned. While a batch waits, its partitions may become another worker's,
who stores what is newer: before each attempt is asked what is still ours.

What was corrected is looked up before a batch is stored and once more behind that, and mended until nothing differs.
"""

import asyncio
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from flumen.interceptor import Batch, ImageMessage, Reject
from flumen.interceptor.reasons import shortened
from flumen.stores import Failure, Sink, StoreRefused
from flumen.stores.corrections import CurrentCorrections
from flumen.streams.live.corrected import Standings, is_deleted, rows_to_change, split, with_labels
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


@dataclass(frozen=True, slots=True)
class Delivered:
    """What did not come into the stores: images that one refused for good, and the ids of those that are deleted."""

    refused: Sequence[Reject]
    deleted: Set[str]


class Delivery:
    """Writes batches to all sinks. Each sink has one thread: its driver is never used by two at once."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        metrics: Metrics,
        retry: Retry,
        corrections: CurrentCorrections | None = None,
    ) -> None:
        """Make one. `corrections` are those that hold for images in these sinks; None where nobody keeps any."""
        self._sinks = sinks
        self._metrics = metrics
        self._retry = retry
        self._corrections = corrections
        self._threads = {sink.name: ThreadPoolExecutor(1, f"write-{sink.name}") for sink in sinks}
        self._turns = Turns(self._threads)
        self._looking = ThreadPoolExecutor(1, "corrections")

    async def connect(self) -> None:
        """Connect every sink at the same time; tables and indexes are created or checked. What is down is waited for.

        Raises:
            StoreError: what the first store says that fails in a way that a retry does not change.
        """
        connecting = [asyncio.ensure_future(self._connect(sink)) for sink in self._sinks]
        if self._corrections is not None:
            connecting.append(asyncio.ensure_future(self._connect_corrections(self._corrections)))
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

    async def _connect_corrections(self, corrections: CurrentCorrections) -> None:
        await self._retry.until_done(corrections.name, lambda: self._in_looking(corrections.connect))

    async def write(self, batch: Batch, lost: Lost = nothing_lost) -> Delivered:
        """Write a batch to every store; say which images one of them refused for good, and which are deleted ones.

        Returns when every other image is in every store, however long a store is down, or is nothing of ours any more.

        Raises:
            StoreError: a store fails in a way that a retry does not change.
        """
        if not len(batch):
            return Delivered((), frozenset())
        ids = {image.id for image in batch.images}
        async with self._turns.take(ids) as turn:
            refusals, standings = await self._store_corrected(batch, ids, lost, turn)
        deleted = frozenset(image_id for image_id in standings if is_deleted(standings, image_id))
        if deleted:
            self._metrics.deleted_images.inc(sum(image.id in deleted for image in batch.images))
        rejects = []
        for row, refusal in sorted(refusals.items()):
            image = batch.images[row]
            if image.id in deleted:
                continue
            reason = (
                f"image {shortened(image.id)!r}: {refusal.store} refused it: {refusal.reason}; publish it with what "
                f"{refusal.store} takes, or correct the interceptor that makes the value"
            )
            rejects.append(Reject(image, refusal.store, StoreRefused(reason)))
        return Delivered(rejects, deleted)

    async def keep_out(self, images: Sequence[ImageMessage]) -> Set[str]:
        """Say which of these images, which are not to be stored, are deleted ones by now, and take them out.

        The worker before this one may have stored them, and ended before it looked: it may have had another model.
        """
        standings = await self._look({image.id for image in images})
        gone = Batch([image for image in images if is_deleted(standings, image.id)])
        if len(gone):
            await asyncio.gather(*(self._remove(sink, gone, nothing_lost) for sink in self._sinks))
        return {image.id for image in gone.images}

    async def close(self) -> None:
        """Close every sink in its own thread."""
        if self._corrections is not None:
            await self._in_looking(self._corrections.close)
        self._looking.shutdown(wait=True)
        for sink in self._sinks:
            await self._in_thread(sink, sink.close)
            self._threads[sink.name].shutdown(wait=True)

    async def _store_corrected(
        self, batch: Batch, ids: Set[str], lost: Lost, turn: Turn
    ) -> tuple[dict[int, StoreFailure], Standings]:
        """Store a batch as its images have been corrected; what is corrected meanwhile is mended behind that.

        Returns the refusals by row, and what holds for its images.
        """
        refusals: dict[int, StoreFailure] = {}
        rows: Sequence[int] = range(len(batch))
        stored_by = await self._look(ids)
        while rows:
            deleted, kept = split(batch, rows, stored_by)
            if deleted:
                # Also what is another worker's by now: this one may have stored it, before it was deleted.
                gone = batch.take(deleted)
                await asyncio.gather(*(self._remove(sink, gone, nothing_lost) for sink in self._sinks))
            if kept:
                refused = await self._store(with_labels(batch.take(kept), stored_by), lost, turn)
                # With another label, a store may take what it refused before.
                refusals = {row: failure for row, failure in refusals.items() if row not in rows}
                refusals |= {kept[row]: failure for row, failure in refused.items()}
            found = await self._look(ids)
            rows, stored_by = rows_to_change(batch, stored_by, found), found
        return refusals, stored_by

    async def _look(self, ids: Set[str]) -> Standings:
        if self._corrections is None or not ids:
            return {}
        corrections = self._corrections
        started = time.perf_counter()
        found = await self._retry.until_done(
            corrections.name, lambda: self._in_looking(corrections.look, ids)
        )
        self._metrics.corrections_seconds.observe(time.perf_counter() - started)
        return found

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

    async def _in_looking(self, call: Callable[..., Result], *args: Set[str]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._looking, call, *args)

    async def _in_thread(self, sink: Sink, call: Callable[..., Result], *args: Batch) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[sink.name], call, *args)


def rows_of_ours(batch: Batch, lost: Set[int]) -> Sequence[int]:
    """Return the rows whose partitions are not among those that are another worker's now."""
    if not lost:
        return range(len(batch))
    return [row for row, image in enumerate(batch.images) if image.partition not in lost]
