"""What the demo shows while images flow: how far they are, and how fast they went of late."""

import io
from itertools import repeat
from typing import Any, cast

import pytest
from rich.console import Console, RenderableType

from flumen.cli.demo.flow import Endable, Flow, Look, curve, picture, rates
from flumen.streams.publishing.publisher import PublishReport


def looks(*done: int, every_s: float = 0.5) -> list[Look]:
    return [Look(10 + number * every_s, 1000, count) for number, count in enumerate(done)]


def shown(renderable: RenderableType, width: int) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=width).print(renderable)
    return output.getvalue().splitlines()


def test_a_rate_is_that_of_the_last_two_seconds() -> None:
    standing = [0] * 20
    assert rates(looks(*standing, 100, 200, 300, 400, 500))[-5:] == [50, 100, 150, 200, 200]
    assert rates(looks(0, 100)) == [200]
    assert rates(looks(0)) == []
    assert rates(looks(0, 300, every_s=3)) == [100]


def test_a_flow_begins_where_the_first_image_was_done() -> None:
    report = PublishReport(sent=400, failed=0, bytes=0, seconds=0.1)
    flow = Flow(report, looks(0, 0, 0, 100, 400))
    assert (flow.seconds, flow.best_rate) == (1.0, 200)


def test_a_flow_of_less_than_two_seconds_has_no_best_rate() -> None:
    report = PublishReport(sent=50, failed=0, bytes=0, seconds=0.1)
    assert Flow(report, looks(0, 50)).best_rate is None
    at_once = Flow(report, looks(50))
    assert at_once.best_rate is None
    assert at_once.seconds > 0


def test_the_curve_is_as_high_as_what_it_shows() -> None:
    assert curve([0, 50, 100]) == "▁▅█"
    assert curve([]) == ""
    assert curve([0, 0]) == "▁▁"
    assert len(curve(range(1000))) == 32


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    flowing = looks(0, *range(0, 60_000, 1000))
    lines = shown(picture(flowing, 70_001, is_ready=True), width)
    assert len(lines) == 3
    assert "59,000 of 70,001" in lines[1]
    assert lines[2].endswith("2,000 a second (last 2 s)")
    assert max(map(len, lines)) <= width


def test_a_worker_that_is_not_ready_is_no_slow_one() -> None:
    assert shown(picture(looks(0, 0), 10, is_ready=False), 80)[-1].strip() == "the worker starts"
    assert "a second" in shown(picture(looks(0, 0), 10, is_ready=True), 80)[-1]


def test_images_end_once_nobody_wants_them() -> None:
    images = Endable(cast(Any, repeat("image")))
    taken = iter(images)
    assert next(taken) == "image"
    images.close()
    assert list(taken) == []
