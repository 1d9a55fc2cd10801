"""The one collector of a console: it puts together what the sources say, every two seconds, for all who look on."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from flumen.console.dead_letters.listed import DeadLetterList
from flumen.console.now.latency import LatencyWindow, quantile
from flumen.console.now.moment import describe, event, sample_row
from flumen.console.now.readings import Backlog, FleetReading, Sample, StoreState
from flumen.console.now.viewers import Viewers
from flumen.console.watching import Source
from flumen.stores.errors import StoreError

log = structlog.get_logger(__name__)

EVERY_S = 2.0
KEPT = 300
"""Samples: ten minutes."""

LOOK_EVERY_S = 5.0
"""So long after a store has answered it is asked again."""

_RATE_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class Sources:
    """What is collected. `stores` by the names that people know: each is asked, and says what it holds."""

    fleet: Source[FleetReading]
    backlog: Source[Backlog]
    dead_letters: Source[DeadLetterList]
    stores: Mapping[str, Callable[[], Awaitable[str]]] = field(default_factory=dict)

    def all(self) -> Sequence[Source[Any]]:
        """Return those that are watched in threads."""
        return self.fleet, self.backlog, self.dead_letters


class Collector:
    """Keeps the samples of the last ten minutes, and what is known of this moment. `clock`: seconds since 1970."""

    def __init__(self, sources: Sources, clock: Callable[[], float] = time.time) -> None:
        self.viewers = Viewers()
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.moment: dict[str, Any] = {}
        """What is known now, as the API has it; `describe` says of what it consists."""
        self._sources = sources
        self._clock = clock
        self._states = {name: StoreState(name, "asked") for name in ("Kafka", *sources.stores)}
        self._backlogs: deque[Backlog] = deque()
        self._latency = LatencyWindow()
        self._tasks: list[asyncio.Task[None]] = []
        self.tick()

    async def start(self) -> None:
        """Begin to collect."""
        for source in self._sources.all():
            source.start()
        self._tasks = [asyncio.create_task(self._run())]
        self._tasks += [
            asyncio.create_task(self._look(name, ask)) for name, ask in self._sources.stores.items()
        ]

    async def stop(self) -> None:
        """Collect no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(source.stop) for source in self._sources.all()))

    def tick(self) -> None:
        """Take what the sources say now, and hand it to all who look on."""
        fleet, backlog = self._sources.fleet.latest, self._sources.backlog.latest
        self._states["Kafka"] = _state_of_kafka(self._states["Kafka"], backlog.said, backlog.problem)
        self.samples.append(self._sample(fleet.said, backlog.said if not backlog.problem else None))
        self.moment = describe(
            self.samples[-1], fleet, backlog, self._sources.dead_letters.latest, list(self._states.values())
        )
        if self.viewers.all:
            self.viewers.send(event(self.moment))

    def history(self) -> dict[str, Any]:
        """Return what is known now, with all samples that are kept, the oldest first."""
        return {**self.moment, "history": [sample_row(sample) for sample in self.samples]}

    def _sample(self, fleet: FleetReading | None, backlog: Backlog | None) -> Sample:
        now = self._clock()
        sample = Sample(int(now * 1_000_000))
        if backlog is not None:
            published = self._published_per_s(backlog)
            sample = replace(sample, lag=backlog.lag, published_per_s=published)
        if fleet is not None:
            live = [seen for view in fleet.views for seen in view.workers if seen.is_live]
            waits = self._latency.hear(now, {seen.status.worker: seen.headers.end_to_end for seen in live})
            stored = round(sum(seen.status.images_per_s for seen in live), 1)
            p50_s, p99_s = quantile(waits, 0.5), quantile(waits, 0.99)
            sample = replace(sample, stored_per_s=stored, p50_s=p50_s, p99_s=p99_s)
        return sample

    def _published_per_s(self, backlog: Backlog) -> float | None:
        kept = self._backlogs
        if not kept or kept[-1] is not backlog:
            kept.append(backlog)
        while len(kept) > 2 and kept[1].at_s <= backlog.at_s - _RATE_OVER_S:  # noqa: PLR2004 - two make a rate
            kept.popleft()
        over_s = backlog.at_s - kept[0].at_s
        return None if over_s <= 0 else round(max(0, backlog.published - kept[0].published) / over_s, 1)

    async def _run(self) -> None:
        while True:
            try:
                self.tick()
            except Exception:
                log.exception("the console could not put together what is now")
            await asyncio.sleep(EVERY_S)

    async def _look(self, name: str, ask: Callable[[], Awaitable[str]]) -> None:
        while True:
            asked_at = time.monotonic()
            try:
                says = await ask()
                self._states[name] = StoreState(name, "up", says, time.monotonic() - asked_at)
            except StoreError as error:
                self._states[name] = StoreState(name, "down", str(error))
            except Exception as error:
                log.exception("a store could not be asked", store=name)
                self._states[name] = StoreState(name, "down", f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_EVERY_S)


def _state_of_kafka(former: StoreState, said: Backlog | None, problem: str) -> StoreState:
    if problem:
        return StoreState("Kafka", "down", problem)
    if said is None:
        return former
    return StoreState("Kafka", "up", f"{len(said.partitions)} partitions of images")
