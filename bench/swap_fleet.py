"""What swaps are measured on: workers that read a backlog, and versions to prepare while they do."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.large_model import large_model
from bench.setting import Setting
from flumen.cli.background import environment_of
from flumen.models.manifest import Manifest
from flumen.models.repository import MODEL_FILE, Repository
from flumen.streams.control.records import ModelRef
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_control_topics
from flumen.streams.settings import Settings

_TIMEOUT_S = 120.0


@contextmanager
def run_workers(settings: Settings, count: int, logs: Path) -> Iterator[None]:
    """Run workers, and return once all read."""
    environment = os.environ | environment_of(settings)
    logs.mkdir(exist_ok=True)
    paths = [logs / f"bench-worker-{number}.log" for number in range(count)]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for path in paths:
            with path.open("wb") as log:
                command = [sys.executable, "-P", "-m", "flumen", "worker"]
                running.append(
                    subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                    )
                )
        deadline = time.monotonic() + _TIMEOUT_S
        for path, worker in zip(paths, running, strict=True):
            while "partitions assigned" not in path.read_text():
                if worker.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"a worker does not read:\n{path.read_text()[-3000:]}")
                time.sleep(0.05)
        yield
    finally:
        for worker in running:
            worker.terminate()
        for worker in running:
            worker.wait(_TIMEOUT_S)


def fresh(setting: Setting) -> Settings:
    """Return settings for this run: tables and an index that are there already, and topics for the control."""
    settings = setting.fresh()
    for sink in setting.sinks(settings):
        sink.close()
    ensure_control_topics(settings)
    return settings


def measure_speed(setting: Setting, workers: int, logs: Path) -> float:
    """Return the images/s that so many workers take together, over the second half of what lies in the topic."""
    settings = fresh(setting)
    observer = TopicReader(settings)
    with run_workers(settings, workers, logs):
        halfway, end = (_when_done(observer, settings, share) for share in (0.5, 1.0))
    observer.close()
    setting.discard(settings)
    return (end[1] - halfway[1]) / (end[0] - halfway[0])


def _when_done(observer: TopicReader, settings: Settings, share: float) -> tuple[float, int]:
    """Return when so much of the topic is acknowledged, or somewhat more, and how many images that are."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        progress = observer.progress(settings.images_topic)
        if progress.acknowledged >= share * progress.published:
            return time.monotonic(), progress.acknowledged
        if time.monotonic() > deadline:
            raise SystemExit(f"the workers have done only {progress.acknowledged:,} images")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions of one size, so that there is always another one to prepare."""

    megabytes: float
    refs: tuple[ModelRef, ModelRef]


def register_pairs(settings: Settings) -> tuple[Pair, Pair]:
    """Register two small versions, like the one that is shipped, and two large ones."""
    name, repository = settings.model_name, Repository(settings.model_repository)
    shipped = repository.manifest(name, 1)
    content = (Path(settings.model_repository) / name / "1" / MODEL_FILE).read_bytes()

    def register(content: bytes, manifest: Manifest) -> Pair:
        one, other = (ModelRef(repository.register(content, manifest), manifest.sha256) for _ in range(2))
        return Pair(len(content) / 1e6, (one, other))

    return register(content, shipped), register(*large_model(shipped))
