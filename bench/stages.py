"""Each stage of the job alone, on the same messages: the floor that the whole can be compared with.

One thread, nothing beside it, batches as the worker takes them. A stage's CPU is that of this process and of the server
that answers it. Their sum is the floor: what the job takes where nothing is lost between the stages.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from confluent_kafka import Consumer, TopicPartition

from bench.setting import Setting
from flumen.interceptor import Batch, Context, load_chain
from flumen.models.repository import Repository
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings
from flumen.streams.wire import to_images

_SERVERS = {"kudu": "kudu-tserver", "solr": "solr"}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage alone: images a second, and milliseconds of CPU in 1,000 images."""

    name: str
    images_per_second: float
    own_cpu_ms: float
    server_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        """Both together."""
        return self.own_cpu_ms + self.server_cpu_ms


def floor_ms(stages: Sequence[Stage]) -> float:
    """Return the milliseconds of CPU in 1,000 images that all stages take together, servers included."""
    return sum(stage.cpu_ms for stage in stages)


def measure_stages(setting: Setting, interceptors: tuple[str, ...], images: int) -> list[Stage]:
    """Measure every stage of a worker with these interceptors, over so many images of the topic."""
    settings = setting.fresh(interceptors)
    servers = setting.server_processes()
    clock = _Clock(servers)
    _consume(settings, images, clock)
    size = settings.max_batch_size
    messages = _messages(settings, images)
    batches = _intercept(settings, messages, size, clock)
    _write(setting, interceptors, batches, _Clock(servers))  # not counted: this process's JVM is cold
    _write(setting, interceptors, batches, clock)
    return clock.stages


def _write(
    setting: Setting, interceptors: tuple[str, ...], batches: Sequence[Batch], clock: "_Clock"
) -> None:
    settings = setting.fresh(interceptors)
    try:
        for sink in setting.sinks(settings):
            name, images = f"write to {sink.name.capitalize()}", sum(map(len, batches))
            with clock.stage(name, images, _SERVERS[sink.name]):
                for batch in batches:
                    sink.write(batch)
            sink.close()
    finally:
        setting.discard(settings)


class _Clock:
    """What each stage took."""

    def __init__(self, servers: dict[str, psutil.Process]) -> None:
        self._servers = servers
        self._own = psutil.Process()
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str, images: int, server: str | None = None) -> Iterator[None]:
        others = [self._servers[server]] if server else []
        started, own, theirs = time.perf_counter(), _cpu_s([self._own]), _cpu_s(others)
        yield
        seconds = time.perf_counter() - started
        self.stages.append(
            Stage(
                name,
                images / seconds,
                (_cpu_s([self._own]) - own) * 1e6 / images,
                (_cpu_s(others) - theirs) * 1e6 / images,
            )
        )


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def _consume(settings: Settings, images: int, clock: _Clock) -> None:
    consumer = Consumer(settings.consumer_config())
    topic = settings.images_topic
    partitions = consumer.list_topics(topic).topics[topic].partitions  # so it is connected
    with clock.stage("consume (librdkafka)", images, "kafka"):
        # Within the stage, and with no group: librdkafka fetches ahead as soon as it may.
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        taken = 0
        while taken < images:
            taken += len(consumer.consume(settings.max_batch_size, 0.05))
    consumer.close()


def _messages(settings: Settings, images: int) -> list[RawMessage]:
    reader = TopicReader(settings)
    messages = []
    for message in reader.read(settings.images_topic):
        messages.append(message)
        if len(messages) == images:
            break
    reader.close()
    return messages


def _intercept(settings: Settings, messages: Sequence[RawMessage], size: int, clock: _Clock) -> list[Batch]:
    repository = Repository(settings.model_repository)
    version = repository.resolve(settings.model_name).version
    champion = repository.load(settings.model_name, version, threads=settings.inference_threads)
    context = Context(champion, int(time.time() * 1_000_000), settings.limits())
    parts = [messages[start : start + size] for start in range(0, len(messages), size)]
    with clock.stage("read the envelope", len(messages)):
        batches = [Batch(to_images(part, 0)) for part in parts]
    for name, interceptor in zip(settings.interceptors, load_chain(settings.interceptors), strict=True):
        with clock.stage(f"interceptor {name}", len(messages)):
            batches = [interceptor.intercept(batch, context).oks for batch in batches]
    return batches
