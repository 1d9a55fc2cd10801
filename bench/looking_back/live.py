"""What a worker takes in while a reclassification runs beside it, by what it takes in without one, in turns."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from bench.contenders import ROOT
from bench.looking_back.stored import topics_of
from bench.setting import MOST_DIGITS, publish_more
from bench.swap_fleet import run_workers
from flumen.cli.background import environment_of
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

SHARE = 0.25
_SETTLE_S = 2.0
_FIRST_S = 10.0
"""A worker is slower in its first seconds."""


@dataclass(frozen=True, slots=True)
class Found:
    """Images a second of a worker, one window after another: alone, and beside a reclassification."""

    alone: list[float]
    beside: list[float]

    @property
    def ratio(self) -> float:
        """The means over the windows."""
        return statistics.mean(self.beside) / statistics.mean(self.alone)


def live_found(settings: Settings, backlog: int, windows: int, window_s: float, logs: Path) -> Found:
    """Let a worker read a backlog into the tables that the reclassification reads; windows to and fro."""
    ensure_topics(settings)
    publish_more(settings, 0, max(backlog, MOST_DIGITS))
    found = Found([], [])
    try:
        with run_workers(settings, 1, logs), closing(TopicReader(settings)) as observer:
            time.sleep(_FIRST_S)
            for number in range(2 * windows):
                # without, with, with, without: what grows slower or faster meanwhile evens out
                if number % 4 in (0, 3):
                    found.alone.append(_rate(observer, settings, window_s))
                else:
                    with _reclassification(settings):
                        time.sleep(_SETTLE_S)
                        found.beside.append(_rate(observer, settings, window_s))
            progress = observer.progress(settings.images_topic)
            if progress.acknowledged >= progress.published:
                raise SystemExit("the backlog was over before the measurement: give more by --backlog")
    finally:
        _drop_topics(settings)
    return found


def _rate(observer: TopicReader, settings: Settings, window_s: float) -> float:
    started, before = time.monotonic(), observer.progress(settings.images_topic).acknowledged
    time.sleep(window_s)
    after = observer.progress(settings.images_topic).acknowledged
    return (after - before) / (time.monotonic() - started)


@contextmanager
def _reclassification(settings: Settings) -> Iterator[None]:
    """Run job after job in a process of its own; return once the first has begun."""
    command = [sys.executable, "-m", "bench.looking_back.reclassifying", str(SHARE)]
    environment = os.environ | environment_of(settings)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"begun\n":
            raise SystemExit("the reclassification does not begin")
        # What it says of each further job is read, so that it never waits for that.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield
        if process.poll() is not None:
            raise SystemExit("the reclassification has ended meanwhile")
    finally:
        process.terminate()
        process.wait()


def _drop_topics(settings: Settings) -> None:
    names = [getattr(settings, name) for name in topics_of(settings)]
    admin = AdminClient({"bootstrap.servers": settings.kafka_servers})
    for future in admin.delete_topics(names).values():
        future.exception(30.0)
