"""Starting, stopping and failing: nothing lost, and the reason said."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from steady_load import steady_load

from flumen.cli.background import environment_of
from flumen.stores.kudu import KuduReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage


def digit(png: bytes, number: int) -> SourceImage:
    return SourceImage(
        f"digit-{number}", png, f"{number}.png", "/tests", "image/png", None, datetime.now(UTC)
    )


def publish_digits(settings: Settings, png: bytes, count: int) -> None:
    images = (digit(png, number) for number in range(count))
    assert (
        publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None).sent == count
    )


def test_sigterm_under_load_loses_nothing(
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    ensure_topics(settings)
    first = start_worker(max_batch_size=50)
    first.wait_for_line("partitions assigned")
    with steady_load(settings, partial(digit, png)) as sent:
        wait_until_acknowledged(1, first)
        assert first.stop(signal.SIGTERM) == 0
        finished = observer.progress(settings.images_topic).acknowledged
        wait_until(lambda: observer.progress(settings.images_topic).published > finished, "more to do")
    kudu = KuduReader(settings.kudu_options())
    assert kudu.count() == finished
    second = start_worker()
    wait_until_acknowledged(*sent, second)
    assert second.stop(signal.SIGINT) == 0
    assert [kudu.count()] == sent
    kudu.close()


def test_two_workers_share_the_topic(
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    ensure_topics(settings)
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.wait_for_line("partitions assigned")
    publish_digits(settings, png, 2000)
    wait_until_acknowledged(2000, workers[0])
    assert [worker.stop() for worker in workers] == [0, 0]
    kudu = KuduReader(settings.kudu_options())
    assert kudu.count() == 2000
    kudu.close()


def test_a_table_that_lacks_columns_stops_the_start_with_what_to_do(
    settings: Settings, start_worker: Callable[..., Any]
) -> None:
    ensure_topics(settings)
    plain = start_worker(interceptors=["envelope", "decode", "classify"])
    plain.wait_for_line("worker is ready")
    assert plain.stop() == 0
    other = start_worker()
    assert other.process.wait(120) == 1
    assert "SchemaMismatch" in other.log.read_text()
    assert "flumen tables migrate`" in other.log.read_text()


@pytest.mark.parametrize(
    "flaw",
    [
        "flumen.streams.control.worker.reader.ControlReader.follow",
        "flumen.streams.control.worker.preparation.Preparation.run",
    ],
)
def test_what_nobody_foresaw_in_a_thread_beside_the_live_path_stops_the_worker(
    settings: Settings, flaw: str
) -> None:
    ensure_topics(settings)
    module, owner, method = flaw.rsplit(".", 2)
    flawed = (
        f"import {module} as module\n"
        "def fail(*_): raise RuntimeError('nobody foresaw this')\n"
        f"module.{owner}.{method} = fail\n"
        "from flumen.cli.main import run\n"
        "run()"
    )
    worker = subprocess.run(
        [sys.executable, "-c", flawed, "worker"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment_of(settings),
    )
    assert worker.returncode == 1
    assert "nobody foresaw this" in worker.stderr
    stopped = [json.loads(line) for line in (worker.stdout + worker.stderr).splitlines() if line[:1] == "{"]
    assert stopped[-1]["event"].startswith("worker stopped by an error")
