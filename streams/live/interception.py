"""Interception off the event loop: what needs no model in processes of its own, the model and the rest in this one."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from flumen.interceptor import Batch, Context, Intercepted, Interceptor, Limits, intercept
from flumen.interceptor.statistics import graphs
from flumen.interceptor.statistics.step import Statistics
from flumen.interceptor.timed import Timed
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.processes.interception import MOST_BY_ITSELF, InterceptionProcesses, usable_cores
from flumen.models.processes.interception_tasks import leading
from flumen.models.slot import Serving
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import MicroBatch
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.repeats import Repeats
from flumen.streams.settings import Settings
from flumen.streams.wire import Identity, to_images


class Leading(Protocol):
    """The first interceptors of a chain, where they run elsewhere."""

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Do what they do."""

    def close(self) -> None:
        """End it, also where it is busy."""


class Interception:
    """Runs the interceptors. Two threads: one for those that run elsewhere, one for those that run here.

    Each serves one batch after another, so batches leave in the order in which they came; and while one is classified,
    the next is decoded.
    """

    def __init__(
        self,
        chain: Sequence[Interceptor],
        limits: Limits,
        metrics: Metrics,
        identity: Identity = "event",
        clock: Callable[[], float] = time.time,
        leading: Leading | None = None,
        decoder: GuardedDecoder | None = None,
    ) -> None:
        """Make one. `chain` runs here, behind `leading`; `decoder` is for images that are decoded here."""
        self._chain = chain
        self._limits = limits
        self._metrics = metrics
        self._identity = identity
        self._repeats = Repeats(metrics.images_replaced)
        self._clock = clock
        self._leading = leading
        self._decoder = decoder or GuardedDecoder()
        self._first = ThreadPoolExecutor(1, "intercept")
        self._second = ThreadPoolExecutor(1, "classify")

    async def run(self, batch: MicroBatch, serving: Serving) -> Intercepted:
        """Classify one micro-batch by one model from end to end."""
        self._metrics.queue_seconds.observe(time.monotonic() - batch.taken_at)
        loop = asyncio.get_running_loop()
        begun, context = await loop.run_in_executor(self._first, self._begin, batch, serving)
        return await loop.run_in_executor(self._second, self._finish, begun, context)

    def close(self) -> None:
        """End the threads, and what they may be waiting for."""
        if self._leading is not None:
            self._leading.close()
        self._decoder.close()
        self._first.shutdown(wait=True)
        self._second.shutdown(wait=True)

    def _begin(self, batch: MicroBatch, serving: Serving) -> tuple[Intercepted, Context]:
        now = int(self._clock() * 1_000_000)
        images = Batch(to_images(batch.messages, now, self._identity))
        context = Context(serving.classifier, now, self._limits, serving.revision, self._decoder)
        begun = Intercepted(images, ()) if self._leading is None else self._leading.intercept(images, context)
        return begun, context

    def _finish(self, begun: Intercepted, context: Context) -> Intercepted:
        step = intercept(begun.oks, context, self._chain)
        self._repeats.look(step.oks)
        return Intercepted(step.oks, [*begun.errs, *step.errs])


class InProcesses:
    """`Leading` in processes: interceptors by name, and the seconds that they took there."""

    def __init__(self, names: tuple[str, ...], processes: InterceptionProcesses, metrics: Metrics) -> None:
        self._names = names
        self._processes = processes
        self._seconds = metrics.stage_seconds

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Intercept, and observe what each took for the batch, in all processes together."""
        step, seconds = self._processes.intercept(batch, context, self._names)
        for name in self._names:
            self._seconds.labels(name).observe(seconds[name])
        return step

    def close(self) -> None:
        """End the processes."""
        self._processes.close()


def start_interception(
    settings: Settings, chain: Sequence[Interceptor], metrics: Metrics, pulse: Pulse
) -> Interception:
    """Make a worker's, and start its processes; they get ready while other things are done.

    Raises:
        DecoderUnavailable: a process does not start.
    """
    names = leading(chain)
    here = [
        Timed(interceptor, metrics.stage_seconds.labels(name).observe)
        for name, interceptor in zip(settings.interceptors[len(names) :], chain[len(names) :], strict=True)
    ]
    if any(isinstance(interceptor, Statistics) for interceptor in chain[len(names) :]):
        graphs.load()  # now, since there may be no file left to open when it is needed
    elsewhere = None
    if names:
        count = settings.interception_processes or min(usable_cores(), MOST_BY_ITSELF)
        processes = InterceptionProcesses(count, pulse.progressed, metrics.processes_restarted.inc)
        elsewhere = InProcesses(names, processes, metrics)
        try:
            processes.start()
        except BaseException:
            processes.close()
            raise
    decoder = GuardedDecoder(pulse.progressed)
    return Interception(
        here, settings.limits(), metrics, settings.image_id, leading=elsewhere, decoder=decoder
    )
