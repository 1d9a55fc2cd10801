"""What is another worker's by now is neither written nor taken out: he may have stored what is newer."""

import asyncio

import numpy as np
from delivery_sinks import Named, Waiting, batch_of, delivery_to

from flumen.interceptor import Batch
from flumen.interceptor.batch import joined
from flumen.stores.memory import MemoryStore
from flumen.streams.live.ledger import OffsetLedger


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
        return [[reject.image.id for reject in some.refused] for some in rejects]

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
