"""What one store refuses for good is in none of them, and nothing else goes with it."""

import asyncio
from collections.abc import Sequence
from threading import Event

from delivery_sinks import Held, Named, Seen, batch_of, delivered, delivery_to

from flumen.interceptor import Reject
from flumen.stores.memory import MemoryStore


def test_a_refused_image_is_returned_once_with_its_reason() -> None:
    stores = [MemoryStore(), MemoryStore()]
    sinks = [Named("one", stores[0]), Named("two", stores[1])]
    too_long = "x" * 40_000

    async def run() -> None:
        delivery = delivery_to(sinks)
        await delivery.connect()
        (reject,) = (await delivery.write(batch_of("a", too_long, "b"))).refused
        assert reject.image.id == too_long
        assert reject.stage == "one"
        # The id alone is longer than a dead letter's reason may be.
        assert (
            "one refused it: id has 40000 bytes, more than 16384; publish it with" in str(reject.error)[:250]
        )
        await delivery.close()

    asyncio.run(run())
    assert [sorted(store.rows) for store in stores] == [["a", "b"], ["a", "b"]]


def test_what_one_store_refuses_is_taken_out_of_the_others() -> None:
    stores = [MemoryStore(), MemoryStore()]
    sinks = [
        Named("takes", stores[0]),
        Named("refuses", stores[1], refuses=lambda batch, row: batch.images[row].id == "b"),
    ]
    assert asyncio.run(delivered(sinks, batch_of("a", "b", "c"))) == [["b"]]
    assert [sorted(store.rows) for store in stores] == [["a", "c"], ["a", "c"]]


def test_what_is_taken_back_is_nothing_of_a_later_batch() -> None:
    """The first `x` is refused by the one store, and has to be taken out of the other, where the second follows."""
    stores = [MemoryStore(), MemoryStore()]
    first, second = batch_of("a", "x"), batch_of("x")

    async def run() -> list[Sequence[Reject]]:
        held = Held("held", stores[1], Event(), lambda batch, row: batch.columns["prediction"][row] == 1)
        seen = asyncio.Event()
        delivery = delivery_to([Seen("quick", stores[0], {"a": seen}), held])
        await delivery.connect()
        writing = [asyncio.create_task(delivery.write(batch)) for batch in (first, second)]
        await seen.wait()
        held.goes_on.set()
        rejects = await asyncio.gather(*writing)
        await delivery.close()
        return [delivered.refused for delivered in rejects]

    refused, stored = asyncio.run(run())
    assert ([reject.image.id for reject in refused], stored) == (["x"], [])
    for store in stores:
        assert {image_id: row["prediction"] for image_id, row in store.rows.items()} == {"a": 0, "x": 0}


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
