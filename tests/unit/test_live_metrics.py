"""What a scrape finds while something changes."""

import sys
from types import FrameType
from typing import Any

from images import Brightness

from flumen.streams.live.metrics import Metrics


def active(metrics: Metrics) -> list[str]:
    (metric,) = metrics.active_model.collect()
    return [sample.labels["model_version"] for sample in metric.samples if sample.value == 1]


def test_a_scrape_finds_an_active_model_at_any_moment_of_a_change() -> None:
    """As it is before each line that changes it."""
    metrics = Metrics()
    first, second = Brightness(), Brightness()
    second.version = 4
    metrics.serve(first)
    found: list[list[str]] = []

    def look(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code is not Metrics.serve.__code__:
            return None
        found.append(active(metrics))
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        metrics.serve(second)
    finally:
        sys.settrace(before)
    assert found[0] == ["3"]
    assert all(found)
    assert active(metrics) == ["4"]
    metrics.serve(second)
    assert active(metrics) == ["4"]
