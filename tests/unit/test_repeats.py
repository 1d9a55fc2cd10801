"""Images of one id and other bytes within a minute: counted, and told once a minute."""

import pytest
from clocks import Clock
from structlog.testing import capture_logs

from flumen.interceptor import Batch, ImageMessage
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.repeats import Repeats


def batch(*images: tuple[str, str]) -> Batch:
    """Images by their id and the hash of their bytes."""
    messages = [ImageMessage(image_id, b"", 0) for image_id, _ in images]
    return Batch(messages, {"sha256": [content for _, content in images]})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def counted(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("flumen_images_replaced_total")


def test_other_bytes_of_one_id_are_counted_and_told(metrics: Metrics) -> None:
    repeats = Repeats(metrics.images_replaced, Clock())
    with capture_logs() as lines:
        repeats.look(batch(("camera", "a"), ("camera", "b"), ("other", "a")))
        repeats.look(batch(("camera", "c"), ("camera", "c")))
    assert counted(metrics) == 2
    (line,) = lines
    assert (line["log_level"], line["images"], line["image_id"]) == ("warning", 1, "camera")
    assert "set image_id to content" in line["event"]


def test_what_is_only_delivered_again_is_not_counted(metrics: Metrics) -> None:
    repeats = Repeats(metrics.images_replaced, Clock())
    with capture_logs() as lines:
        for _ in range(3):
            repeats.look(batch(("a", "x"), ("b", "y")))
    assert (counted(metrics), lines) == (0, [])


def test_a_minute_later_it_is_another_version(metrics: Metrics) -> None:
    clock = Clock(1_000)
    repeats = Repeats(metrics.images_replaced, clock)
    repeats.look(batch(("a", "x")))
    clock.now += 59
    repeats.look(batch(("a", "y")))
    assert counted(metrics) == 1
    clock.now += 60
    repeats.look(batch(("a", "z")))
    assert counted(metrics) == 1


def test_it_is_told_once_a_minute(metrics: Metrics) -> None:
    clock = Clock()
    repeats = Repeats(metrics.images_replaced, clock)
    with capture_logs() as lines:
        for second in range(121):
            clock.now = float(second)
            repeats.look(batch(("a", str(second))))
    assert [line["images"] for line in lines] == [1, 60]
    assert counted(metrics) == 120


def test_only_so_many_are_remembered(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flumen.streams.live.repeats._REMEMBERED", 10)
    repeats = Repeats(metrics.images_replaced, Clock())
    for row in range(100):
        repeats.look(batch((str(row), "x")))
    assert len(repeats._seen) <= 11


def test_without_the_envelope_nothing_is_known(metrics: Metrics) -> None:
    repeats = Repeats(metrics.images_replaced, Clock())
    repeats.look(Batch([ImageMessage("a", b"", 0)]))
    assert counted(metrics) == 0
