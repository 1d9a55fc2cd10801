"""The order in which batches go into stores, while one store may be ahead of another.

Each store gets all batches in their order, so that the last of two images with one id wins. What is stored under an id
may also be taken back or written again until its batch has ended: a batch with one of these ids waits for that.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from contextlib import asynccontextmanager


class Turn:
    """That of one batch. `ids`: those of its images."""

    def __init__(self, ids: Set[str], stores: Iterable[str], in_hand: Sequence["Turn"]) -> None:
        self.ids = ids
        self.ended = asyncio.Event()
        self.left = {store: asyncio.Event() for store in stores}
        # Their events and not the turns: else each would keep all before it in memory.
        self._ahead = {store: [turn.left[store] for turn in in_hand] for store in self.left}

    @asynccontextmanager
    async def at(self, store: str) -> AsyncIterator[None]:
        """Enter a store once all batches before this one have left it: at once, if it is not the first time."""
        for left in self._ahead[store]:
            await left.wait()
        try:
            yield
        finally:
            self.left[store].set()


class Turns:
    """Those of the batches in hand, in the order in which they came."""

    def __init__(self, stores: Iterable[str]) -> None:
        self._stores = tuple(stores)
        self._in_hand: list[Turn] = []

    @asynccontextmanager
    async def take(self, ids: Set[str]) -> AsyncIterator[Turn]:
        """Take the next turn, and wait until no batch before it has one of its ids."""
        turn = Turn(ids, self._stores, self._in_hand)
        alike = [each.ended for each in self._in_hand if not ids.isdisjoint(each.ids)]
        self._in_hand.append(turn)
        try:
            for ended in alike:
                await ended.wait()
            yield turn
        finally:
            self._in_hand.remove(turn)
            for event in (turn.ended, *turn.left.values()):
                event.set()
