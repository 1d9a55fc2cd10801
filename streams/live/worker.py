"""A worker from start to stop: open the stores, load the model to serve, run, finish what is in hand, leave.

What takes its time at the start goes on at the same time: the stores connect, Kudu's with a JVM, while Kafka is asked
and while Faust and ONNX Runtime are imported, so these are imported where they are used.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog

from flumen.interceptor import Interceptor, load_chain, merge_columns
from flumen.interceptor.chain import kept_bytes
from flumen.interceptor.formats import formats
from flumen.models.processes.verifier import Verifier
from flumen.streams.dead_letters.writer import DeadLetterWriter
from flumen.streams.importing import without_collections
from flumen.streams.kafka.brokers import KAFKA
from flumen.streams.kafka.consumer import KafkaConsumer
from flumen.streams.kafka.topics import ensure_topics, packed_topics
from flumen.streams.live.beside import begun, off_the_loop
from flumen.streams.live.collecting import collect_cycles
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.health import Pulse, run_watchdog
from flumen.streams.live.intake import IntakeOptions
from flumen.streams.live.interception import Interception, start_interception
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry
from flumen.streams.live.shadow import Shadow
from flumen.streams.live.stopping import StopRequest, leave_after, leaving_behind
from flumen.streams.live.web import WebOptions, serving
from flumen.streams.settings import Settings
from flumen.streams.sinks import ChosenStore, chosen_stores, make_answers, make_corrections, make_sinks

if TYPE_CHECKING:
    from flumen.streams.control.worker.following import Control
    from flumen.streams.live.agent import Steps

log = structlog.get_logger(__name__)

Entered = TypeVar("Entered")

MODEL_REPOSITORY = "the model repository"
_PROCESSES = "the interception processes"

_CONTROL = ("control.worker.following",)
"""Imported with ONNX Runtime while Kafka is asked for topics."""
_LIVE_PATH = ("live.agent", "live.app", "live.reader")
"""Imported with Faust, which takes a sixth of a second, while the control topic is read and the model is verified."""

_CLOSE_S = 20.0
"""What commits and stores may take to close, beyond `stop_timeout_s`."""
_START_S = 15.0
"""What a step of the start may take to end when nobody wants it any more, and then the last words to Kafka (10 s)."""


def run_worker(settings: Settings, stop: StopRequest | None = None) -> None:
    """Classify what arrives until SIGTERM or SIGINT, then finish what is in hand, acknowledge it, and return.

    Servers that are down when it starts are waited for, as later on. Asked to stop meanwhile, it returns at once.

    `stop`: what has listened for signals since before this.

    Raises:
        InterceptorError, ModelError, StoreError, StreamError: what prevents the start, or stopped the worker.
    """
    stop = stop or StopRequest()
    metrics = Metrics()
    pulse = Pulse(settings.stalled_after_s)
    metrics.lag.set_function(lambda: pulse.lag)
    formats(settings.image_formats)  # a name that Pillow does not know is told now, not with the first image
    chain = load_chain(settings.interceptors)
    stores = chosen_stores(settings)
    hanging: list[str] = []
    with ExitStack() as leaving, leaving_behind(hanging), serving(_web_options(settings), metrics, pulse):
        start = _Start(settings, stores, chain, metrics, pulse, hanging, leaving)
        asyncio.run(_run(start, stop))


def _web_options(settings: Settings) -> WebOptions:
    return WebOptions(
        settings.http_port, settings.http_host, settings.http_max_connections, settings.http_timeout_s
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """What a worker is made of.

    `hanging`: the names of threads that do not end. `leaving`: takes back, once all is closed, what would end the
    process: it may have more to do, as one of a test has.
    """

    settings: Settings
    stores: Sequence[ChosenStore]
    chain: Sequence[Interceptor]
    metrics: Metrics
    pulse: Pulse
    hanging: list[str]
    leaving: ExitStack

    async def steps(self, opened: AsyncExitStack) -> "Steps":
        """Open the stores and load the model to serve, at the same time; what is opened closes with `opened`.

        Servers that are down are waited for. What Kafka refuses, or the model, ends the start at once; what a store
        refuses is told at once, and ends it behind them. What is opened last closes first: other workers learn that
        this one leaves before its stores are closed.
        """
        settings, metrics = self.settings, self.metrics
        retry = Retry(metrics, self.pulse)
        interception = await retry.until_done(_PROCESSES, self._interception)
        opened.callback(interception.close)
        verifier = Verifier()
        opened.callback(verifier.close)
        verifier.start()  # here, where its imports and those of this process take their time together
        columns = merge_columns(interceptor.columns for interceptor in self.chain)
        corrections = make_corrections(self.stores)
        delivery = Delivery(make_sinks(settings, self.stores, columns), metrics, retry, corrections)
        opened.push_async_callback(delivery.close)
        connecting = await opened.enter_async_context(begun(delivery.connect()))
        connecting.add_done_callback(_tell_refusal)
        control_imported = await opened.enter_async_context(begun(asyncio.to_thread(_import, _CONTROL)))
        await self._make_topics(retry)
        await control_imported
        live_path_imported = await opened.enter_async_context(begun(asyncio.to_thread(_import, _LIVE_PATH)))
        sample = settings.shadow_sample
        shadow = Shadow(
            make_answers(self.stores), settings.limits(), metrics, sample, corrections=corrections
        )
        control = await self._control(opened, retry, shadow, verifier)
        await live_path_imported
        from flumen.streams.live.agent import Steps

        await connecting
        dead_letters = DeadLetterWriter(settings.dead_topic, settings.producer_config())
        return Steps(control, shadow, interception, delivery, dead_letters, retry, metrics)

    async def _interception(self) -> Interception:
        return start_interception(self.settings, self.chain, self.metrics, self.pulse)

    async def _make_topics(self, retry: Retry) -> None:
        await retry.until_done(KAFKA, lambda: asyncio.to_thread(ensure_topics, self.settings))
        packed = await retry.until_done(KAFKA, lambda: asyncio.to_thread(packed_topics, self.settings))
        if packed:
            log.warning(
                "topics keep batches as their senders packed them: a sender can fill this worker's memory, or end "
                "its reading of a partition. Set compression.type=uncompressed on each, with kafka-configs.sh --alter",
                topics=packed,
            )

    async def _control(
        self, opened: AsyncExitStack, retry: Retry, shadow: Shadow, verifier: Verifier
    ) -> "Control":
        from flumen.streams.control.worker.following import following

        async def follow() -> "Control":
            waiting = _Waiting(retry, asyncio.get_running_loop())
            control = following(
                self.settings, self.metrics, shadow, verifier, self.hanging, waiting.until_done
            )
            return await opened.enter_async_context(off_the_loop(control, waiting.give_up))

        return await retry.until_done(KAFKA, follow)


def _import(names: Sequence[str]) -> None:
    with without_collections():
        for name in names:
            import_module(f"flumen.streams.{name}")


def _tell_refusal(connecting: "asyncio.Task[None]") -> None:
    if not connecting.cancelled() and (refusal := connecting.exception()) is not None:
        log.warning("a store refuses; the start ends once kafka and the model answer", reason=str(refusal))


class _Waiting:
    """Waits for the model repository on behalf of another thread, until that is given up."""

    def __init__(self, retry: Retry, loop: asyncio.AbstractEventLoop) -> None:
        self._retry = retry
        self._loop = loop
        self._given_up: Future[None] = Future()

    def until_done(self, call: Callable[[], Entered]) -> Entered:
        async def until_done() -> Entered:
            return await self._retry.until_done(MODEL_REPOSITORY, lambda: asyncio.to_thread(call))

        waiting = asyncio.run_coroutine_threadsafe(until_done(), self._loop)
        self._given_up.add_done_callback(lambda _: waiting.cancel())  # at once, where that was before
        return waiting.result()

    def give_up(self) -> None:
        self._given_up.set_result(None)


async def _run(start: _Start, stop: StopRequest) -> None:
    asked = asyncio.ensure_future(stop.made())
    async with AsyncExitStack() as opened:
        opened.callback(asked.cancel)
        starting = asyncio.ensure_future(start.steps(opened))
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            start.pulse.stopping()
            start.leaving.callback(leave_after(_START_S, 0))
            starting.cancel()
            await asyncio.wait({starting})
            log.info("worker stopped before it was ready; it had taken nothing")
            return
        if (failure := starting.exception()) is not None:
            start.pulse.stopping()
            log.error("worker could not start", reason=str(failure))
            start.leaving.callback(leave_after(_START_S, 1))  # what was begun may hang
            raise failure
        steps = starting.result()
        await _until_stopped(start, steps, opened, asked)


async def _raise_what_ended(control: "Control") -> None:
    await asyncio.wrap_future(control.broken)  # raises what ended one of its threads


async def _until_stopped(
    start: _Start, steps: "Steps", opened: AsyncExitStack, asked: "asyncio.Future[None]"
) -> None:
    from flumen.streams.live.agent import add_agent
    from flumen.streams.live.app import batch_channel, build_app
    from flumen.streams.live.reader import Reader

    settings, pulse = start.settings, start.pulse
    app = build_app(settings)
    channel = batch_channel(app)
    connect = partial(_consumer, settings, steps.control.reporter.worker, pulse)
    options = _intake_options(settings, steps.control)
    reader = Reader(options, connect, channel, pulse, settings.stop_timeout_s)
    steps.metrics.in_flight.set_function(lambda: reader.in_flight_bytes)
    add_agent(app, channel, reader, steps)
    app.service(cast(Any, reader))
    await opened.enter_async_context(begun(collect_cycles()))  # all that is there for good is there by now
    await app.start()
    pulse.ready()
    log.info("worker is ready", topic=settings.images_topic, group=settings.group_id)
    watchdogs = [
        asyncio.ensure_future(each) for each in (run_watchdog(pulse), _raise_what_ended(steps.control))
    ]
    endings = [*watchdogs, asyncio.ensure_future(app.wait_until_stopped()), asked]
    await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    pulse.stopping()
    failed = next((each.exception() for each in watchdogs if each.done()), None)
    for ending in endings:
        ending.cancel()
    if app.crashed or failed:
        reader.abandon()
    last_words = partial(_say_what_hangs, steps.control)
    start.leaving.callback(leave_after(settings.stop_timeout_s + _CLOSE_S, 1, last_words))
    await app.stop()
    failure = app.crash_reason or failed
    if failure is not None:
        log.error(
            "worker stopped by an error; nothing of the batches in hand was acknowledged", reason=str(failure)
        )
        raise failure
    if reader.unfinished:
        log.warning("worker stopped; what it had not finished is delivered again", batches=reader.unfinished)
    else:
        log.info("worker stopped; everything in hand was finished and acknowledged")


def _consumer(
    settings: Settings, worker: str, pulse: Pulse, end: Callable[[Exception], None]
) -> KafkaConsumer:
    config = {
        "max.poll.interval.ms": int(settings.max_poll_interval_s * 1000),
        # A group that has committed nothing waits so long before it asks where a partition begins. Each retry of
        # anything else waits twice as long as the one before.
        "retry.backoff.ms": 10,
        **settings.kafka_options().member_config(worker),
    }
    return KafkaConsumer(settings.images_topic, config, pulse, end)


def _intake_options(settings: Settings, control: "Control") -> IntakeOptions:
    return IntakeOptions(
        max_batch_size=settings.max_batch_size,
        max_batch_time_s=settings.max_batch_time_ms / 1000,
        max_in_flight_bytes=settings.max_in_flight_bytes,
        max_message_bytes=settings.max_message_bytes,
        revoke_timeout_s=settings.max_poll_interval_s / 5,
        decoded_bytes=lambda: kept_bytes(control.slot.current.classifier),
    )


def _say_what_hangs(control: "Control") -> None:
    log.error("a thread hangs; leaving without it. What it held is delivered again")
    control.reporter.end()
    control.reporter.say_goodbye(in_order=False)
