"""A worker on a stream that changes: one line, one alarm, and its status says what changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import Producer

from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets.dataset import read_dataset
from flumen.streams.control.records import DriftStatus, parse_status
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

AS_IT_WAS, INVERTED = 900, 500
CHANGED = "what arrives is not as it was when this model began; `flumen drift` says more"


def test_a_stream_that_is_inverted_raises_one_line_one_alarm_and_a_status(
    settings: Settings,
    mnist: Path,
    port: int,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    ensure_topics(settings)
    digits = read_dataset(mnist).test.pixels[: AS_IT_WAS + INVERTED]
    producer = Producer(settings.producer_config())
    worker = start_worker(drift_reference_images=500, max_batch_size=100, http_port=port)

    def publish(start: int, end: int, flip: int) -> None:
        for row in range(start, end):
            content = netpbm_header(28, 28, 1) + (digits[row] ^ flip).tobytes()
            producer.produce(settings.images_topic, key=str(row), value=content)
        assert producer.flush(60) == 0
        wait_until_acknowledged(end, worker)

    publish(0, AS_IT_WAS, 0)
    assert [line for line in worker.lines() if line["event"] == CHANGED] == []
    publish(AS_IT_WAS, AS_IT_WAS + INVERTED, 255)
    line = worker.wait_for_line(CHANGED, level="warning")
    assert "luminance_mean" in line["changed"]

    def told() -> DriftStatus | None:
        said = [parse_status(raw.value) for raw in observer.read(settings.status_topic) if raw.value]
        return said[-1].drift

    assert list(wait_until(told, "a status that says it", worker.check).statistics) == line["changed"]
    exposed = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text.splitlines()
    assert "flumen_drift_alarms_total 1.0" in exposed
    assert worker.stop() == 0
    assert sum(line["event"] == CHANGED for line in worker.lines()) == 1
