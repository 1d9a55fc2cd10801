"""How the demo's images flow, as it is shown: published, and done, by the offsets that Kafka has of them."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flumen.cli.background import BackgroundWorker
from flumen.cli.output import console, how_many
from flumen.streams.errors import StreamError
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.publishing.publisher import PublishReport, publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

RATE_OVER_S = 2.0
_LOOK_EVERY_S = 0.25
_TIMEOUT_S = 120.0
"""Without a single image more for so long, something is broken."""
_CURVE_WIDTH = 32
_CURVE = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Look:
    """How many images were published and done at one moment, in seconds. Done is what is in every store, or refused."""

    at: float
    published: int
    done: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that is over: what was published, and how it went; with what lay in the topic before."""

    report: PublishReport
    looks: Sequence[Look]

    @property
    def seconds(self) -> float:
        """How long it took from the first image that was seen done, or from the look before it, to the last."""
        first = next((before for before, look in pairwise(self.looks) if look.done), self.looks[0])
        return max(self.looks[-1].at - first.at, _LOOK_EVERY_S)

    @property
    def best_rate(self) -> float | None:
        """The most images a second over `RATE_OVER_S`; None of a flow that was over sooner."""
        began = self.looks[0].at
        whole = [
            rate
            for look, rate in zip(self.looks[1:], rates(self.looks), strict=True)
            if look.at - began >= RATE_OVER_S
        ]
        return max(whole, default=None)


def rates(looks: Sequence[Look]) -> list[float]:
    """Return the images done a second at each look but the first: over the last 2 s, less where there was less."""
    found = []
    start = 0
    for end in range(1, len(looks)):
        while start < end - 1 and looks[end].at - looks[start].at > RATE_OVER_S:
            start += 1
        found.append((looks[end].done - looks[start].done) / (looks[end].at - looks[start].at))
    return found


def send(images: Iterable[SourceImage], count: int, settings: Settings, worker: BackgroundWorker) -> Flow:
    """Publish images, `count` of them, from a thread, and show how they go through until every one is done.

    Raises:
        StreamError: one was not published, the worker has ended, or nothing moved for 120 s.
    """
    observer = TopicReader(settings)
    try:
        with (
            ThreadPoolExecutor(1, "publish") as background,
            closing(Endable(images)) as endable,
            Live(console=console, auto_refresh=False) as live,
        ):
            before = observer.progress(settings.images_topic)
            publishing = background.submit(
                publish, endable, settings.producer_config(), settings.images_topic, None, lambda _: None
            )
            looks: list[Look] = []
            reached, moved_at = (False, 0), time.monotonic()
            while True:
                worker.check()
                all_sent = publishing.done()  # asked before the look, which then sees all of it
                now = observer.progress(settings.images_topic)
                done = now.acknowledged - before.acknowledged
                if reached != (here := (worker.is_ready(), done)):
                    reached, moved_at = here, time.monotonic()
                looks.append(Look(time.monotonic(), now.published - before.acknowledged, done))
                live.update(picture(looks, count, is_ready=reached[0]), refresh=True)
                if all_sent and _is_over(publishing.result(), looks[-1]):
                    return Flow(publishing.result(), looks)
                if time.monotonic() - moved_at > _TIMEOUT_S:
                    raise StreamError(f"no image was finished for {_TIMEOUT_S:.0f} s; look at {worker.log}")
                time.sleep(_LOOK_EVERY_S)
    finally:
        observer.close()


class Endable:
    """Images that end, wherever they are, once this is closed: whoever publishes them is waited for."""

    def __init__(self, images: Iterable[SourceImage]) -> None:
        self._images = images
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[SourceImage]:
        for image in self._images:
            if self._closed.is_set():
                return
            yield image

    def close(self) -> None:
        """Let them end."""
        self._closed.set()


def _is_over(report: PublishReport, last: Look) -> bool:
    if report.failed:
        raise StreamError(
            f"{how_many(report.failed, 'image was', 'images were')} not published: {report.failures[0]}"
        )
    return last.done >= last.published


def picture(looks: Sequence[Look], count: int, *, is_ready: bool) -> RenderableType:
    """Return two bars, and how the rate went; `is_ready` is whether the worker is."""
    last, rate_of = looks[-1], rates(looks)
    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(min_width=15)
    bars.add_column(ratio=1)
    bars.add_column(justify="right", min_width=17)
    total = max(count, last.published)
    for name, number in (("in Kafka", last.published), ("in Kudu and Solr", last.done)):
        bars.add_row(name, ProgressBar(total=total, completed=number), f"{number:,} of {total:,}")
    if not last.done and not is_ready:
        return Group(bars, Text("the worker starts", style="dim"))
    now = f"{rate_of[-1] if rate_of else 0:,.0f} a second (last {RATE_OVER_S:.0f} s)"
    return Group(bars, Text.assemble(("images a second  ", ""), (curve(rate_of), "cyan"), f"  {now}"))


def curve(values: Sequence[float]) -> str:
    """Draw the last values as blocks, the highest as a full one."""
    shown = values[-_CURVE_WIDTH:]
    highest = max(shown, default=0.0) or 1.0
    return "".join(_CURVE[round(value / highest * (len(_CURVE) - 1))] for value in shown)
