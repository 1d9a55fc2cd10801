"""Images that are stored already: digits, intercepted in full, in tables and an index of their own."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from bench.setting import Setting, prepare, source_digits
from flumen.interceptor import Batch, Column, Context, ImageMessage, load_chain, merge_columns
from flumen.models.repository import CHAMPION, Repository
from flumen.models.shipped import seed
from flumen.stores.kudu.jars import client_jars
from flumen.stores.solr import SolrReader
from flumen.streams.settings import Settings, load_settings

DISTINCT = 10_000
"""Digits that are intercepted; beyond them they come again under other ids."""

AT_ONCE = 2_000
DAYS = 10
"""Over so many the arrivals are spread, the last of them now."""

ANSWERED_BY, ASKED = 1, 2
"""The version of the digits' model that stored images are answered by, and the one that they are put to."""

_DAY_US = 86_400_000_000


@contextmanager
def servers(home: Path | None) -> Iterator[Setting]:
    """Give a setting on servers of its own; or on those that `flumen up` has started in a home, with its own names."""
    with tempfile.TemporaryDirectory(prefix="flumen-bench-") as folder, ExitStack() as stack:
        if home is None:
            yield stack.enter_context(prepare(Path(folder), 0))
            return
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        name = f"bench-{uuid4().hex[:8]}"
        settings = load_settings(
            home=home,
            models_root=str(Path(folder) / "models"),
            **{topic: f"{name}-{topic}" for topic in topics_of(Settings)},
        )
        repository = Repository(settings.model_repository)
        seed(repository)
        repository.set_alias(settings.model_name, CHAMPION, ANSWERED_BY)
        yield Setting(settings, 0, client_jars())


@contextmanager
def stored(setting: Setting, rows: int) -> Iterator[Settings]:
    """Store so many images in tables and an index that nobody has used; drop them at the end."""
    settings = setting.fresh(load_settings().interceptors)
    try:
        fill(setting, settings, rows)
        yield settings
    finally:
        setting.discard(settings)


def fill(setting: Setting, settings: Settings, rows: int) -> None:
    """Store so many images, by the stores' own sinks, in batches; queries find them when it returns."""
    kudu, solr = setting.sinks(settings)
    with closing(kudu), closing(solr), ThreadPoolExecutor(1) as beside:
        blocks = _intercepted(settings, min(rows, DISTINCT))
        now = time.time_ns() // 1000
        for start in range(0, rows, AT_ONCE):
            block = blocks[start // AT_ONCE % len(blocks)]
            batch = renamed(block, start, rows, now)
            indexing = beside.submit(solr.write, batch)
            failures = [*kudu.write(batch), *indexing.result()]
            if failures:
                raise SystemExit(f"an image could not be stored: {failures[0].reason}")
    with closing(SolrReader(settings.solr_options())) as reader:
        reader.commit()
        if reader.count() != rows:
            raise SystemExit(f"the index has {reader.count():,} of {rows:,} documents")


def topics_of(settings: type[Settings] | Settings) -> list[str]:
    """Return the names of the settings that name topics which every worker has."""
    kind = settings if isinstance(settings, type) else type(settings)
    return [name for name in kind.model_fields if name.endswith("_topic") and name != "classified_topic"]


def columns_of_chain(settings: Settings) -> Sequence[Column]:
    """Return what the interceptors declare."""
    return merge_columns(interceptor.columns for interceptor in load_chain(settings.interceptors))


def renamed(block: Batch, start: int, rows: int, now_us: int) -> Batch:
    """Return images under the ids of `start` and on, of so many rows in all that arrive evenly over `DAYS`."""
    numbers = np.arange(start, min(start + len(block), rows))
    block = block.take(range(len(numbers)))
    images = [
        replace(image, id=f"digit-{number:08d}")
        for image, number in zip(block.images, numbers.tolist(), strict=True)
    ]
    arrived = now_us - DAYS * _DAY_US + (numbers + 1) * (DAYS * _DAY_US // rows)
    return Batch(
        images,
        {
            **block.columns,
            "id": [image.id for image in images],
            "ingested_at": arrived,
            "classified_at": arrived,
        },
    )


def _intercepted(settings: Settings, count: int) -> list[Batch]:
    """Return digits in blocks of `AT_ONCE`, gone through the whole chain."""
    repository = Repository(settings.model_repository)
    context = Context(repository.load(settings.model_name, ANSWERED_BY), 0, settings.limits())
    digits = list(source_digits(count))
    blocks = []
    for start in range(0, count, AT_ONCE):
        images = [
            ImageMessage(
                digit.id,
                digit.content,
                0,
                source=f"camera-{place % 100}",
                name=f"{place}.png",
                known_label=digit.known_label,
            )
            for place, digit in enumerate(digits[start : start + AT_ONCE])
        ]
        batch = Batch(images)
        for interceptor in load_chain(settings.interceptors):
            intercepted = interceptor.intercept(batch, context)
            if intercepted.errs:
                raise SystemExit(f"a digit was refused: {intercepted.errs[0].error}")
            batch = intercepted.oks
        blocks.append(batch)
    return blocks
