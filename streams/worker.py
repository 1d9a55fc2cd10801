"""A worker from start to stop: load the model to serve, open the stores, run, finish what is in hand, leave."""

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import faust
import structlog

from interceptor import Column, load_chain, merge_columns
from interceptor.formats import formats
from stores import Sink
from stores.kudu import KuduAnswers, KuduSink
from stores.solr import SolrAnswers, SolrSink
from streams.agent import Interception, Steps, add_agent
from streams.app import build_app
from streams.classified import ClassifiedTopic
from streams.control.following import Control, following
from streams.control.shadow import Shadow
from streams.dead_letters import DeadLetters
from streams.decoder import GuardedDecoder
from streams.deliver import Delivery
from streams.health import Pulse, watch
from streams.metrics import Metrics, Timed
from streams.patience import Patience
from streams.reader import Reader, ReaderOptions
from streams.settings import Settings
from streams.topics import ensure_topics
from streams.web import serving

log = structlog.get_logger(__name__)

_CLOSE_S = 20.0
"""What commits and stores may take to close, beyond `stop_timeout_s`."""


def run_worker(settings: Settings, kudu_classpath: Sequence[Path] = ()) -> None:
    """Classify what arrives until SIGTERM or SIGINT, then finish what is in hand, acknowledge it, and return.

    `kudu_classpath`: the jars of Kudu's Java client.

    Raises:
        InterceptorError, ModelError, StoreError, StreamError: what prevents the start, or stopped the worker.
    """
    metrics = Metrics()
    pulse = Pulse(settings.stalled_after_s)
    metrics.lag.set_function(lambda: pulse.lag)
    formats(settings.image_formats)  # a name that Pillow does not know is told now, not with the first image
    chain = load_chain(settings.interceptors)
    columns = merge_columns(interceptor.columns for interceptor in chain)
    ensure_topics(settings)
    patience = Patience(metrics, pulse)
    timed = [
        Timed(name, interceptor, metrics)
        for name, interceptor in zip(settings.interceptors, chain, strict=True)
    ]
    shadow = Shadow(
        [KuduAnswers(settings.kudu_options(tuple(kudu_classpath))), SolrAnswers(settings.solr_options())],
        settings.limits(),
        metrics,
        settings.shadow_sample,
    )
    with following(settings, metrics, shadow) as control, serving(settings.http_port, metrics, pulse):
        steps = Steps(
            control,
            shadow,
            Interception(
                timed, settings.limits(), GuardedDecoder(pulse.progressed), metrics, settings.image_id
            ),
            Delivery(make_sinks(settings, columns, tuple(kudu_classpath)), metrics, patience),
            DeadLetters(settings.dead_topic, settings.producer_config()),
            patience,
            metrics,
        )
        asyncio.run(_run(settings, steps, pulse))


def make_sinks(settings: Settings, columns: Sequence[Column], kudu_classpath: tuple[Path, ...]) -> list[Sink]:
    """Return the stores that every batch is written to, not connected yet."""
    sinks: list[Sink] = [
        KuduSink(settings.kudu_options(kudu_classpath), columns),
        SolrSink(settings.solr_options(), columns),
    ]
    if settings.classified_topic:
        sinks.append(ClassifiedTopic(settings.classified_topic, settings.producer_config(), columns))
    return sinks


async def _run(settings: Settings, steps: Steps, pulse: Pulse) -> None:
    app = build_app(settings)
    channel = app.channel(maxsize=1)
    reader = Reader(
        ReaderOptions(
            topic=settings.images_topic,
            consumer=settings.consumer_config(),
            max_batch_size=settings.max_batch_size,
            max_batch_time_s=settings.max_batch_time_ms / 1000,
            max_in_flight_bytes=settings.max_in_flight_bytes,
            max_message_bytes=settings.max_message_bytes,
            max_poll_interval_s=settings.max_poll_interval_s,
            stop_timeout_s=settings.stop_timeout_s,
        ),
        channel,
        pulse,
    )
    steps.metrics.in_flight.set_function(lambda: reader.in_flight_bytes)
    add_agent(app, channel, reader, steps)
    app.service(cast(Any, reader))
    try:
        await steps.delivery.connect()
        await _until_stopped(app, reader, steps, pulse, settings)
    finally:
        steps.interception.close()
        await steps.delivery.close()


async def _watch_control(control: Control) -> None:
    await asyncio.wrap_future(control.broken)  # raises what ended one of its threads


async def _until_stopped(
    app: faust.App, reader: Reader, steps: Steps, pulse: Pulse, settings: Settings
) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    await app.start()
    log.info("worker is ready", topic=settings.images_topic, group=settings.group_id)
    watchdogs = [asyncio.ensure_future(dog) for dog in (watch(pulse), _watch_control(steps.control))]
    endings = [*watchdogs, *map(asyncio.ensure_future, (app.wait_until_stopped(), asked_to_stop.wait()))]
    await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    barked = next((dog.exception() for dog in watchdogs if dog.done()), None)
    for ending in endings:
        ending.cancel()
    if app.crashed or barked:
        reader.abandon()
    _leave_without_threads_that_hang(settings.stop_timeout_s + _CLOSE_S, steps.control)
    await app.stop()
    failure = app.crash_reason or barked
    if failure is not None:
        log.error(
            "worker stopped by an error; nothing of the batches in hand was acknowledged", reason=str(failure)
        )
        raise failure
    if reader.unfinished:
        log.warning("worker stopped; what it had not finished is delivered again", batches=reader.unfinished)
    else:
        log.info("worker stopped; everything in hand was finished and acknowledged")


def _leave_without_threads_that_hang(after_s: float, control: Control) -> None:
    """End the process if it has not ended by then: who closes a thread waits for it, and so does the interpreter."""

    def leave() -> None:
        log.error("a thread hangs; leaving without it. What it held is delivered again", waited_s=after_s)
        control.reporter.end()
        control.reporter.say_goodbye(in_order=False)
        os._exit(1)

    timer = threading.Timer(after_s, leave)
    timer.daemon = True
    timer.start()
