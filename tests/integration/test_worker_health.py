"""What a worker says of itself over HTTP, how it bounds what it holds, and that a stalled one ends."""

import io
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Producer
from PIL import Image

from flumen.streams.control.records import WorkerState, parse_status
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

MIB = 1024 * 1024


def metric(port: int, name: str) -> float:
    lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def large_image() -> bytes:
    """About 3 MiB that do not compress."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (1000, 1000), os.urandom(3_000_000)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


@contextmanager
def half_sent_requests(port: int, count: int) -> Iterator[None]:
    """So many requests that stop after their first line, all from one process."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
        yield


def test_a_worker_collects_cycles_by_the_clock(
    settings: Settings,
    tmp_path: Path,
    children_begin_with: Callable[[str], None],
    start_worker: Callable[..., Any],
    wait_until: Callable[..., Any],
) -> None:
    """Also one to which nothing comes; and hardly ever by the number of new objects."""
    children_begin_with(
        "import gc, os\n"
        "def tell(phase, info):\n"
        "    if phase == 'stop' and info['generation'] == 2:\n"
        f"        with open({str(tmp_path)!r} + f'/{{os.getpid()}}.collected', 'a') as file:\n"
        "            print(gc.get_threshold()[0], file=file)\n"
        "gc.callbacks.append(tell)\n"
    )
    ensure_topics(settings)
    worker = start_worker()
    collected = tmp_path / f"{worker.process.pid}.collected"
    worker.wait_for_line("worker is ready")
    wait_until(
        lambda: collected.exists() and collected.read_text().split().count("50000") > 1,
        "two collections of all objects",
        worker.check,
    )


def test_bytes_in_hand_are_bounded_whatever_the_size_of_an_image(
    settings: Settings,
    png: bytes,
    port: int,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until_acknowledged: Callable[..., None],
) -> None:
    """And 1,100 half-sent requests take nothing that the worker needs, which may open 1,024 files."""
    ensure_topics(settings)
    producer = Producer(settings.producer_config())
    for number in range(40):
        producer.produce(settings.images_topic, key=f"large-{number}", value=large_image())
    for number in range(3000):
        producer.produce(settings.images_topic, key=f"small-{number}", value=png)
    assert producer.flush(120) == 0
    limit = 12 * MIB
    worker = start_worker(http_port=port, max_image_bytes=4 * MIB, max_in_flight_bytes=limit)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    worker.wait_for_line("worker is ready")
    seen = [0.0]
    while observer.progress(settings.images_topic).acknowledged < 3040:
        worker.check()
        seen.append(metric(port, "flumen_in_flight_bytes"))
    assert 0 < max(seen) <= limit
    assert metric(port, "flumen_images_total") == 3040
    assert requests.get(f"http://127.0.0.1:{port}/health", timeout=60).status_code == 200
    assert requests.get(f"http://127.0.0.1:{port}/else", timeout=60).status_code == 404
    with half_sent_requests(port, 1100):
        for number in range(100):
            producer.produce(settings.images_topic, key=f"later-{number}", value=png)
        assert producer.flush(120) == 0
        wait_until_acknowledged(3140, worker)
        assert metric(port, "flumen_images_total") == 3140
    assert worker.stop() == 0


def test_a_missing_dead_letter_topic_is_waited_for_and_nothing_is_acknowledged(
    settings: Settings,
    port: int,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    ensure_topics(settings)
    worker = start_worker(http_port=port, stalled_after_s=12)
    worker.wait_for_line("partitions assigned")
    admin = observer_admin(settings)
    admin.delete_topics([settings.dead_topic])[settings.dead_topic].result()
    wait_until(
        lambda: settings.dead_topic not in admin.list_topics(timeout=60).topics, "the end of the topic"
    )
    producer = Producer(settings.producer_config())
    producer.produce(settings.images_topic, key="bad", value=b"no image")
    assert producer.flush(60) == 0
    worker.wait_for_line("server does not answer; waiting", server="the dead-letter topic")
    assert observer.progress(settings.images_topic).acknowledged == 0
    health = f"http://127.0.0.1:{port}/health"
    wait_until(
        lambda: requests.get(health, timeout=60).status_code == 503, "an unhealthy worker", worker.check
    )
    assert "waiting for the dead-letter topic" in requests.get(health, timeout=60).text
    ensure_topics(settings)
    wait_until_acknowledged(1, worker)
    assert [raw.key for raw in observer.read(settings.dead_topic)] == [b"bad"]
    assert worker.stop() == 0


HANGS = """
import threading
from flumen.interceptor import Intercepted

class Hangs:
    columns = ()

    def intercept(self, batch, context):
        if any(image.id == "hang" for image in batch.images):
            threading.Event().wait()
        return Intercepted(batch, ())
"""


def test_a_worker_whose_thread_hangs_ends_with_the_reason(
    settings: Settings,
    png: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start_worker: Callable[..., Any],
    observer: Any,
) -> None:
    """An interceptor that never returns: the executor waits for it, and so does the interpreter at its exit."""
    installed = tmp_path / "installed"
    metadata = installed / "hangs-1.0.0.dist-info"
    metadata.mkdir(parents=True)
    (installed / "hangs.py").write_text(HANGS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hangs\nVersion: 1.0.0\n")
    (metadata / "entry_points.txt").write_text("[flumen.interceptors]\nhangs = hangs:Hangs\n")
    monkeypatch.setenv("PYTHONPATH", str(installed), prepend=os.pathsep)
    ensure_topics(settings)
    chain = ["envelope", "decode", "hangs", "classify"]
    producer = Producer(settings.producer_config())
    for key in ("fine", "hang"):
        producer.produce(settings.images_topic, key=key, value=png, partition=0)
    assert producer.flush(60) == 0
    worker = start_worker(interceptors=chain, max_batch_size=1, stalled_after_s=2, stop_timeout_s=1)
    assert worker.process.wait(120) == 1
    events = {line["event"]: line for line in worker.lines()}
    stopped = events["worker stopped by an error; nothing of the batches in hand was acknowledged"]
    assert "nothing was finished for" in stopped["reason"]
    assert "a thread hangs; leaving without it. What it held is delivered again" in events
    # A machine may need more than two seconds for the one that is fine.
    assert observer.progress(settings.images_topic).acknowledged in (0, 1)
    *_, last = [parse_status(raw.value) for raw in observer.read(settings.status_topic)]
    assert last.state is WorkerState.STOPPED


def observer_admin(settings: Settings) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient(settings.admin_config())
