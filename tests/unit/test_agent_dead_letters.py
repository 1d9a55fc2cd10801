"""What the agent counts of the dead letters of a batch."""

import asyncio
from collections.abc import Sequence
from typing import Any

from flumen.interceptor import ImageMessage, Reject
from flumen.interceptor.errors import NotAnImage
from flumen.streams.live.agent import Steps, dead_letter
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry


class Recorded:
    """In place of the writer: keeps what it is given."""

    def __init__(self) -> None:
        self.published: list[str] = []

    def publish(self, rejects: Sequence[Reject], _model: object) -> None:
        self.published += [reject.image.id for reject in rejects]


def reject(image_id: str, partition: int) -> Reject:
    return Reject(ImageMessage(image_id, b"no image", 0, partition=partition), "decode", NotAnImage("none"))


def test_what_is_another_workers_by_now_is_neither_sent_nor_counted() -> None:
    metrics, writer = Metrics(), Recorded()
    unused: Any = None
    dead_letters: Any = writer
    steps = Steps(unused, unused, unused, unused, dead_letters, Retry(metrics, Pulse(60)), metrics)
    rejects = [reject("ours", 0), reject("theirs", 1), reject("ours too", 0)]
    asyncio.run(dead_letter(steps, rejects, unused, lambda: {1}))
    assert writer.published == ["ours", "ours too"]
    counted = metrics.registry.get_sample_value
    assert counted("flumen_dead_letters_total") == 2
    assert counted("flumen_record_errors_total", {"stage": "decode", "class": "NotAnImage"}) == 2
