"""Sinks in memory that wait, fail and refuse as they are told, and a delivery into them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from threading import Event

import numpy as np

from flumen.interceptor import Batch, Column, ImageMessage, Kind
from flumen.stores import Failure, Sink, StoreUnavailable
from flumen.stores.memory import MemorySink, MemoryStore
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry

COLUMNS = (Column("id", Kind.STRING, "the id", nullable=False), Column("prediction", Kind.INT32, "the class"))


def batch_of(*ids: str, partition: int | None = None) -> Batch:
    images = [ImageMessage(image_id, b"content", 0, partition=partition) for image_id in ids]
    return Batch(images).with_columns(id=list(ids), prediction=np.arange(len(ids), dtype=np.int32))


class Named:
    """A memory sink under another name, that can be told to fail in between."""

    def __init__(
        self,
        name: str,
        store: MemoryStore,
        fails: Sequence[Exception] = (),
        refuses: Callable[[Batch, int], bool] = lambda _batch, _row: False,
    ) -> None:
        self.name = name
        self._sink = MemorySink(store, COLUMNS)
        self._fails = list(fails)
        self._refuses = refuses
        self.connect, self.remove, self.close = self._sink.connect, self._sink.remove, self._sink.close

    def write(self, batch: Batch) -> Sequence[Failure]:
        rows = [row for row in range(len(batch)) if self._refuses(batch, row)]
        if rows:
            good = [row for row in range(len(batch)) if row not in rows]
            assert not self._sink.write(batch.take(good))
            return [Failure(row, "not this one") for row in rows]
        if self._fails:
            raise self._fails.pop(0)
        return self._sink.write(batch)


def delivery_to(sinks: Sequence[Sink]) -> Delivery:
    metrics = Metrics()
    return Delivery(sinks, metrics, Retry(metrics, Pulse(60), first_pause_s=0.001))


async def delivered(sinks: Sequence[Sink], *batches: Batch) -> list[list[str]]:
    delivery = delivery_to(sinks)
    await delivery.connect()
    try:
        return [[reject.image.id for reject in (await delivery.write(batch)).refused] for batch in batches]
    finally:
        await delivery.close()


class Held(Named):
    """Takes nothing before it may go on."""

    def __init__(
        self,
        name: str,
        store: MemoryStore,
        goes_on: Event,
        refuses: Callable[[Batch, int], bool] = lambda _batch, _row: False,
    ) -> None:
        super().__init__(name, store, refuses=refuses)
        self.goes_on = goes_on

    def write(self, batch: Batch) -> Sequence[Failure]:
        assert self.goes_on.wait(60)
        return super().write(batch)


class Seen(Named):
    """Tells when it has stored an image of one of these ids."""

    def __init__(self, name: str, store: MemoryStore, stored: Mapping[str, asyncio.Event]) -> None:
        super().__init__(name, store)
        self._loop = asyncio.get_running_loop()
        self._stored = stored

    def write(self, batch: Batch) -> Sequence[Failure]:
        failures = super().write(batch)
        for image in batch.images:
            if image.id in self._stored:
                self._loop.call_soon_threadsafe(self._stored[image.id].set)
        return failures


class Waiting(Named):
    """Down from the first write on, until it is back."""

    def __init__(self, name: str, store: MemoryStore, down: asyncio.Event, back: asyncio.Event) -> None:
        super().__init__(name, store)
        self._loop = asyncio.get_running_loop()
        self._down, self._back = down, back

    def write(self, batch: Batch) -> Sequence[Failure]:
        if not self._back.is_set():
            self._loop.call_soon_threadsafe(self._down.set)
            raise StoreUnavailable("down")
        return super().write(batch)


class Unconnected(Named):
    """Fails to connect for these reasons, one after another."""

    def __init__(self, name: str, store: MemoryStore, fails: Sequence[Exception]) -> None:
        super().__init__(name, store)
        failures, connect = list(fails), self.connect

        def fail_first() -> None:
            if failures:
                raise failures.pop(0)
            connect()

        self.connect = fail_first
