import asyncio
from collections.abc import Callable, Mapping, Sequence
from threading import Event

import numpy as np
import pytest

from flumen.interceptor import Batch, Column, ImageMessage, Kind, Reject
from flumen.interceptor.batch import joined
from flumen.stores import Failure, SchemaMismatch, Sink, StoreClosed, StoreUnavailable
from flumen.stores.memory import MemorySink, MemoryStore
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.health import Pulse
from flumen.streams.live.ledger import OffsetLedger
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
        return [[reject.image.id for reject in await delivery.write(batch)] for batch in batches]
    finally:
        await delivery.close()


def test_every_store_gets_the_batch() -> None:
    stores = [MemoryStore(), MemoryStore()]
    sinks = [Named("one", stores[0]), Named("two", stores[1])]
    assert asyncio.run(delivered(sinks, batch_of("a", "b"), batch_of(), batch_of("b"))) == [[], [], []]
    assert [sorted(store.rows) for store in stores] == [["a", "b"], ["a", "b"]]


def test_a_store_that_is_down_is_waited_for() -> None:
    store = MemoryStore()
    sink = Named("slow", store, [StoreUnavailable("down"), StoreUnavailable("still down")])
    assert asyncio.run(delivered([sink], batch_of("a"))) == [[]]
    assert sorted(store.rows) == ["a"]


def test_a_refused_image_is_returned_once_with_its_reason() -> None:
    stores = [MemoryStore(), MemoryStore()]
    sinks = [Named("one", stores[0]), Named("two", stores[1])]
    too_long = "x" * 40_000

    async def run() -> None:
        delivery = delivery_to(sinks)
        await delivery.connect()
        (reject,) = await delivery.write(batch_of("a", too_long, "b"))
        assert reject.image.id == too_long
        assert reject.stage == "one"
        # The id alone is longer than a dead letter's reason may be.
        assert (
            "one refused it: id has 40000 bytes, more than 16384; publish it with" in str(reject.error)[:250]
        )
        await delivery.close()

    asyncio.run(run())
    assert [sorted(store.rows) for store in stores] == [["a", "b"], ["a", "b"]]


def test_what_a_retry_does_not_change_is_raised() -> None:
    sink = Named("broken", MemoryStore(), [StoreClosed("gone")])
    with pytest.raises(StoreClosed, match="gone"):
        asyncio.run(delivered([sink], batch_of("a")))


def test_batches_are_stored_in_their_order_though_one_has_to_wait() -> None:
    store = MemoryStore()
    sink = Named("slow", store, [StoreUnavailable("down")])
    first, second = batch_of("a"), batch_of("a").with_columns(prediction=np.array([7], dtype=np.int32))

    async def run() -> None:
        delivery = delivery_to([sink])
        await delivery.connect()
        await asyncio.gather(delivery.write(first), delivery.write(second))
        await delivery.close()

    asyncio.run(run())
    assert store.rows["a"]["prediction"] == 7


def test_a_store_goes_on_with_the_next_batch_while_another_still_takes_one() -> None:
    stores = [MemoryStore(), MemoryStore()]
    first, second = batch_of("a"), batch_of("b")

    async def run() -> None:
        held = Held("held", stores[1], Event())
        quick = Seen("quick", stores[0], {"b": (seen := asyncio.Event())})
        delivery = delivery_to([quick, held])
        await delivery.connect()
        writing = [asyncio.create_task(delivery.write(batch)) for batch in (first, second)]
        await seen.wait()
        assert not stores[1].rows
        held.goes_on.set()
        await asyncio.gather(*writing)
        await delivery.close()

    asyncio.run(run())
    assert [sorted(store.rows) for store in stores] == [["a", "b"], ["a", "b"]]


def test_what_is_taken_back_is_nothing_of_a_later_batch() -> None:
    """The first `x` is refused by the one store, and has to be taken out of the other, where the second follows."""
    stores = [MemoryStore(), MemoryStore()]
    first, second = batch_of("a", "x"), batch_of("x")

    async def run() -> list[list[Reject]]:
        held = Held("held", stores[1], Event(), lambda batch, row: batch.columns["prediction"][row] == 1)
        seen = asyncio.Event()
        delivery = delivery_to([Seen("quick", stores[0], {"a": seen}), held])
        await delivery.connect()
        writing = [asyncio.create_task(delivery.write(batch)) for batch in (first, second)]
        await seen.wait()
        held.goes_on.set()
        rejects = await asyncio.gather(*writing)
        await delivery.close()
        return rejects

    refused, stored = asyncio.run(run())
    assert ([reject.image.id for reject in refused], stored) == (["x"], [])
    for store in stores:
        assert {image_id: row["prediction"] for image_id, row in store.rows.items()} == {"a": 0, "x": 0}


