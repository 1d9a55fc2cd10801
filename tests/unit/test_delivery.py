"""Every store gets every batch, in order, however long one of them is down."""

import asyncio
from threading import Event

import numpy as np
import pytest
from delivery_sinks import Held, Named, Seen, Unconnected, batch_of, delivered, delivery_to

from flumen.stores import SchemaMismatch, StoreClosed, StoreUnavailable
from flumen.stores.memory import MemoryStore


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
