"""How long an image takes: from its producer's timestamp until its offset is committed, when both stores have it.

Each message counts. Nothing is asked meanwhile: the times of the commits are read afterwards from Kafka's own topic,
and those of the messages from theirs. Idle: images come one at a time, and not evenly, so that no poll keeps step with
them. Steady: 500 a second.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from bench.contenders import Contender
from bench.figures import delays_ms, percentile
from bench.offsets import Commit
from bench.processes import CHILDREN, OWN
from bench.race import Running, running
from bench.setting import Setting, source_digits
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

RATE = 500
_WARM = 2_000
_IDLE_S = (0.2, 0.45)


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from published to stored, over so many images."""

    images: int
    p50: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class Latency:
    """`idle_core`: the share of a core that the contender takes with nothing to do."""

    idle: Delays
    steady: Delays
    idle_core: float


def measure_latency(
    contender: Contender, setting: Setting, singles: int = 60, steady_s: int = 20, idle_s: int = 10
) -> Latency:
    """Run a contender on a topic of its own, and publish to it."""
    setting = setting.quiet()
    with running(contender, setting) as (run, settings):
        published = _publish(settings, "warm", source_digits(_WARM), RATE)
        run.look_until(published)
        idle_core = _idle_core(run, idle_s)
        published += _publish(settings, "idle", _unevenly(source_digits(singles)), None)
        run.look_until(published)
        published += _publish(settings, "steady", source_digits(RATE * steady_s), RATE)
        run.look_until(published)
        commits = run.commits.read()
        sent = _sent(settings)
    idle, steady = sent[_WARM : _WARM + singles], sent[_WARM + singles :]
    return Latency(_delays(idle, commits), _delays(steady, commits), idle_core)


def _publish(settings: Settings, part: str, images: Iterator[SourceImage], rate: float | None) -> int:
    config = {**settings.producer_config(), "linger.ms": 0}  # the time to wait for more would count
    stamped = (replace(image, id=f"{part}/{image.id}", time=datetime.now(UTC)) for image in images)
    return publish(stamped, config, settings.images_topic, rate, lambda _: None).sent


def _unevenly(images: Iterator[SourceImage]) -> Iterator[SourceImage]:
    random = np.random.default_rng(1)
    for image in images:
        time.sleep(random.uniform(*_IDLE_S))
        yield image


def _idle_core(run: Running, seconds: float) -> float:
    before = run.watched.cpu_s()
    time.sleep(seconds)
    after = run.watched.cpu_s()
    return sum(after[name] - before[name] for name in (OWN, CHILDREN)) / seconds


def _sent(settings: Settings) -> list[tuple[int, int, float]]:
    """Return partition, offset and time of every message, in the order of their times."""
    reader = TopicReader(settings)
    sent = [
        (message.partition, message.offset, message.timestamp_ms / 1000)
        for message in reader.read(settings.images_topic)
    ]
    reader.close()
    return sorted(sent, key=lambda message: message[2])


def _delays(sent: list[tuple[int, int, float]], commits: list[Commit]) -> Delays:
    milliseconds = delays_ms(sent, commits)
    return Delays(
        len(milliseconds), percentile(milliseconds, 50), percentile(milliseconds, 99), max(milliseconds)
    )
