"""Each stage of the job alone, on the same messages: what the machine can do if nothing else is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer

from bench.setting import Setting
from flumen.interceptor import DEFAULT_CHAIN, Batch, Context, Intercepted
from flumen.interceptor.classify import Classify
from flumen.interceptor.decode import Decode
from flumen.interceptor.envelope import Envelope
from flumen.interceptor.metadata.step import Metadata
from flumen.interceptor.statistics.step import Statistics
from flumen.models.repository import Repository
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.received import raw_message
from flumen.streams.wire import to_images


def measure_stages(setting: Setting) -> dict[str, float]:
    """Return images a second of each stage, in batches of `max_batch_size`, by one thread."""
    settings = setting.fresh(DEFAULT_CHAIN)
    clock = _Clock(setting.images)
    messages = _consume(setting, clock)
    size = settings.max_batch_size
    raw = [messages[start : start + size] for start in range(0, len(messages), size)]
    champion = Repository(settings.model_repository).load(
        settings.model_name, 1, threads=settings.inference_threads
    )
    context = Context(champion, int(time.time() * 1_000_000), settings.limits())

    def intercept(batches: list[Batch], step: Callable[[Batch, Context], Intercepted]) -> list[Batch]:
        return [step(batch, context).oks for batch in batches]

    with clock.stage("read the envelope"):
        batches = intercept([Batch(to_images(chunk, 0)) for chunk in raw], Envelope().intercept)
    with clock.stage("decode (Pillow)"):
        batches = intercept(batches, Decode().intercept)
    with clock.stage("measure statistics"):
        batches = intercept(batches, Statistics().intercept)
    with clock.stage("read metadata"):
        batches = intercept(batches, Metadata().intercept)
    with clock.stage("infer (ONNX Runtime)"):
        batches = intercept(batches, Classify().intercept)
    for sink in setting.sinks(settings):
        with clock.stage(f"write to {sink.name.capitalize()}"):
            for batch in batches:
                sink.write(batch)
        sink.close()
    return clock.speeds


class _Clock:
    """Images a second by stage."""

    def __init__(self, images: int) -> None:
        self._images = images
        self.speeds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.speeds[name] = self._images / (time.perf_counter() - started)


def _consume(setting: Setting, clock: _Clock) -> list[RawMessage]:
    settings = setting.fresh()
    consumer = Consumer(settings.consumer_config())
    consumer.subscribe([settings.images_topic])
    taken = []
    while not taken:  # the group's start is not reading
        taken = consumer.consume(1, 1.0)
    with clock.stage("consume (librdkafka)"):
        while len(taken) < setting.images:
            taken += consumer.consume(settings.max_batch_size, 0.05)
    consumer.close()
    return [raw_message(message) for message in taken]
