"""Dead letters for the pages and the API: what is known of them, and what may be done, a few at a time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from flumen.console.dead_letters.listed import DeadLetterList
from flumen.console.dead_letters.queue import Outcome, Queue
from flumen.console.watching import Source
from flumen.streams.dead_letters.queue import Entry, ReplayRules

Answer = TypeVar("Answer")

_LOOKS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of a console. `source` keeps `known` up to date.

    Whoever replays or parks waits until nobody else does: what is sent twice would be stored twice over.
    """

    known: DeadLetterList
    source: Source[DeadLetterList]
    queue: Queue
    _looking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LOOKS_AT_ONCE))
    _settling: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def problem(self) -> str:
        """Why they are not known now; empty where they are."""
        return self.source.latest.problem

    async def get(self, place: str) -> Entry:
        """Return the dead letter at a place; raises as `Queue.get`."""
        async with self._looking:
            return await asyncio.to_thread(self.queue.get, place)

    async def replay(self, places: Sequence[str], rules: ReplayRules, by: str) -> Sequence[Outcome]:
        """Send dead letters back to where they came from; raises as `Queue.replay`."""
        return await self._settle(lambda: self.queue.replay(places, rules, by))

    async def park(self, places: Sequence[str], by: str) -> Sequence[Outcome]:
        """Set dead letters aside; raises as `Queue.park`."""
        return await self._settle(lambda: self.queue.park(places, by))

    async def _settle(self, call: Callable[[], Answer]) -> Answer:
        async def alone() -> Answer:
            async with self._settling:
                return await asyncio.to_thread(call)

        return await asyncio.shield(alone())  # it goes on where a browser goes away
