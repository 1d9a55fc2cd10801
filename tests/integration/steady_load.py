"""Images that are published for as long as a test needs them: no worker is too quick for it, or too slow to leave."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

RATE = 500
"""Images a second."""


@contextmanager
def steady_load(
    settings: Settings, image: Callable[[int], SourceImage], rate: float = RATE
) -> Iterator[list[int]]:
    """Publish images, from number 0 on, until the block ends; the list then holds how many there were."""
    ended = threading.Event()
    sent: list[int] = []

    def load() -> None:
        images = map(image, itertools.takewhile(lambda _: not ended.is_set(), itertools.count()))
        report = publish(images, settings.producer_config(), settings.images_topic, rate, lambda _: None)
        sent.append(report.sent)

    publisher = threading.Thread(target=load)
    publisher.start()
    try:
        yield sent
    finally:
        ended.set()
        publisher.join()
