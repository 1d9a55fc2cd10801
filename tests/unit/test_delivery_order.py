"""What ends in the stores is what came last, whatever a store refuses and whenever it is down."""

import asyncio
import random
from collections.abc import Sequence

import numpy as np
import pytest

from flumen.interceptor import Batch, Column, ImageMessage, Kind
from flumen.stores import Failure, StoreUnavailable
from flumen.stores.memory import MemorySink, MemoryStore
from flumen.streams.live.concurrency import LIVE
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry
from flumen.streams.live.turns import Turns

COLUMNS = (
    Column("id", Kind.STRING, "the id", nullable=False),
    Column("number", Kind.INT32, "the how manyth"),
)


class Unsteady(MemorySink):
    """Is down now and then, before it takes a batch or behind it, and refuses images by their numbers."""

    def __init__(self, name: str, store: MemoryStore, chance: random.Random, refuses: set[int]) -> None:
        super().__init__(store, COLUMNS)
        self._name, self._chance, self._refuses = name, chance, refuses

    @property
    def name(self) -> str:
        return self._name

    def write(self, batch: Batch) -> Sequence[Failure]:
        self._fail()
        refused = [row for row in range(len(batch)) if batch.columns["number"][row] in self._refuses]
        super().write(batch.take([row for row in range(len(batch)) if row not in refused]))
        self._fail()
        return [Failure(row, "not this one") for row in refused]

    def remove(self, batch: Batch) -> None:
        self._fail()
        super().remove(batch)
        self._fail()

    def _fail(self) -> None:
        if self._chance.random() < 0.2:
            raise StoreUnavailable("down")


def expected(batches: Sequence[Batch], refused: set[int]) -> dict[str, int]:
    """Return the number that each id has in the end: of one batch after another, each as a whole."""
    stored: dict[str, int] = {}
    for batch in batches:
        answers = [(image.id, int(batch.columns["number"][row])) for row, image in enumerate(batch.images)]
        for image_id, number in answers:
            if number in refused:
                stored.pop(image_id, None)
        stored.update({image_id: number for image_id, number in answers if number not in refused})
    return stored


@pytest.mark.parametrize("seed", range(60))
def test_every_store_ends_as_if_batches_had_come_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    ids = "abcdef"[: chance.randint(1, 6)]
    numbers = iter(range(100))
    batches = []
    for _ in range(chance.randint(2, 9)):
        images = [ImageMessage(chance.choice(ids), b"", 0) for _ in range(chance.randint(1, 4))]
        given = np.array([next(numbers) for _ in images], dtype=np.int32)
        batches.append(Batch(images).with_columns(id=[image.id for image in images], number=given))
    refused = [{number for number in range(100) if chance.random() < 0.08} for _ in range(2)]
    stores = [MemoryStore(), MemoryStore()]

    async def run() -> None:
        sinks = [Unsteady(f"store {row}", stores[row], chance, refused[row]) for row in range(2)]
        metrics = Metrics()
        delivery = Delivery(
            sinks, metrics, Retry(metrics, Pulse(60), first_pause_s=0.0005, longest_pause_s=0.002)
        )
        await delivery.connect()
        agents = asyncio.Semaphore(LIVE.agents)

        async def write(batch: Batch) -> None:
            try:
                await delivery.write(batch)
            finally:
                agents.release()

        async with asyncio.TaskGroup() as writing:
            for batch in batches:
                await agents.acquire()
                writing.create_task(write(batch))
        await delivery.close()

    asyncio.run(run())
    for store in stores:
        found = {image_id: row["number"] for image_id, row in store.rows.items()}
        assert found == expected(batches, refused[0] | refused[1])


def test_a_batch_that_is_given_up_holds_up_none_behind_it_and_lets_none_pass_one_before_it() -> None:
    turns = Turns(["store"])
    entered: list[str] = []

    async def write(name: str, image_id: str, goes_on: asyncio.Event) -> None:
        async with turns.take({image_id}) as turn, turn.at("store"):
            entered.append(name)
            await goes_on.wait()

    async def run() -> None:
        goes_on = asyncio.Event()
        begun = {"first": "x", "waits for its id": "x", "waits for the store": "y", "last": "z"}
        first, *given_up, last = [asyncio.create_task(write(*each, goes_on)) for each in begun.items()]
        await asyncio.sleep(0)
        for writing in given_up:
            writing.cancel()
        await asyncio.wait(given_up)
        assert entered == ["first"]
        goes_on.set()
        await asyncio.wait_for(asyncio.gather(first, last), 60)

    asyncio.run(run())
    assert entered == ["first", "last"]