def test_what_one_store_refuses_is_taken_out_of_the_others() -> None:
    stores = [MemoryStore(), MemoryStore()]
    sinks = [
        Named("takes", stores[0]),
        Named("refuses", stores[1], refuses=lambda batch, row: batch.images[row].id == "b"),
    ]
    assert asyncio.run(delivered(sinks, batch_of("a", "b", "c"))) == [["b"]]
    assert [sorted(store.rows) for store in stores] == [["a", "c"], ["a", "c"]]


def test_a_good_image_stays_though_another_of_its_id_is_refused() -> None:
    stores = [MemoryStore(), MemoryStore()]
    refuses = Named("refuses", stores[1], refuses=lambda batch, row: batch.columns["prediction"][row] == 2)
    assert asyncio.run(delivered([Named("takes", stores[0]), refuses], batch_of("x", "y", "x"))) == [["x"]]
    for store in stores:
        assert {image_id: row["prediction"] for image_id, row in store.rows.items()} == {"x": 0, "y": 1}


def test_what_is_refused_is_in_no_store_though_an_older_one_was() -> None:
    stores = [MemoryStore(), MemoryStore()]
    refuses = Named("refuses", stores[1], refuses=lambda batch, row: batch.columns["prediction"][row] == 1)
    sinks = [Named("takes", stores[0]), refuses]
    assert asyncio.run(delivered(sinks, batch_of("x"), batch_of("y", "x"))) == [[], ["x"]]
    assert [sorted(store.rows) for store in stores] == [["y"], ["y"]]


def test_what_is_another_workers_by_now_is_not_written_over_what_he_has_stored() -> None:
    """A store is down, the partition goes, its new owner is faster: the older image must not land on the newer."""
    store = MemoryStore()
    ledger = OffsetLedger()
    receipt = ledger.take({("images", 0): 10, ("images", 1): 7})

    async def run() -> list[list[str]]:
        own = delivery_to([Waiting("one", store, down := asyncio.Event(), back := asyncio.Event())])
        other = delivery_to([Named("one", store)])
        for delivery in (own, other):
            await delivery.connect()
        mine = joined([batch_of("x", "y", partition=0), batch_of("z", partition=1)])
        writing = asyncio.create_task(own.write(mine, receipt.lost))
        await down.wait()
        ledger.forget([("images", 0)])
        newer = batch_of("x", partition=0).with_columns(prediction=np.array([7], dtype=np.int32))
        rejects = [await other.write(newer)]
        back.set()
        rejects.append(await writing)
        for delivery in (own, other):
            await delivery.close()
        return [[reject.image.id for reject in some] for some in rejects]

    assert asyncio.run(run()) == [[], []]
    assert {image_id: row["prediction"] for image_id, row in store.rows.items()} == {"x": 7, "z": 0}


def test_what_is_another_workers_by_now_is_not_taken_out_of_his_store() -> None:
    store = MemoryStore()
    gone: set[int] = set()

    def refuse(batch: Batch, row: int) -> bool:
        gone.add(0)  # between the refusal and the removal
        return True

    async def run() -> None:
        other, own = delivery_to([Named("one", store)]), delivery_to([Named("one", store, refuses=refuse)])
        for delivery in (other, own):
            await delivery.connect()
        await other.write(batch_of("x", partition=0))
        await own.write(batch_of("x", partition=0), lambda: gone)
        for delivery in (other, own):
            await delivery.close()

    asyncio.run(run())
    assert sorted(store.rows) == ["x"]


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


def test_a_store_that_is_down_at_the_start_is_waited_for() -> None:
    store = MemoryStore()
    sink = Unconnected("late", store, [StoreUnavailable("down")] * 3)
    assert asyncio.run(delivered([sink], batch_of("a"))) == [[]]
    assert sorted(store.rows) == ["a"]


def test_a_store_that_refuses_ends_the_start_also_while_another_is_waited_for() -> None:
    down = Unconnected("down", MemoryStore(), [StoreUnavailable("down")] * 1_000_000)
    wrong = Unconnected("wrong", MemoryStore(), [StoreUnavailable("down"), SchemaMismatch("other columns")])
    with pytest.raises(SchemaMismatch, match="other columns"):
        asyncio.run(delivered([down, wrong]))
